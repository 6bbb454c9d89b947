"""Smallest maximum eigenvalue averaging: the mean of the n - f rows that spread least in any direction.

Allouah, Guerraoui, Gupta, Pinot, Stephan. On the privacy-robustness-utility trilemma in distributed learning.
ICML 2023, arXiv 2302.04787.
Differs from the paper: nothing. ByzFL takes one random step of the power method for the eigenvalue, so its choice
varies from call to call; here the eigenvalue is found to the last bits, the same ones everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import kappas
from byzantiny.aggregators.eigen import largest_eigenvalues
from byzantiny.aggregators.selection import mean_of_rows
from byzantiny.updates import AnyAggregate, BeyondLimitError, UpdateBatch, squared_distances
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout

MOST_SUBSETS = 50_000
"""The combinatorial cap: subsets of n - f rows that are tried, one by one."""

TIE = 1e-9
"""Eigenvalues within this fraction of the smallest count as equal to it: their errors are far below, honest gaps above."""

_SCRATCH = 1 << 21
"""Float64 numbers of matrices at a time (16 MB)."""


@dataclass(frozen=True, slots=True)
class SMEA:
    """Return the mean of the `n - f` rows whose covariance has the least largest eigenvalue; exact for int8 rows.

    The covariance of m rows has the eigenvalues of their centred Gram matrix over m, which comes from the distances,
    so d enters once. Of subsets that tie (within 1e-9) it takes the first in lexicographic order of the indices.

    Raises (from `apply`): BeyondLimitError, also for more than 50,000 subsets `n choose f`.

    >>> batch = UpdateBatch.from_rows(np.array([[0, 0], [1, 0], [0, 1], [6, 6]], dtype=np.int8))
    >>> aggregate, _ = SMEA(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([1, 1], 3)
    """

    f: int

    name: ClassVar[str] = "smea"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="smea",
        formula="mean of the n - f rows whose covariance has the least largest eigenvalue",
        limit=f"n >= 2f + 1; n choose f <= {MOST_SUBSETS}",
        breakdown="f / n as declared, below 1/2",
        cost="O(n^2 d + (n choose f) (n - f)^3)",
        paper="Allouah et al., ICML 2023, arXiv 2302.04787",
        keeps=frozenset(
            {"exact", "permutation-up-to-ties", "identity", "translation", "negation", "scale", "mean", "convex"}
        ),
        kappa=Kappa("4 f / (n - 2f)", kappas.OURS, kappas.smea),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean of the subset; the diagnostics hold its eigenvalue and how many subsets were tried."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        subsets = math.comb(batch.n, self.f)
        if subsets > MOST_SUBSETS:
            raise BeyondLimitError(
                f"smea of {batch.n} rows, f = {self.f}: {subsets} subsets, the cap is {MOST_SUBSETS}; "
                "lower the cohort, or use mda or caf"
            )
        kept, value = least_spread(squared_distances(batch), batch.n - self.f)
        return mean_of_rows(self.name, batch, kept, eigenvalue=value, subsets=float(subsets)), state


def least_spread(distances: NDArray[Any], count: int) -> tuple[NDArray[np.bool_], float]:
    """Return the mask of the subset of `count` rows, and the largest eigenvalue of its covariance.

    >>> kept, value = least_spread(np.array([[0, 4, 100], [4, 0, 64], [100, 64, 0]]), 2)
    >>> kept.tolist(), round(value, 12)
    ([True, True, False], 1.0)
    """
    squared = distances.astype(np.float64)
    chosen: tuple[int, ...] = ()
    least = math.inf
    for subsets in _chunks(combinations(range(len(squared)), count), max(1, _SCRATCH // count**2)):
        index = np.array(subsets).T
        values = largest_eigenvalues(_centred_gram(squared[index[:, None], index[None, :]])) / count
        first = int(np.argmax(values <= values.min() * (1 + TIE)))
        if not chosen or values[first] < least * (1 - TIE):
            chosen, least = subsets[first], float(values[first])
    kept = np.zeros(len(squared), dtype=np.bool_)
    kept[list(chosen)] = True
    return kept, least


def _centred_gram(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `-1/2 J D J` of (m, m, count) squared distances, J the centring matrix: inner products about the mean."""
    m = len(squared)
    means = np.zeros(squared.shape[1:])
    for row in squared:  # in order
        means += row
    means /= m
    overall = np.zeros(squared.shape[2])
    for mean in means:
        overall += mean
    return -0.5 * (squared - means[:, None] - means[None, :] + overall / m)


def _chunks(subsets: Iterator[tuple[int, ...]], count: int) -> Iterator[list[tuple[int, ...]]]:
    while chunk := list(islice(subsets, count)):
        yield chunk
