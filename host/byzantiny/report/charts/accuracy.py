"""Accuracy and attack success per round and arm: thin lines are seeds, thick ones their mean; attacked rounds are tinted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from byzantiny.charts.style import ArmStyle, Spec, Theme, arm_style, figure, spread, thin
from byzantiny.records import RoundRow
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.labels import round_axis, wrap
from byzantiny.report.run import Run
from byzantiny.report.targets import percent
from byzantiny.report.text import printable

WIDTH, HEIGHT = 600, 340
LABEL_WIDTH = 215
LINE_HEIGHT = 15.0
_PERCENT_AXIS: Spec = {
    "type": "quantitative",
    "scale": {"domain": [0, 1], "nice": False},
    "title": None,
    "axis": {"format": ".0%", "values": [0, 0.2, 0.4, 0.6, 0.8, 1.0], "zindex": 0},
}


Share = Callable[[RoundRow], float | None]
"""What of a round is drawn; None where it was not measured."""


def accuracy_of(row: RoundRow) -> float | None:
    """The integer model's."""
    return row.accuracy


def mean_curve(run: Run, arm: str, share: Share = accuracy_of) -> list[tuple[int, float]]:
    """(round, mean share) over the seeds that evaluated that round."""
    columns = [[share(row) for row in run.rounds[arm, seed]] for seed in run.seeds_of(arm)]
    curve: list[tuple[int, float]] = []
    for index in range(max(map(len, columns), default=0)):
        known = [value for column in columns if index < len(column) and (value := column[index]) is not None]
        if known:
            curve.append((index + 1, math.fsum(known) / len(known)))
    return curve


def accuracy_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme, *, title: str = "") -> Spec:
    """The chart, with every arm labelled where its line ends."""
    figures = {
        arm.info.name: percent(arm.accuracy.mean if arm.accuracy else None, beside=arm.info.target) for arm in arms
    }
    return share_chart(run, arms, theme, accuracy_of, figures, title=title)


def share_chart(
    run: Run,
    arms: Sequence[ArmSummary],
    theme: Theme,
    share: Share,
    figures: Mapping[str, str],
    *,
    floors: Mapping[str, float] | None = None,
    title: str = "",
) -> Spec:
    """A chart of one share; `figures` by arm are printed beside its label, `floors` are dotted lines in its colour."""
    layers: list[Spec] = [*_phase_layers(run, arms, theme)]
    ends: list[tuple[float, ArmSummary, ArmStyle]] = []
    for index, arm in enumerate(arms):
        style, curve = arm_style(theme, index), mean_curve(run, arm.info.name, share)
        if curve:
            layers += _arm_layers(run, arm.info.name, curve, style, share)
            ends.append((curve[-1][1], arm, style))
        if floors and arm.info.name in floors:
            layers.append(_floor(floors[arm.info.name], style))
    plot: Spec = {"width": WIDTH, "height": HEIGHT, "layer": layers or [_phase_ruler(run, theme)]}
    panels = [plot, _label_panel(ends, figures)] if ends else [plot]
    head: Spec = {"title": {"text": wrap(title, 100), "fontSize": 15, "offset": 14}} if title else {}
    return figure(theme, {**head, "hconcat": panels, "spacing": 2})


def _floor(value: float, style: ArmStyle) -> Spec:
    return {
        "data": {"values": [{"accuracy": value}]},
        "mark": {"type": "rule", "color": style.colour, "strokeDash": [1, 4], "strokeWidth": 1.6, "strokeCap": "round"},
        "encoding": {"y": {"field": "accuracy", **_PERCENT_AXIS}},
    }


def _arm_layers(run: Run, arm: str, curve: list[tuple[int, float]], style: ArmStyle, share: Share) -> list[Spec]:
    layers: list[Spec] = []
    seeds = run.seeds_of(arm)
    for seed in seeds if len(seeds) > 1 else []:
        points = [(row.round_num, value) for row in run.rounds[arm, seed] if (value := share(row)) is not None]
        layers.append(_line(run, points, style, width=1.0, opacity=0.4))
    layers.append(_line(run, curve, style, width=2.5, opacity=1.0))
    empty = [
        {"round": row.round_num, "accuracy": share(row)}
        for seed in seeds
        for row in run.rounds[arm, seed]
        if row.outcome == "no-aggregate" and share(row) is not None
    ]
    if empty:
        mark = {
            "type": "point",
            "shape": "M-1,-1L1,1M1,-1L-1,1",
            "size": 30,
            "stroke": style.colour,
            "strokeWidth": 1.8,
        }
        layers.append({"data": {"values": empty}, "mark": mark, "encoding": _xy(run)})
    return layers


def _line(run: Run, points: list[tuple[int, float]], style: ArmStyle, *, width: float, opacity: float) -> Spec:
    mark = {"type": "line", "color": style.colour, "strokeWidth": width, "opacity": opacity, "strokeJoin": "round"}
    if opacity == 1.0 and style.dash != [1, 0]:
        mark["strokeDash"] = style.dash
    values = [{"round": points[i][0], "accuracy": round(points[i][1], 5)} for i in thin(len(points))]
    return {"data": {"values": values}, "mark": mark, "encoding": _xy(run)}


