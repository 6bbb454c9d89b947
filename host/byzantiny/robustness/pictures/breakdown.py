"""The picture of a rule's page: error against f / n under ALIE, sign flip and IPM, one panel a defence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.robustness.breakdown import ATTACKS, BreakdownCurve
from byzantiny.robustness.pictures.curves import Curve, describe, panel

TOP = 2.0
"""One scale on all pages, so that they can be laid side by side; what is larger leaves the plot at the top."""


def breakdown_chart(curves: Sequence[BreakdownCurve], theme: Theme) -> Spec:
    """The whole figure."""
    model = curves[0].model
    title: Spec = {
        "text": f"{curves[-1].defence}: error against the share of liars",
        "subtitle": [
            f"{describe(model)}; mean of {curves[0].trials} rounds",
            "alie, ipm: the factor that hurts this rule most",
        ],
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "fontSize": 15,
        "offset": 12,
    }
    many = len(curves) > 1
    panels = [_panel(curve, theme, curve.defence if many else "") for curve in curves]
    return figure(theme, {"title": title, "concat": panels, "columns": 2})


def _panel(curve: BreakdownCurve, theme: Theme, title: str) -> Spec:
    n = curve.model.n
    xs = tuple(f / n for f in curve.liars)
    accepted = [f for f, error in zip(curve.liars, curve.error[ATTACKS[0]], strict=True) if math.isfinite(error)]
    limit = None if len(accepted) == len(curve.liars) else (accepted[-1] + 0.5) / n
    lines = [
        Curve(name, number, xs, tuple(curve.error[name]), vermilion=number == 0) for number, name in enumerate(ATTACKS)
    ]
    return panel(lines, theme, title=title, y_title="honest standard deviations", top=TOP, limit=limit)
