"""Aggregators: one file per rule, one dictionary by name, and an entry-point group for rules from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.aggregators.base import Aggregator
from byzantiny.aggregators.mean import Mean
from byzantiny.aggregators.median import Median
from byzantiny.updates.rules import load_zoo

AGGREGATORS: dict[str, Callable[..., Aggregator]] = {
    "mean": Mean,
    "median": Median,
}
"""The aggregators of this package, by the name used in configurations."""


def load_aggregators() -> dict[str, Callable[..., Aggregator]]:
    """Return the built-in aggregators and those of the entry-point group `byzantiny.aggregators`."""
    return load_zoo(AGGREGATORS, "byzantiny.aggregators")


__all__ = ["AGGREGATORS", "Aggregator", "Mean", "Median", "load_aggregators"]