def _xy(run: Run) -> Spec:
    return {"x": round_axis(run.manifest.rounds), "y": {"field": "accuracy", **_PERCENT_AXIS}}


def phases(arms: Sequence[ArmSummary]) -> dict[int, list[str]]:
    """First attacked round -> titles of the arms attacked from then on."""
    starts: dict[int, list[str]] = {}
    for arm in arms:
        if arm.attacked:
            starts.setdefault(max(1, arm.info.attack_start_round or 1), []).append(arm.info.title or arm.info.name)
    return dict(sorted(starts.items()))


def _phase_layers(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> list[Spec]:
    layers: list[Spec] = []
    starts = phases(arms)
    for row, (start, titles) in enumerate(starts.items()):
        words = "Byzantine clients attack throughout" if start == 1 else f"Byzantine clients attack from round {start}"
        whose = "" if len(starts) == 1 else ": " + printable(", ".join(titles), 60)
        data = {"values": [{"from": start, "to": max(run.manifest.rounds, 2), "text": words + whose}]}
        x: Spec = {**round_axis(run.manifest.rounds), "field": "from"}
        late = start > 0.55 * run.manifest.rounds
        text = {"type": "text", "align": "right" if late else "left", "color": theme.byzantine, "dx": -2 if late else 2}
        text_x: Spec = {**x, "field": "to"} if late else x
        band = {"type": "rect", "color": theme.byzantine, "opacity": theme.phase_opacity}
        rule = {"type": "rule", "color": theme.byzantine, "strokeWidth": 1.2}
        layers += [
            {"data": data, "mark": band, "encoding": {"x": x, "x2": {"field": "to"}}},
            {"data": data, "mark": rule, "encoding": {"x": x}},
            {
                "data": data,
                "mark": {**text, "fontWeight": "bold", "baseline": "bottom"},
                "encoding": {"x": text_x, "y": {"value": -5 - 16 * row}, "text": {"field": "text", "type": "nominal"}},
            },
        ]
    return layers


def _phase_ruler(run: Run, theme: Theme) -> Spec:
    """An empty plot with its axes, for a run without an evaluated round."""
    values = [{"round": 1, "accuracy": 0}]
    return {
        "data": {"values": values},
        "mark": {"type": "point", "opacity": 0, "color": theme.ink},
        "encoding": _xy(run),
    }


def _label_panel(ends: Sequence[tuple[float, ArmSummary, ArmStyle]], figures: Mapping[str, str]) -> Spec:
    """Beside the plot, at the height of each line's end: marker, title and the figure of the table."""
    ends = sorted(ends, key=lambda end: -end[0])
    texts = [wrap(arm.info.title or arm.info.name, 30, lines=2) for _, arm, _ in ends]
    wanted = [HEIGHT * (1 - value) for value, _, _ in ends]
    heights = [LINE_HEIGHT * (len(lines) + 1) + 5 for lines in texts]
    centres = spread(wanted, heights, -14.0, HEIGHT + 14.0)
    layers: list[Spec] = []
    for (_, arm, style), lines, at, centre in zip(ends, texts, wanted, centres, strict=True):
        top = centre - LINE_HEIGHT * (len(lines) + 1) / 2 + LINE_HEIGHT / 2
        rows = [{"y": top + i * LINE_HEIGHT, "text": line} for i, line in enumerate(lines)]
        number = [{"y": top + len(lines) * LINE_HEIGHT, "text": figures[arm.info.name]}]
        leader = [{"x": 0, "y": at}, {"x": 6, "y": at}, {"x": 20, "y": centre}]
        point = {"type": "point", "shape": style.shape, "filled": True, "size": 75, "opacity": 1, "color": style.colour}
        layers += [
            _pixels(leader, {"type": "line", "color": style.colour, "strokeWidth": 1, "opacity": 0.7}),
            _pixels([{"x": 26, "y": centre}], point),
            _pixels([{"x": 36, **row} for row in rows], {"type": "text", "align": "left", "baseline": "middle"}),
            _pixels(
                [{"x": 36, **row} for row in number],
                {"type": "text", "align": "left", "baseline": "middle", "fontWeight": "bold", "fontSize": 13},
            ),
        ]
    return {"width": LABEL_WIDTH, "height": HEIGHT, "layer": layers, "view": {"fill": None, "stroke": None}}


def _pixels(values: list[Spec], mark: Spec) -> Spec:
    """A layer in pixel coordinates of the label panel, y downwards."""
    encoding: Spec = {
        "x": {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, LABEL_WIDTH], "nice": False}},
        "y": {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [HEIGHT, 0], "nice": False}},
    }
    if "text" in values[0]:
        encoding["text"] = {"field": "text", "type": "nominal"}
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}
