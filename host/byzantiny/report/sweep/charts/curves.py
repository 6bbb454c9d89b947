"""A panel a defence: accuracy with nobody lying (thin), under the worst attack (thick, quartiles tinted), attack success."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, arm_style
from byzantiny.report.charts.labels import round_axis
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.sweep.curves import Curves, CurveSet, Point

HEIGHT = 150
_Y: Spec = {
    "field": "share",
    "type": "quantitative",
    "title": None,
    "scale": {"domain": [0, 1], "nice": False},
    "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1]},
}


def curves_chart(drawn: CurveSet, order: Sequence[str], theme: Theme) -> Spec:
    """The figure; a defence has the colour of its place in `order`, everywhere."""
    panels = [
        panel(theme, _index(each, order), _title(each), _panel(each, drawn, order, theme)) for each in drawn.curves
    ]
    # Room for a title in a font wider than the engine's.
    return {**multiples(theme, panels), "padding": {"left": 4, "right": 30, "top": 4, "bottom": 4}}


def _title(curves: Curves) -> str:
    wish = "" if curves.asr_attack in {None, curves.attack} else f"; ASR: {curves.asr_attack}"
    note = curves.note and f", {curves.note}"
    return f"{curves.defence}{note}: {curves.attack}{wish}"


def _index(curves: Curves, order: Sequence[str]) -> int:
    return list(order).index(curves.defence)


def _panel(curves: Curves, drawn: CurveSet, order: Sequence[str], theme: Theme) -> Spec:
    style = arm_style(theme, _index(curves, order))
    layers: list[Spec] = []
    if curves.attack_start and curves.attack_start > 1:
        rule = {"type": "rule", "color": theme.byzantine, "strokeWidth": 1.2}
        layers.append(_layer([{"round": curves.attack_start}], rule, drawn.rounds, y=False))
    band = {"type": "area", "color": style.colour, "opacity": 0.2}
    ranges = [{"round": p.round_num, "low": round(p.low, 5), "high": round(p.high, 5)} for p in curves.attacked]
    layers.append(
        {
            "data": {"values": ranges},
            "mark": band,
            "encoding": {"x": round_axis(drawn.rounds), "y": {**_Y, "field": "low"}, "y2": {"field": "high"}},
        }
    )
    looks: list[tuple[tuple[Point, ...], Spec]] = [
        (curves.clean, {"color": theme.honest, "strokeWidth": 1.4}),
        (curves.attacked, {"color": style.colour, "strokeWidth": 2.4}),
        (curves.asr, {"color": theme.byzantine, "strokeWidth": 1.8, "strokeDash": [5, 3]}),
    ]
    for points, look in looks:
        if points:
            values = [{"round": p.round_num, "share": round(p.value, 5)} for p in points]
            layers.append(_layer(values, {"type": "line", "strokeJoin": "round", **look}, drawn.rounds))
    return {"height": HEIGHT, "layer": layers}


def _layer(values: list[Spec], mark: Spec, rounds: int, *, y: bool = True) -> Spec:
    encoding: Spec = {"x": round_axis(rounds), **({"y": _Y} if y else {})}
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}
