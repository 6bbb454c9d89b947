"""Attack success rate of the deployed model per round, with the floor that a model left alone has."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.accuracy import share_chart
from byzantiny.report.deployed import asr_floor, asr_of, figure_of
from byzantiny.report.run import Run
from byzantiny.report.targets import percent


def asr_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; arms keep the colours they have everywhere, those without probes are not drawn."""
    names = [arm.info.name for arm in arms]
    floors = {name: floor.rate for name in names if (floor := asr_floor(run, name)) is not None}
    figures = {name: percent(figure_of(run, name, asr_of)) for name in names}
    return share_chart(run, arms, theme, asr_of, figures, floors=floors)
