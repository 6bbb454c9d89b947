"""What the pages of runs and of sweeps are made with: the template's environment, and figures in both themes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byzantiny.charts.render import ChartError, size, svg
from byzantiny.charts.style import THEMES, Spec, Theme
from byzantiny.report.run import ReportError
from byzantiny.report.targets import percent
from byzantiny.report.text import plural
from byzantiny.report.units import grouped, human_bytes, human_seconds

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class Figure:
    """One chart in each theme, with the width it needs to stay legible and its words."""

    name: str
    label: str
    images: tuple[tuple[str, str], ...]
    width: float


def figure_of(chart: Callable[[Theme], Spec], name: str, label: str) -> Figure:
    """Draw a chart in every theme; its ids begin with `name`. Raises ReportError where the engine is missing."""
    try:
        images = tuple((theme.name, svg(chart(theme), f"{name}-{theme.name}-")) for theme in THEMES)
    except ChartError as error:
        raise ReportError(str(error)) from error
    return Figure(name, label, images, size(images[0][1])[0])


def environment() -> jinja2.Environment:
    """The template's environment: escaping always on, an unknown name is an error."""
    try:
        import jinja2
    except ImportError as error:
        remedy = "install it with: pip install 'byzantiny[report]'"
        raise ReportError(f"the report needs jinja2, which is not installed; {remedy}") from error
    made = jinja2.Environment(
        autoescape=True,
        loader=jinja2.PackageLoader("byzantiny.report", package_path=""),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, bytes=human_bytes, seconds=human_seconds, grouped=grouped, plural=plural)
    return made
