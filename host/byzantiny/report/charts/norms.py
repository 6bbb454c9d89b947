"""Update norms, honest against Byzantine: median line and range band, one panel an arm, one scale for all."""

from __future__ import annotations

import math
from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, thin
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.labels import round_axis
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.norms import NormPoint, norm_curve
from byzantiny.report.run import Run

HEIGHT = 170
LOG_FROM_RATIO = 8.0
"""From this ratio of the largest to the smallest norm on, the scale is logarithmic and says so."""


def norm_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; norms of zero cannot be drawn on a logarithmic scale and are left out there."""
    curves = [[norm_curve(run, arm.info.name, byzantine=byzantine) for byzantine in (False, True)] for arm in arms]
    points = [point for pair in curves for curve in pair for point in curve]
    low = min((point.low for point in points if point.low > 0), default=1.0)
    high = max((point.high for point in points), default=1.0) or 1.0
    logarithmic = high / low >= LOG_FROM_RATIO
    scale: Spec = {"type": "log", "domain": [low * 0.8, high * 1.25]} if logarithmic else {"domain": [0, high * 1.1]}
    axis: Spec = {
        "format": "~s",
        **({"values": log_ticks(low * 0.8, high * 1.25)} if logarithmic else {"tickCount": 4}),
    }
    y: Spec = {
        "type": "quantitative",
        "title": "norm in grid steps" + (" (log scale)" if logarithmic else ""),
        "scale": {**scale, "nice": False},
        "axis": axis,
    }
    panels = [
        panel(theme, index, arm.info.title or arm.info.name, _panel(run, pair, y, low if logarithmic else 0.0, theme))
        for index, (arm, pair) in enumerate(zip(arms, curves, strict=True))
    ]
    return multiples(theme, panels)


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Values to label between `low` and `high`: 1, 2 and 5 in every decade, or only 1 where that would crowd.

    >>> log_ticks(15, 900), log_ticks(1, 20000)
    ([20.0, 50.0, 100.0, 200.0, 500.0], [1.0, 10.0, 100.0, 1000.0, 10000.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [base * 10.0**power for power in decades for base in (1, 2, 5) if low <= base * 10.0**power <= high]
    return fine if len(fine) <= most else [value for value in fine if math.log10(value) % 1 == 0]


def _panel(run: Run, pair: Sequence[Sequence[NormPoint]], y: Spec, floor: float, theme: Theme) -> Spec:
    layers: list[Spec] = []
    x = round_axis(run.manifest.rounds)
    for curve, colour, dash in zip(pair, (theme.honest, theme.byzantine), ([1, 0], [4, 3]), strict=True):
        drawn = [point for point in curve if point.median >= floor]
        values = [
            {"round": p.round_num, "low": max(p.low, floor), "median": p.median, "high": p.high}
            for p in (drawn[i] for i in thin(len(drawn)))
        ]
        if not values and layers:
            continue
        band_y = {**y, "field": "low"}
        layers.append(
            {
                "data": {"values": values},
                "mark": {"type": "area", "color": colour, "opacity": 0.22},
                "encoding": {"x": x, "y": band_y, "y2": {"field": "high"}},
            }
        )
        encoding = {"x": x, "y": {**y, "field": "median"}}
        line = {"type": "line", "color": colour, "strokeWidth": 2, "strokeDash": dash}
        layers.append({"data": {"values": values}, "mark": line, "encoding": encoding})
        if colour == theme.byzantine:
            marks = [values[i] for i in thin(len(values), most=8)]
            point = {"type": "point", "shape": "triangle-up", "filled": True, "opacity": 1, "size": 55, "color": colour}
            layers.append({"data": {"values": marks}, "mark": point, "encoding": encoding})
    return {"height": HEIGHT, "layer": layers}
