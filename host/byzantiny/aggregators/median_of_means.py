"""Median of means: the coordinate-wise median of the means of k groups.

Chen, Su, Xu. Distributed statistical machine learning in adversarial settings: Byzantine gradient descent.
POMACS 1(2), 2017, arXiv 1705.05491.
Differs from the paper: the median is taken by coordinate (the paper's is geometric), and the groups are drawn anew
every round from the generator, so that no liar chooses whose group it spoils; `perm` fixes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import middle
from byzantiny.updates import (
    Aggregate,
    AnyAggregate,
    BeyondLimitError,
    FloatAggregate,
    PipelineError,
    UpdateBatch,
    all_kept,
)
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_f, require_permutation
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class MedianOfMeans:
    """Return the median of the k group means per coordinate, exact: groups of g and g + 1 rows over 2 lcm(g, g + 1).

    The rows are shuffled and cut into k groups whose lengths differ by at most one. f liars spoil at most f groups, so
    k >= 2f + 1 is required; k defaults to that, and k = 1 is the mean.

    >>> batch = UpdateBatch.from_rows(np.array([[1], [3], [90], [5], [6]], dtype=np.int8))
    >>> aggregate, _ = MedianOfMeans(k=3, perm=(0, 1, 2, 3, 4)).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.diagnostics.score.tolist()
    ([24], 4, [0.0, 0.0, 1.0, 1.0, 2.0])
    """

    k: int | None = None
    f: int | None = None
    perm: tuple[int, ...] | None = None

    name: ClassVar[str] = "median-of-means"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="median-of-means",
        formula="median of the means of k groups, per coordinate",
        limit="n >= k >= 2f + 1",
        breakdown="floor((k-1)/2) / n",
        cost="O(n d)",
        paper="Chen et al., POMACS 1(2), 2017, arXiv 1705.05491",
        keeps=frozenset({"exact", "identity", "translation", "negation", "scale", "mean"}),
        hull_steps=0,
        kappa=Kappa("(n - f - g) / g, g = floor(n / (2f + 1)); k = 2f + 1", kappas.OURS, kappas.median_of_means),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        require_permutation(self.name, "perm", self.perm)
        if self.k is None and self.f is None:
            raise PipelineError("median-of-means needs k, the number of groups, or f; add one to the stage")
        if not isinstance(self.groups, int) or isinstance(self.groups, bool) or self.groups < 2 * (self.f or 0) + 1:
            raise PipelineError(
                f"median-of-means: k is {self.k!r}; f = {self.f or 0} liars spoil as many groups, so an integer from "
                f"2f + 1 = {2 * (self.f or 0) + 1} is needed"
            )

    @property
    def groups(self) -> int:
        """`k`, or `2f + 1` where it is not given."""
        return 2 * (self.f or 0) + 1 if self.k is None else self.k

    @property
    def min_clients(self) -> int:
        """As many as groups."""
        return self.groups

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:
        """Return the median of the group means; the score of a row is the number of its group."""
        require_clients(self.name, batch.n, self.min_clients, f"k = {self.groups} groups need n >= k")
        parts = np.array_split(self._order(batch.n, rng), self.groups)
        group = np.empty(batch.n)
        for number, part in enumerate(parts):
            group[part] = number
        diagnostics = all_kept(self.name, batch.n, score=group, groups=self.groups)
        lo, hi = (self.groups - 1) // 2, self.groups // 2
        if batch.exact:
            common = math.lcm(*(len(part) for part in parts))
            scaled = [kernels.column_sum(batch.rows[part], batch.d) * (common // len(part)) for part in parts]
            ranked = np.partition(np.stack(scaled), (lo, hi), axis=0)
            return Aggregate(ranked[lo] + ranked[hi], np.int64(2 * common), diagnostics), state

        def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
            means = np.stack([kernels.float_column_sum(values[part]) / len(part) for part in parts])
            return middle(means, lo, hi)

        return FloatAggregate(batch.by_columns(median), diagnostics), state

    def _order(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.perm is None:
            return rng.permutation(n)
        if len(self.perm) != n:
            raise BeyondLimitError(
                f"median-of-means: a perm of {len(self.perm)} for {n} rows; give one of {n}, or leave it out"
            )
        return np.array(self.perm, dtype=np.int64)
