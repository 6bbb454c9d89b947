"""What each part of the wire does to each defence: a panel a step, a dot and an interval, hollow where nobody lies."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.report.charts.multiples import COLUMNS
from byzantiny.report.sweep.factors import Effect

WIDTH, ROW = 200, 34


def factors_chart(effects: Sequence[Effect], order: Sequence[str], theme: Theme) -> Spec:
    """The figure of the effects at one place; all panels have one axis."""
    ends = [
        end
        for effect in effects
        for end in (effect.change.value, effect.change.low, effect.change.high)
        if end is not None
    ]
    reach = max(0.05, *map(abs, ends)) * 1.08
    defences = [name for name in order if any(effect.defence == name for effect in effects)]
    steps = list(dict.fromkeys((effect.step, effect.wires) for effect in effects))
    panels = [_panel([e for e in effects if (e.step, e.wires) == step], defences, reach, theme, step) for step in steps]
    return figure(
        theme, {"padding": {"left": 22, "right": 8, "top": 4, "bottom": 4}, "concat": panels, "columns": COLUMNS}
    )


def _panel(
    effects: Sequence[Effect], defences: Sequence[str], reach: float, theme: Theme, step: tuple[str, tuple[str, str]]
) -> Spec:
    values = [
        {
            "defence": effect.defence,
            "change": round(effect.change.value, 5),
            "low": effect.change.value if effect.change.low is None else effect.change.low,
            "high": effect.change.value if effect.change.high is None else effect.change.high,
            "worst": effect.worst,
            "shift": -6 if effect.worst else 6,
        }
        for effect in effects
    ]
    scale = {"domain": [-reach, reach], "nice": False}
    axis = {"format": "+.0%", "tickCount": 3, "grid": True, "domain": False}
    x: Spec = {"field": "change", "type": "quantitative", "title": None, "scale": scale, "axis": axis}
    sort: Spec = {"sort": list(defences), "scale": {"domain": list(defences)}}
    y: Spec = {"field": "defence", "type": "nominal", "title": None, **sort, "axis": {"grid": False, "labelLimit": 150}}
    what, (first, second) = step
    layers: list[Spec] = [
        {
            "data": {"values": [{"change": 0}]},
            "mark": {"type": "rule", "color": theme.muted},
            "encoding": {"x": x},
        }
    ]
    for worst, colour in ((True, theme.byzantine), (False, theme.honest)):
        mine = {"transform": [{"filter": f"datum.worst === {str(worst).lower()}"}]}
        offset = -6 if worst else 6
        rule = {"type": "rule", "color": colour, "strokeWidth": 1.8, "yOffset": offset}
        dot = {
            "type": "point",
            "shape": "circle",
            "size": 60,
            "opacity": 1,
            "strokeWidth": 1.8,
            "yOffset": offset,
            "stroke": colour,
            "fill": colour if worst else theme.paper,
        }
        span: Spec = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
        layers += [{**mine, "mark": rule, "encoding": span}, {**mine, "mark": dot, "encoding": {"x": x, "y": y}}]
    title: Spec = {
        "text": what,
        "subtitle": f"{first} → {second}",
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "frame": "bounds",
    }
    return {"title": title, "width": WIDTH, "height": {"step": ROW}, "data": {"values": values}, "layer": layers}
