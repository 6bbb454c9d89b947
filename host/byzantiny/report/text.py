"""Text from outside, made fit to show: on a page, in a chart, on a terminal."""

from __future__ import annotations


def printable(text: str, limit: int = 60) -> str:
    r"""Text without control, escape or direction characters, and not endless.

    >>> printable("dev\x0001\u202e"), printable("abcdef", limit=4)
    ('dev�01�', 'abc…')
    """
    clean = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "seed"), plural(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
