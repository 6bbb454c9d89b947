"""Few numbers from few seeds: mean, median, interquartile mean, and a bootstrap interval where there are enough.

The interquartile mean follows Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021, arXiv 2108.13264): a quarter of the values is cut off at each end, rounded down. The interval is that of
the mean, and as one arm is one task the bootstrap is not stratified.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_SEEDS_FOR_INTERVAL = 3
RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """One figure over seeds; `low` and `high` are the 95 % bootstrap interval of the mean, None below three values."""

    values: tuple[float, ...]
    mean: float
    median: float
    iqm: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, for `mean ± half_width`."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def iqm(values: Sequence[float]) -> float:
    """Mean of what remains after cutting floor(n / 4) values at each end; ValueError when there is none.

    >>> iqm([0.0, 0.9, 0.92, 1.0])
    0.91
    """
    if not values:
        raise ValueError("the interquartile mean of no values; give at least one")
    cut = len(values) // 4
    return math.fsum(sorted(values)[cut : len(values) - cut]) / (len(values) - 2 * cut)


def bootstrap_interval(
    values: Sequence[float], rng: np.random.Generator, *, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, drawn from `rng`; ValueError below three values.

    >>> bootstrap_interval([0.5, 0.5, 0.5], np.random.default_rng(0))
    (0.5, 0.5)
    """
    if len(values) < MIN_SEEDS_FOR_INTERVAL:
        raise ValueError(f"an interval from {len(values)} values; at least {MIN_SEEDS_FOR_INTERVAL} are needed")
    data = np.asarray(values, dtype=np.float64)
    means = data[rng.integers(0, len(data), size=(resamples, len(data)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarize(values: Sequence[float], rng: np.random.Generator) -> Summary:
    """All figures of `values`; ValueError when there are none.

    >>> summarize([0.5, 1.0], np.random.default_rng(0))
    Summary(values=(0.5, 1.0), mean=0.75, median=0.75, iqm=0.75, low=None, high=None)
    """
    if not values:
        raise ValueError("a summary of no values; give at least one")
    enough = len(values) >= MIN_SEEDS_FOR_INTERVAL
    low, high = bootstrap_interval(values, rng) if enough else (None, None)
    mean = math.fsum(values) / len(values)
    return Summary(tuple(values), mean, float(np.median(values)), iqm(values), low, high)


def last_tenth(accuracies: Sequence[float | None]) -> float | None:
    """Mean over the last 10 % of the rounds (at least one), skipping rounds that were not evaluated; None if none was.

    The best round is never reported: it overstates robustness.

    >>> last_tenth([0.1, 0.5, 0.9])
    0.9
    """
    tail = accuracies[-max(1, len(accuracies) // 10) :]
    known = [value for value in tail if value is not None]
    return math.fsum(known) / len(known) if known else None
