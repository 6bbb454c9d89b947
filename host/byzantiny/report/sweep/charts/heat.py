"""A heatmap of shares: one hue from the paper's tone, so that depth alone speaks, and the number in every square."""

from __future__ import annotations

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.report.sweep.panels import Heat
from byzantiny.report.text import printable

EMPTY = {"light": "#f4f5f7", "dark": "#1d2126"}
STEP, ROW = 46, 26
_ANGLED = 5
"""Column names longer than this are slanted."""


def heat_chart(heat: Heat, theme: Theme, *, hue: str, x_title: str | None = None, y_title: str | None = None) -> Spec:
    """The chart; a framed square has a line of the text's colour around it. Deep squares have their number in the paper's."""
    values = [
        {
            "row": printable(square.row, 40),
            "column": printable(square.column, 40),
            "share": round(square.share, 5),
            "said": f"{100 * square.share:.0f}",
            "framed": square.framed,
        }
        for square in heat.squares
    ]
    slanted = max(map(len, heat.columns)) > _ANGLED
    axis: Spec = {"grid": False, "domain": False, "ticks": False, "labelLimit": 170, "labelColor": theme.ink}
    sort_x, sort_y = ([printable(name, 40) for name in names] for names in (heat.columns, heat.rows))
    encoding: Spec = {
        "x": {
            "field": "column",
            "type": "nominal",
            "sort": sort_x,
            "scale": {"domain": sort_x},
            "title": x_title,
            "axis": {**axis, "orient": "bottom" if x_title else "top", "labelAngle": -40 if slanted else 0},
        },
        "y": {
            "field": "row",
            "type": "nominal",
            "sort": sort_y,
            "scale": {"domain": sort_y},
            "title": y_title,
            "axis": {**axis, "titleAngle": 0},
        },
    }
    colour: Spec = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [EMPTY[theme.name], hue], "interpolate": "rgb"},
        "legend": None,
    }
    ink = {"condition": {"test": "datum.share > 0.55", "value": theme.paper}, "value": theme.ink}
    frame = {"type": "rect", "fill": None, "stroke": theme.ink, "strokeWidth": 2.5, "strokeJoin": "miter"}
    layers: list[Spec] = [
        {"mark": {"type": "rect", "stroke": theme.paper, "strokeWidth": 1.5}, "encoding": {"color": colour}},
        {"transform": [{"filter": "datum.framed"}], "mark": frame},
        {
            "mark": {"type": "text", "fontSize": 12},
            "encoding": {"text": {"field": "said", "type": "nominal"}, "color": ink},
        },
    ]
    head: Spec = {"text": printable(heat.title, 80), "frame": "bounds"}
    if heat.subtitle:
        head |= {"subtitle": printable(heat.subtitle, 80), "subtitleColor": theme.muted, "subtitleFontSize": 12}
    # A title may be wider than the squares, and a reader's font wider than the engine's.
    right = max(34 if slanted else 8, 8 * len(heat.title) - STEP * len(heat.columns))
    return figure(
        theme,
        {
            "title": head,
            "padding": {"left": 22, "right": right, "top": 4, "bottom": 4},
            "width": {"step": STEP},
            "height": {"step": ROW},
            "data": {"values": values},
            "encoding": encoding,
            "layer": layers,
        },
    )
