"""The max-bias curves of several defences in one plot."""

from __future__ import annotations

import math
from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.robustness.bias import BiasCurve
from byzantiny.robustness.honest import Model
from byzantiny.robustness.pictures.curves import Curve, describe, panel

TOP = 2.0


def bias_chart(curves: Sequence[BiasCurve], model: Model, theme: Theme) -> Spec:
    """The whole figure; what is larger than two deviations leaves the plot at the top."""
    lines = [
        Curve(
            curve.defence,
            number,
            tuple(point.f / curve.n for point in curve.points),
            tuple(math.nan if point.refused else point.bias for point in curve.points),
        )
        for number, curve in enumerate(curves)
    ]
    plot = panel(lines, theme, title="", y_title="honest standard deviations", top=TOP, limit=None)
    title: Spec = {
        "text": "Max-bias: how far the worst lies move the aggregate from the honest mean",
        "subtitle": f"{describe(model)}, seed {model.seed}; found by search",
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "fontSize": 15,
        "offset": 12,
    }
    return figure(theme, {"title": title, **plot})
