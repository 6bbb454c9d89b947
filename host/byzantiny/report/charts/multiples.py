"""Small multiples: one panel an arm, three to a row, each titled in words with the arm's own marker and colour."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, arm_style, figure
from byzantiny.report.charts.labels import wrap

COLUMNS = 3
PANEL_WIDTH = 225
MARKERS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "cross": "✚", "triangle-right": "▶"}


def panel(theme: Theme, index: int, title: str, body: Spec) -> Spec:
    """One panel; its title is wrapped, its marker is that of the arm at `index`."""
    style = arm_style(theme, index)
    lines = wrap(title, 26, lines=3)
    head: Spec = {
        "text": f"{MARKERS[style.shape]} {lines[0]}",
        "color": style.title,
        "frame": "group",
        "fontSize": 13,
        "subtitle": lines[1:],
        "subtitleColor": style.title,
        "subtitleFontSize": 13,
        "subtitleFontWeight": "bold",
    }
    return {"title": head, "width": PANEL_WIDTH, **body}


def multiples(theme: Theme, panels: Sequence[Spec]) -> Spec:
    """The whole figure."""
    return figure(theme, {"concat": list(panels), "columns": COLUMNS, "resolve": {"scale": {"color": "independent"}}})
