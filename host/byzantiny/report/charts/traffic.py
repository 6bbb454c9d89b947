"""Bytes up and down per round: one panel an arm, both directions on one scale that all panels share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from byzantiny.charts.style import ArmStyle, Spec, Theme, arm_style, thin
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.labels import round_axis
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.run import Run

HEIGHT = 150


def traffic_curve(run: Run, arm: str) -> list[tuple[int, float, float]]:
    """(round, bytes up, bytes down), means over the seeds that have the round."""
    columns = [run.rounds[arm, seed] for seed in run.seeds_of(arm)]
    curve: list[tuple[int, float, float]] = []
    for index in range(max(map(len, columns), default=0)):
        rows = [column[index] for column in columns if index < len(column)]
        up, down = sum(row.bytes_up for row in rows), sum(row.bytes_down for row in rows)
        curve.append((index + 1, up / len(rows), down / len(rows)))
    return curve


def traffic_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; the scale begins at zero, in KB of 1,000 bytes."""
    curves = [traffic_curve(run, arm.info.name) for arm in arms]
    top = max((max(up, down) / 1000 for curve in curves for _, up, down in curve), default=1.0) or 1.0
    panels = [
        panel(theme, index, arm.info.title or arm.info.name, _panel(run, curve, arm_style(theme, index), top * 1.12))
        for index, (arm, curve) in enumerate(zip(arms, curves, strict=True))
    ]
    return multiples(theme, panels)


def _panel(run: Run, curve: list[tuple[int, float, float]], style: ArmStyle, top: float) -> Spec:
    layers: list[Spec] = []
    y: Spec = {
        "field": "kilobytes",
        "type": "quantitative",
        "title": "KB per round",
        "scale": {"domain": [0, top], "nice": True},
        "axis": {"tickCount": 4},
    }
    encoding: Spec = {"x": round_axis(run.manifest.rounds), "y": y}
    mean_up = math.fsum(up for _, up, _ in curve) / max(len(curve), 1)
    mean_down = math.fsum(down for _, _, down in curve) / max(len(curve), 1)
    for column, name, dash, is_upper in (
        (1, "▲ up", [1, 0], mean_up >= mean_down),
        (2, "▼ down", [5, 3], mean_down > mean_up),
    ):
        values = [{"round": curve[i][0], "kilobytes": round(curve[i][column] / 1000, 4)} for i in thin(len(curve))]
        line = {"type": "line", "color": style.colour, "strokeWidth": 2, "strokeDash": dash}
        layers.append({"data": {"values": values}, "mark": line, "encoding": encoding})
        label = {"type": "text", "align": "right", "fontSize": 12, "dy": -10 if is_upper else 13}
        layers.append(
            {
                "data": {"values": [{**value, "text": name} for value in values[-1:]]},
                "mark": label,
                "encoding": {**encoding, "text": {"field": "text", "type": "nominal"}},
            }
        )
    return {"height": HEIGHT, "layer": layers}
