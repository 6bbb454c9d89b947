"""Screening: one file per method, one dictionary by name, and an entry-point group for methods from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.screening.base import Screen
from byzantiny.updates.rules import load_zoo

SCREENING: dict[str, Callable[..., Screen]] = {}
"""The screens of this package, by the name used in configurations; none yet."""


def load_screening() -> dict[str, Callable[..., Screen]]:
    """Return the built-in screens and those of the entry-point group `byzantiny.screening`."""
    return load_zoo(SCREENING, "byzantiny.screening")


__all__ = ["SCREENING", "Screen", "load_screening"]
