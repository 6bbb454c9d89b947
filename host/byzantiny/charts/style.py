"""How every chart looks: two themes, one colour an arm, and room for nothing that carries no data.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), told apart by readers with any common colour-vision
deficiency. Vermilion is kept for Byzantine clients and never given to an arm. On dark paper each hue is lightened.
Nothing is told by colour alone: arms differ in dash and marker, and are labelled where their line ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""

FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
DASHES: tuple[list[int], ...] = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 2], [12, 4])
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-right")


@dataclass(frozen=True)
class Theme:
    """Colours of one theme."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    arms: tuple[str, ...]
    titles: tuple[str, ...]
    """The arms' hues again, strong enough to be read as text."""
    byzantine: str
    honest: str
    phase_opacity: float


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1a1c1f",
    muted="#5c6370",
    grid="#e6e8eb",
    arms=("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d31"),
    titles=("#00629a", "#946200", "#007453", "#9c4f80", "#1f77a6", "#735826"),
    byzantine="#d55e00",
    honest="#6b7785",
    phase_opacity=0.06,
)
DARK = Theme(
    name="dark",
    paper="#15181c",
    ink="#e8eaed",
    muted="#a3abb7",
    grid="#2b3038",
    arms=("#4aa8e8", "#f0b43c", "#2cc79b", "#e5a0c6", "#9bd6fb", "#c9a866"),
    titles=("#4aa8e8", "#f0b43c", "#2cc79b", "#e5a0c6", "#9bd6fb", "#c9a866"),
    byzantine="#ff7f32",
    honest="#96a1b0",
    phase_opacity=0.10,
)
THEMES = (LIGHT, DARK)


@dataclass(frozen=True)
class ArmStyle:
    """How one arm is drawn, everywhere."""

    colour: str
    title: str
    dash: list[int]
    shape: str


def arm_style(theme: Theme, index: int) -> ArmStyle:
    """The style of the arm at `index` in the manifest; from the seventh on, colours repeat under another dash.

    >>> arm_style(LIGHT, 0).colour, arm_style(LIGHT, 6).colour, arm_style(LIGHT, 6).dash
    ('#0072b2', '#0072b2', [7, 3])
    """
    shift = index // len(theme.arms)
    return ArmStyle(
        theme.arms[index % len(theme.arms)],
        theme.titles[index % len(theme.arms)],
        DASHES[(index + shift) % len(DASHES)],
        SHAPES[(index + shift) % len(SHAPES)],
    )


def figure(theme: Theme, body: Spec) -> Spec:
    """A whole specification: `body` with the theme's configuration."""
    axis: Spec = {
        "labelColor": theme.muted,
        "titleColor": theme.muted,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "titlePadding": 8,
        "labelFontSize": 12,
        "domain": False,
        "ticks": False,
        "gridColor": theme.grid,
        "labelPadding": 6,
    }
    return {
        "$schema": SCHEMA,
        "background": None,
        "padding": 4,
        **body,
        "config": {
            "aria": False,
            "font": FONT,
            "view": {"stroke": None},
            "axis": axis,
            "axisX": {
                "grid": False,
                "domain": True,
                "domainColor": theme.muted,
                "ticks": True,
                "tickColor": theme.muted,
            },
            "text": {"color": theme.ink, "fontSize": 12, "lineBreak": "\n"},
            "title": {"color": theme.ink, "fontSize": 13, "fontWeight": "bold", "anchor": "start", "offset": 8},
            "concat": {"spacing": 28},
        },
    }


def thin(count: int, most: int = 300) -> list[int]:
    """Indices of at most about `most` of `count` points, evenly spaced, the last one always among them.

    >>> thin(5), thin(7, most=3)
    ([0, 1, 2, 3, 4], [0, 3, 6])
    """
    if count == 0:
        return []
    step = -(-count // most)
    return sorted({*range(0, count, step), count - 1})


def spread(centres: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Move labels apart, as little as a sweep can, so that none overlaps; inputs and result from top to bottom.

    >>> spread([10.0, 12.0, 100.0], [20.0, 20.0, 20.0], 0.0, 110.0)
    [10.0, 30.0, 100.0]
    """
    placed: list[float] = []
    edge = low
    for centre, height in zip(centres, heights, strict=True):
        placed.append(max(centre, edge + height / 2))
        edge = placed[-1] + height / 2
    edge = max(high, sum(heights) + low)
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], edge - heights[index] / 2)
        edge = placed[index] - heights[index] / 2
    return placed
