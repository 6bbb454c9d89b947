"""The shift of every tensor per round, where the grid adapts: one panel an arm, thick the first seed, thin the others."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import DASHES, Spec, Theme, spread
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.labels import round_axis
from byzantiny.report.charts.multiples import PANEL_WIDTH, multiples, panel
from byzantiny.report.grid import TensorPath, adapted
from byzantiny.report.run import Run

HEIGHT = 180
MOST_TENSORS = 12
"""More lines cannot be told apart; the table has all."""
LABEL_WIDTH = 48


def grid_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; one scale of shifts for all panels. Labels stand in a margin to the right of the last round."""
    found = adapted(run, arms)
    shifts = [shift for _, _, paths in found for path in paths for seed in path.seeds for shift in seed]
    low, high = min(shifts) - 0.5, max(shifts) + 0.5
    return multiples(
        theme,
        [
            panel(theme, index, arm.info.title or arm.info.name, _panel(run, paths[:MOST_TENSORS], low, high, theme))
            for index, arm, paths in found
        ],
    )


def _panel(run: Run, paths: Sequence[TensorPath], low: float, high: float, theme: Theme) -> Spec:
    y: Spec = {
        "field": "shift",
        "type": "quantitative",
        "title": "shift",
        "scale": {"domain": [low, high], "nice": False},
        "axis": {"values": list(range(int(low + 1), int(high) + 1)), "format": "d"},
    }
    x: Spec = round_axis(run.manifest.rounds)
    x["scale"] = {**x["scale"], "range": [0, PANEL_WIDTH - LABEL_WIDTH]}
    layers: list[Spec] = []
    for t, path in enumerate(paths):
        for number, seed in enumerate(path.seeds):
            line = {
                "type": "line",
                "interpolate": "step-after",
                "color": theme.arms[t % len(theme.arms)],
                "strokeDash": DASHES[t % len(DASHES)],
                "strokeWidth": 1.0 if number else 2.2,
                "opacity": 0.45 if number else 1.0,
            }
            values = [{"round": i, "shift": shift} for i, shift in enumerate(seed, 1)]
            layers.append({"data": {"values": values}, "mark": line, "encoding": {"x": x, "y": y}})
    return {"height": HEIGHT, "layer": [*layers, *_labels(paths, low, high, theme)]}


def _labels(paths: Sequence[TensorPath], low: float, high: float, theme: Theme) -> list[Spec]:
    """Each tensor's name beside the end of its thick line, moved apart where lines end together."""
    ends = sorted((-path.seeds[0][-1], t) for t, path in enumerate(paths) if path.seeds[0])
    wanted = [HEIGHT * (high + minus) / (high - low) for minus, _ in ends]
    placed = spread(wanted, [14.0] * len(ends), 0.0, float(HEIGHT))
    return [
        {
            "data": {"values": [{"text": paths[t].tensor}]},
            "mark": {
                "type": "text",
                "align": "left",
                "baseline": "middle",
                "fontSize": 12,
                "color": theme.titles[t % len(theme.titles)],
            },
            "encoding": {
                "x": {"value": PANEL_WIDTH - LABEL_WIDTH + 6},
                "y": {"value": at},
                "text": {"field": "text", "type": "nominal"},
            },
        }
        for at, (_, t) in zip(placed, ends, strict=True)
    ]
