"""What every chart of a run is labelled with: wrapped titles, the axis of rounds."""

from __future__ import annotations

import textwrap

from byzantiny.charts.style import Spec
from byzantiny.report.text import printable


def wrap(text: str, width: int, lines: int = 3) -> list[str]:
    """A title as at most `lines` lines of about `width` characters.

    >>> wrap("trimmed mean under sign-flip", 16)
    ['trimmed mean', 'under sign-flip']
    """
    return textwrap.wrap(printable(text, width * lines), width) or [""]


def round_axis(rounds: int, *, title: str = "round") -> Spec:
    """The x encoding of a round number, with whole-numbered ticks from 1."""
    return {
        "field": "round",
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [1, max(rounds, 2)], "nice": False},
        "axis": {"values": round_ticks(rounds), "format": "d"},
    }


def round_ticks(rounds: int, most: int = 8) -> list[int]:
    """Round numbers to label: 1, then multiples of a round step that do not crowd it.

    >>> round_ticks(12), round_ticks(100)
    ([1, 4, 6, 8, 10, 12], [1, 20, 40, 60, 80, 100])
    """
    step = next(base * 10**power for power in range(9) for base in (1, 2, 5) if rounds / (base * 10**power) <= most)
    return [1, *range({1: 2, 2: 4}.get(step, step), rounds + 1, step)]
