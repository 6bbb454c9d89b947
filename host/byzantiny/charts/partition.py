"""The picture of a partition: a row a client, a column a class, deeper where it holds more; its size at the end.

One hue from the paper's tone to the theme's blue, so that depth alone speaks; where there is room the number stands in
the cell. Two clients are compared by row, two classes by column, sizes by the bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from byzantiny.charts.style import Spec, Theme, figure

COLUMNS = 2
NUMBERED_ROWS, NUMBERED_CLASSES = 24, 12
"""Above either a cell has no room for its number, nor a row for its client's name."""
MOST_HEIGHT, ROW = 480, 17
MOST_DRAWN = 1000
"""Clients a panel is drawn for; beyond, a row is less than a pixel."""
EMPTY = {"light": "#f4f5f7", "dark": "#1d2126"}


@dataclass(frozen=True, slots=True)
class Row:
    """One client as it is drawn; `note` stands behind its size."""

    name: str
    counts: tuple[int, ...]
    samples: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One partition as it is drawn."""

    title: str
    rows: tuple[Row, ...]


def partition_chart(panels: Sequence[Panel], classes: Sequence[str], title: str, subtitle: str, theme: Theme) -> Spec:
    """The whole figure: the panels in two columns, all with one scale of colour and one of sizes."""
    deepest = max(max(row.counts) for panel in panels for row in panel.rows)
    largest = max(row.samples for panel in panels for row in panel.rows)
    head: Spec = {
        "text": title,
        "subtitle": subtitle,
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "subtitlePadding": 4,
        "fontSize": 15,
        "offset": 14,
    }
    drawn = [_panel(panel, classes, deepest, largest, theme, number == 0) for number, panel in enumerate(panels)]
    return figure(theme, {"title": head, "concat": drawn, "columns": min(COLUMNS, len(drawn)), "spacing": 30})


def _panel(panel: Panel, classes: Sequence[str], deepest: int, largest: int, theme: Theme, legend: bool) -> Spec:
    step = min(ROW, max(1, MOST_HEIGHT // len(panel.rows)))
    named = len(panel.rows) <= NUMBERED_ROWS
    y: Spec = {
        "field": "client",
        "type": "nominal",
        "sort": [row.name for row in panel.rows],
        "title": None if named else f"{len(panel.rows)} clients",
        "axis": {"grid": False, "labels": named, "labelLimit": 110},
    }
    cells = _cells(
        panel, classes, deepest, theme, y, numbered=named and len(classes) <= NUMBERED_CLASSES, legend=legend
    )
    sizes = _sizes(panel, largest, theme, y, noted=named)
    return {
        "title": {"text": panel.title, "frame": "group"},
        "hconcat": [{**cells, "height": {"step": step}}, {**sizes, "height": {"step": step}}],
        "spacing": 8,
    }


def _cells(
    panel: Panel, classes: Sequence[str], deepest: int, theme: Theme, y: Spec, *, numbered: bool, legend: bool
) -> Spec:
    values = [
        {"client": row.name, "class": classes[c], "n": count, "deep": 2 * count > deepest}
        for row in panel.rows
        for c, count in enumerate(row.counts)
    ]
    step = 26 if numbered else max(3, min(26, 300 // len(classes)))
    angle = -40 if max(map(len, classes)) > 3 else 0
    x: Spec = {
        "field": "class",
        "type": "nominal",
        "sort": list(classes),
        "title": None,
        "axis": {"labels": len(classes) <= 2 * NUMBERED_CLASSES, "labelAngle": angle, "domain": False, "ticks": False},
    }
    colour: Spec = {
        "field": "n",
        "type": "quantitative",
        "scale": {"domain": [0, deepest], "range": [EMPTY[theme.name], theme.arms[0]]},
        "legend": {
            "title": "samples",
            "orient": "right",
            "gradientLength": 100,
            "tickCount": 3,
            "labelColor": theme.muted,
            "titleColor": theme.muted,
            "titleFontWeight": "normal",
        }
        if legend
        else None,
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "stroke": theme.paper, "strokeWidth": 1 if numbered else 0},
            "encoding": {"color": colour},
        }
    ]
    if numbered:
        ink = {"condition": {"test": "datum.deep", "value": theme.paper}, "value": theme.ink}
        text = {"field": "n", "type": "quantitative"}
        layers.append(
            {
                "transform": [{"filter": "datum.n > 0"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {"text": text, "color": ink},
            }
        )
    return {"width": {"step": step}, "data": {"values": values}, "encoding": {"x": x, "y": y}, "layer": layers}


def _sizes(panel: Panel, largest: int, theme: Theme, y: Spec, *, noted: bool) -> Spec:
    values = [
        {"client": row.name, "samples": row.samples, "said": ", ".join(filter(None, [str(row.samples), row.note]))}
        for row in panel.rows
    ]
    x: Spec = {
        "field": "samples",
        "type": "quantitative",
        "title": None,
        "axis": None,
        "scale": {"domain": [0, largest]},
    }
    layers: list[Spec] = [{"mark": {"type": "bar", "color": theme.honest, "height": {"band": 0.55}}}]
    if noted:
        mark = {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": theme.muted}
        layers.append({"mark": mark, "encoding": {"text": {"field": "said", "type": "nominal"}}})
    return {
        "width": 70,
        "data": {"values": values},
        "encoding": {"x": x, "y": {**y, "axis": None, "title": None}},
        "layer": layers,
    }
