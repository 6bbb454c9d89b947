"""Ranks of the defences' worst cases on the float control and on a wire: crossing lines are what the wire reorders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from byzantiny.charts.style import Spec, Theme, arm_style, figure
from byzantiny.report.text import printable

WIDTH, STEP = 150, 30


def ranked(worst: Mapping[str, Sequence[float]], side: int) -> dict[str, int]:
    """Each defence's rank by its worst case on one side, 1 the best; of equal ones the first by name.

    >>> ranked({"median": [0.9, 0.5], "mean": [0.2, 0.6]}, 1)
    {'mean': 1, 'median': 2}
    """
    return {name: rank for rank, name in enumerate(sorted(worst, key=lambda name: (-worst[name][side], name)), 1)}


def slope_chart(ranking: Mapping[str, Any], title: str, order: Sequence[str], theme: Theme) -> Spec:
    """The chart of one ranking of the scores."""
    worst, sides = ranking["worst"], (ranking["control"], ranking["wire"])
    ranks = [ranked(worst, side) for side in (0, 1)]
    layers: list[Spec] = []
    for name in worst:
        style = arm_style(theme, list(order).index(name) if name in order else 0)
        points = [{"side": sides[side], "rank": ranks[side][name]} for side in (0, 1)]
        line = {"type": "line", "color": style.colour, "strokeWidth": 2.2, "strokeDash": style.dash}
        dot = {"type": "point", "shape": style.shape, "filled": True, "size": 80, "opacity": 1, "color": style.colour}
        layers += [_layer(points, line, sides, len(worst)), _layer(points, dot, sides, len(worst))]
        for side, align, dx in ((0, "right", -10), (1, "left", 10)):
            share = f"{100 * worst[name][side]:.1f} %"
            said = f"{printable(name, 24)}  {share}" if side == 0 else f"{share}  {printable(name, 24)}"
            text = {"type": "text", "align": align, "dx": dx, "baseline": "middle"}
            layer = _layer([{**points[side], "said": said}], text, sides, len(worst))
            layer["encoding"]["text"] = {"field": "said", "type": "nominal"}
            layers.append(layer)
    head: Spec = {"text": printable(title, 80), "anchor": "middle", "frame": "bounds"}
    return figure(
        theme,
        {
            "title": head,
            "padding": {"left": 22, "right": 22, "top": 4, "bottom": 4},
            "width": WIDTH,
            "height": STEP * len(worst),
            "layer": layers,
        },
    )


def _layer(values: list[Spec], mark: Spec, sides: Sequence[str], count: int) -> Spec:
    x: Spec = {
        "field": "side",
        "type": "nominal",
        "title": None,
        "sort": list(sides),
        "scale": {"type": "point", "domain": list(sides), "padding": 0.15},
        "axis": {"orient": "top", "labelAngle": 0, "labelFontWeight": "bold", "domain": False, "ticks": False},
    }
    y: Spec = {
        "field": "rank",
        "type": "quantitative",
        "scale": {"domain": [count + 0.5, 0.5], "nice": False},
        "axis": None,
    }
    return {"data": {"values": values}, "mark": mark, "encoding": {"x": x, "y": y}}
