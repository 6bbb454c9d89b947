"""Lines against f / n: what the pictures of max-bias and of breakdown have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from byzantiny.charts.style import DASHES, SHAPES, Spec, Theme, spread
from byzantiny.robustness.honest import Model

WIDTH, HEIGHT = 340, 220
LINE_HEIGHT = 15.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: its name, its number among the styles, and y for each x; nan ends it."""

    name: str
    style: int
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    vermilion: bool = False


def panel(curves: Sequence[Curve], theme: Theme, *, title: str, y_title: str, top: float, limit: float | None) -> Spec:
    """A plot with every line labelled where it ends; `limit` is the f / n above which the rule refuses."""
    layers: list[Spec] = []
    if limit is not None:
        layers += _refused(limit, theme)
    ends: list[tuple[float, Curve]] = []
    for curve in curves:
        points = [(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if math.isfinite(y)]
        if points:
            layers += _line(curve, points, theme, y_title, top)
            ends.append((min(points[-1][1], top), curve))
    plot: Spec = {"width": WIDTH, "height": HEIGHT, "layer": layers, "title": {"text": title, "frame": "group"}}
    return {"hconcat": [plot, _labels(ends, theme, top)], "spacing": 4}


def describe(model: Model) -> str:
    """The honest clients in a line.

    >>> describe(Model())
    'n = 20, d = 64, spread 8 steps, honest mean 0.5 of the spread'
    """
    return f"n = {model.n}, d = {model.d}, spread {model.spread:g} steps, honest mean {model.signal:g} of the spread"


def colour(curve: Curve, theme: Theme) -> str:
    """The curve's colour."""
    return theme.byzantine if curve.vermilion else theme.arms[curve.style % len(theme.arms)]


def _axes(y_title: str, top: float) -> Spec:
    return {
        "x": {
            "field": "x",
            "type": "quantitative",
            "title": "f / n",
            "scale": {"domain": [0, 0.5], "nice": False},
            "axis": {"values": [0, 0.1, 0.2, 0.3, 0.4, 0.5], "format": ".1f"},
        },
        "y": {
            "field": "y",
            "type": "quantitative",
            "title": y_title,
            "scale": {"domain": [0, top], "nice": False, "clamp": False},
            "axis": {"tickCount": 5},
        },
    }


def _line(curve: Curve, points: list[tuple[float, float]], theme: Theme, y_title: str, top: float) -> list[Spec]:
    hue, dash = colour(curve, theme), DASHES[curve.style % len(DASHES)]
    data = {"values": [{"x": round(x, 4), "y": round(y, 4)} for x, y in points]}
    encoding = _axes(y_title, top)
    line: Spec = {"type": "line", "color": hue, "strokeWidth": 2, "strokeJoin": "round", "clip": True}
    if dash != [1, 0]:
        line["strokeDash"] = dash
    shape = SHAPES[curve.style % len(SHAPES)]
    point = {"type": "point", "shape": shape, "filled": True, "opacity": 1, "size": 34, "color": hue, "clip": True}
    return [{"data": data, "mark": line, "encoding": encoding}, {"data": data, "mark": point, "encoding": encoding}]


def _refused(limit: float, theme: Theme) -> list[Spec]:
    """Beyond the limit a rule refuses: tinted, with the word."""
    data = {"values": [{"x": limit, "X": 0.5}]}
    x: Spec = {"field": "x", "type": "quantitative", "scale": {"domain": [0, 0.5], "nice": False}}
    band = {"type": "rect", "color": theme.muted, "opacity": 0.14, "clip": True}
    word = {
        "type": "text",
        "text": "refused",
        "color": theme.muted,
        "align": "left",
        "baseline": "top",
        "dx": 4,
        "dy": 4,
    }
    return [
        {"data": data, "mark": band, "encoding": {"x": x, "x2": {"field": "X"}}},
        {"data": data, "mark": word, "encoding": {"x": x, "y": {"value": 0}}},
    ]


def _labels(ends: Sequence[tuple[float, Curve]], theme: Theme, top: float) -> Spec:
    width = 26 + 7 * max((len(curve.name) for _, curve in ends), default=0)
    ends = sorted(ends, key=lambda end: -end[0])
    wanted = [HEIGHT * (1 - value / top) for value, _ in ends]
    centres = spread(wanted, [LINE_HEIGHT] * len(ends), -6.0, HEIGHT + 6.0)
    layers: list[Spec] = []
    for (_, curve), centre in zip(ends, centres, strict=True):
        shape = SHAPES[curve.style % len(SHAPES)]
        hue = colour(curve, theme)
        layers += [
            _pixels(
                width,
                {"x": 8, "y": centre},
                {"type": "point", "shape": shape, "filled": True, "size": 55, "opacity": 1, "color": hue},
            ),
            _pixels(
                width,
                {"x": 18, "y": centre, "text": curve.name},
                {"type": "text", "align": "left", "baseline": "middle"},
            ),
        ]
    return {"width": width, "height": HEIGHT, "layer": layers, "view": {"fill": None, "stroke": None}}


def _pixels(width: int, value: Spec, mark: Spec) -> Spec:
    encoding: Spec = {
        "x": {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, width], "nice": False}},
        "y": {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [HEIGHT, 0], "nice": False}},
    }
    if "text" in value:
        encoding["text"] = {"field": "text", "type": "nominal"}
    return {"data": {"values": [value]}, "mark": mark, "encoding": encoding}
