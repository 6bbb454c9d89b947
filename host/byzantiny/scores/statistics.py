"""The statistics of a sweep: one estimator throughout, from SciPy, whose functions these are by name.

The interquartile mean and its bootstrap are those that Agarwal et al. (Deep reinforcement learning at the edge of the
statistical precipice, NeurIPS 2021, arXiv 2108.13264) recommend for few seeds: less noise than the median, less of an outlier
than the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byzantiny.errors import ByzantinyError

CUT = 0.25
RESAMPLES = 2000
SPLITS = 200


class ScoresError(ByzantinyError):
    """A sweep that cannot be scored."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An interquartile mean over n seeds with its 95 % percentile bootstrap interval; without one below three seeds."""

    value: float
    low: float | None
    high: float | None
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return it as plain data."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def iqm(values: Sequence[float]) -> float:
    """Return the interquartile mean: the mean without floor(n / 4) values at either end (`scipy.stats.trim_mean`).

    >>> iqm([0.0, 1.0, 2.0, 30.0]), iqm([1.0, 2.0])
    (1.5, 1.5)
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.asarray(values, dtype=np.float64), CUT))


def estimate(values: Sequence[float], resamples: int = RESAMPLES) -> Estimate | None:
    """Return the IQM of one number a seed, and its interval; None of nothing. The bootstrap's seed is fixed.

    >>> found = estimate([0.8, 0.9, 0.7, 0.85])
    >>> round(found.value, 3), found.low <= found.value <= found.high, found.n
    (0.825, True, 4)
    """
    if not len(values):
        return None
    data = np.asarray(values, dtype=np.float64)
    if len(data) < 3:
        return Estimate(iqm(data.tolist()), None, None, len(data))
    if np.ptp(data) == 0:  # scipy's bootstrap of equal numbers is nan
        return Estimate(float(data[0]), float(data[0]), float(data[0]), len(data))
    from scipy.stats import bootstrap, trim_mean

    def statistic(sample: object, axis: int = -1) -> object:
        return trim_mean(sample, CUT, axis=axis)

    rng = np.random.default_rng(0)
    interval = bootstrap(
        (data,), statistic, n_resamples=resamples, method="percentile", vectorized=True, rng=rng
    ).confidence_interval
    return Estimate(iqm(data.tolist()), float(interval.low), float(interval.high), len(data))


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Kendall's tau-b of two scorings of the same things (`scipy.stats.kendalltau`); None where one is constant.

    >>> round(kendall_tau([1, 2, 3], [10, 30, 20]), 3)
    0.333
    """
    if len(a) != len(b):
        raise ScoresError(f"{len(a)} and {len(b)} scores: a rank correlation is of the same things")
    if len(a) < 2:
        return None
    from scipy.stats import kendalltau

    tau = float(kendalltau(a, b).statistic)
    return None if np.isnan(tau) else tau


def split_half_tau(scores: Sequence[Sequence[float]], splits: int = SPLITS) -> float | None:
    """Return the mean tau between rankings by two random halves of the seeds: what tau noise alone leaves, its ceiling.

    `scores[i]` are one thing's values by seed, the same seeds for all; fewer than four seeds say nothing. Both halves are
    shorter than the whole, so the ceiling is, if anything, low.

    >>> split_half_tau([[0.1, 0.1, 0.1, 0.1], [0.5, 0.6, 0.5, 0.6], [0.9, 0.9, 0.8, 0.9]])
    1.0
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 4:
        return None
    rng, found = np.random.default_rng(0), []
    for _ in range(splits):
        order = rng.permutation(table.shape[1])
        half = len(order) // 2
        tau = kendall_tau(
            [iqm(row) for row in table[:, order[:half]].tolist()],
            [iqm(row) for row in table[:, order[half : 2 * half]].tolist()],
        )
        if tau is not None:
            found.append(tau)
    return float(np.mean(found)) if found else None
