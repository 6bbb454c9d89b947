"""Shares per round in small panels, one an arm: the three forms of a model, and the tail over clients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from byzantiny.charts.style import ArmStyle, Spec, Theme, arm_style, thin
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.accuracy import Share, mean_curve
from byzantiny.report.charts.labels import round_axis
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.deployed import FORMS, STRATA
from byzantiny.report.run import Run

HEIGHT = 170
_LINES: dict[str, Spec] = {
    "integers": {"strokeWidth": 7, "opacity": 0.3, "strokeCap": "round"},
    "exported": {"strokeWidth": 1.8},
    "float control": {"strokeWidth": 1.8, "strokeDash": [2, 3]},
    "mean": {"strokeWidth": 2.2},
    "10 % quantile": {"strokeWidth": 1.8, "strokeDash": [6, 3]},
    "worst": {"strokeWidth": 1.8, "strokeDash": [1, 3], "strokeCap": "round"},
}
"""How each line is drawn, the undermost first; the keys of the page say the same."""


def forms_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The float control, the integers and the exported model."""
    return _chart(run, arms, theme, FORMS)


def clients_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The integer model on honest clients' own samples: mean, 10 % quantile, worst."""
    return _chart(run, arms, theme, STRATA)


def _chart(run: Run, arms: Sequence[ArmSummary], theme: Theme, shares: Mapping[str, Share]) -> Spec:
    curves = [{name: mean_curve(run, arm.info.name, share) for name, share in shares.items()} for arm in arms]
    values = [value for each in curves for curve in each.values() for _, value in curve]
    low = math.floor(10 * min(values, default=0.0)) / 10
    panels = [
        panel(theme, index, arm.info.title or arm.info.name, _panel(run, each, arm_style(theme, index), min(low, 0.9)))
        for index, (arm, each) in enumerate(zip(arms, curves, strict=True))
        if any(each.values())
    ]
    return multiples(theme, panels)


def _panel(run: Run, curves: Mapping[str, list[tuple[int, float]]], style: ArmStyle, low: float) -> Spec:
    y: Spec = {
        "field": "share",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [low, 1], "nice": False},
        "axis": {"format": ".0%", "tickCount": 5},
    }
    encoding: Spec = {"x": round_axis(run.manifest.rounds), "y": y}
    layers: list[Spec] = []
    for name, look in _LINES.items():
        curve = curves.get(name, [])
        if curve:
            points = [{"round": curve[i][0], "share": round(curve[i][1], 5)} for i in thin(len(curve))]
            mark = {"type": "line", "color": style.colour, "strokeJoin": "round", **look}
            layers.append({"data": {"values": points}, "mark": mark, "encoding": encoding})
    return {"height": HEIGHT, "layer": layers}
