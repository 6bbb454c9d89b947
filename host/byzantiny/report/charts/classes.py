"""Recall by class of the deployed model after the last round: a bar a class, a panel an arm."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, arm_style
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.deployed import class_recalls
from byzantiny.report.run import Run

BAR_STEP = 17
MOST_CLASSES = 24


def shown_classes(recalls: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """At most MOST_CLASSES of them, the worst; the order is kept.

    >>> shown_classes([("a", 0.5)] * 2), len(shown_classes([(str(i), i / 62) for i in range(62)]))
    ([('a', 0.5), ('a', 0.5)], 24)
    """
    if len(recalls) <= MOST_CLASSES:
        return list(recalls)
    worst = {i for i, _ in sorted(enumerate(recalls), key=lambda each: (each[1][1], each[0]))[:MOST_CLASSES]}
    return [each for i, each in enumerate(recalls) if i in worst]


def class_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; every bar carries its figure."""
    panels = []
    for index, arm in enumerate(arms):
        recalls = shown_classes(class_recalls(run, arm.info.name))
        if recalls:
            body = _panel(recalls, arm_style(theme, index).colour, theme)
            panels.append(panel(theme, index, arm.info.title or arm.info.name, body))
    return multiples(theme, panels)


def _panel(recalls: Sequence[tuple[str, float]], colour: str, theme: Theme) -> Spec:
    rows = [{"class": name, "recall": round(share, 4), "text": f"{100 * share:.0f} %"} for name, share in recalls]
    labels = [name for name, _ in recalls]
    y: Spec = {"field": "class", "type": "nominal", "sort": labels, "title": None, "scale": {"domain": labels}}
    # Room to the right of 100 % for the figure of a full bar.
    x: Spec = {
        "field": "recall",
        "type": "quantitative",
        "title": "recall",
        "scale": {"domain": [0, 1.18], "nice": False},
        "axis": {"format": ".0%", "values": [0, 0.5, 1]},
    }
    bar = {"type": "bar", "height": 10, "color": colour}
    text = {"type": "text", "align": "left", "baseline": "middle", "dx": 4, "fontSize": 11, "color": theme.muted}
    layers = [
        {"mark": bar, "encoding": {"x": x, "y": y}},
        {"mark": text, "encoding": {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}}},
    ]
    return {"height": {"step": BAR_STEP}, "data": {"values": rows}, "layer": layers}
