"""The phase picture: one panel a rule, colour for the cosine, a line where it is 0, grey where there is no step."""

from __future__ import annotations

import math

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.robustness.phase import HIGH, LOW, Panel, Phase, PhaseStudy
from byzantiny.robustness.pictures.contour import contour

WIDTH, HEIGHT, COLUMNS = 270, 200, 2
MIDDLE = {"light": "#f7f7f7", "dark": "#23272d"}
_OCTAVE = "datum.value < 0 ? '1/' + pow(2, -datum.value) : '' + pow(2, datum.value)"
STUCK = {"light": "#b4b9c1", "dark": "#59616c"}


def phase_chart(phase: Phase, theme: Theme) -> Spec:
    """The whole figure."""
    study = phase.study
    title: Spec = {
        "text": "Does the aggregate point where the honest clients point?",
        "subtitle": [
            describe(study),
            "Line: cosine 0; on its orange side the step goes the wrong way. Grey: the aggregate is 0, no step.",
        ],
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "subtitlePadding": 4,
        "fontSize": 15,
        "offset": 14,
    }
    panels = [_panel(panel, study, theme, number == 0) for number, panel in enumerate(phase.panels)]
    columns = min(COLUMNS, len(panels))
    return figure(theme, {"title": title, "concat": panels, "columns": columns, "spacing": 24})


def describe(study: PhaseStudy) -> str:
    """The study in a line.

    >>> describe(PhaseStudy())
    'n = 50, d = 1000, honest mean 0.5 of the spread, attack: saturate, seed 1'
    """
    factor = "" if study.factor is None else f" {study.factor:g}"
    return (
        f"n = {study.n}, d = {study.d}, honest mean {study.signal:g} of the spread, "
        f"attack: {study.attack}{factor}, seed {study.seed}"
    )


def _panel(panel: Panel, study: PhaseStudy, theme: Theme, legend: bool) -> Spec:
    xs, ys = [math.log2(spread) for spread in study.spreads], [f / study.n for f in study.liars]
    places = [(i, j) for j in range(len(ys)) for i in range(len(xs)) if math.isfinite(panel.cosine[j, i])]
    half = (0.5 / study.per_octave, 0.5 * study.f_step / study.n)
    cells = [
        {**_cell(xs[i], ys[j], half), "c": round(float(panel.cosine[j, i]), 3)}
        for i, j in places
        if not panel.stuck[j, i]
    ]
    stuck = [_cell(xs[i], ys[j], half) for i, j in places if panel.stuck[j, i]]
    lines = [{"x": a[0], "X": b[0], "y": a[1], "Y": b[1]} for a, b in contour(panel.cosine, xs, ys)]
    where = _where(xs, ys, half)
    grey = {"type": "rect", "color": STUCK[theme.name], "clip": True}
    line = {"type": "rule", "color": theme.ink, "strokeWidth": 1.6, "strokeCap": "round"}
    layers: list[Spec] = [
        {
            "data": {"values": cells},
            "mark": {"type": "rect", "clip": True},
            "encoding": {**where, "color": _colour(theme, legend)},
        },
        {"data": {"values": stuck}, "mark": grey, "encoding": where},
        {"data": {"values": lines}, "mark": line, "encoding": where},
    ]
    return {
        "title": {"text": panel.rule, "frame": "group"},
        "width": WIDTH,
        "height": HEIGHT,
        "layer": [layers[0], *(layer for layer in layers[1:] if layer["data"]["values"])],
        "view": {"fill": None, "stroke": theme.grid},
    }


def _cell(x: float, y: float, half: tuple[float, float]) -> Spec:
    """A rectangle about a node; a little over the next one, for edge to edge the paper shines through."""
    return {"x": x - half[0], "X": x + 1.06 * half[0], "y": y - half[1], "Y": y + 1.06 * half[1]}


def _where(xs: list[float], ys: list[float], half: tuple[float, float]) -> Spec:
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [xs[0] - half[0], xs[-1] + half[0]], "nice": False},
        "title": "honest spread / step",
        "axis": {"values": list(range(LOW, HIGH + 1)), "labelExpr": _OCTAVE},
    }
    y: Spec = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [-half[1], ys[-1] + half[1]], "nice": False},
        "title": "f / n",
        "axis": {"values": [0, 0.1, 0.2, 0.3, 0.4], "format": ".1f", "grid": False},
    }
    return {"x": x, "x2": {"field": "X"}, "y": y, "y2": {"field": "Y"}}


def _colour(theme: Theme, legend: bool) -> Spec:
    """Vermilion for against, blue for with, the paper's own tone for neither: told apart in every colour vision."""
    return {
        "field": "c",
        "type": "quantitative",
        "scale": {"domain": [-1, 0, 1], "range": [theme.byzantine, MIDDLE[theme.name], theme.arms[0]]},
        "legend": {
            "title": "cosine",
            "values": [-1, -0.5, 0, 0.5, 1],
            "format": ".1f",
            "orient": "right",
            "gradientLength": 140,
            "labelColor": theme.muted,
            "titleColor": theme.muted,
            "titleFontWeight": "normal",
        }
        if legend
        else None,
    }
