"""Coordinate-wise trimmed mean.

Yin, Chen, Kannan, Bartlett. Byzantine-robust distributed learning: towards optimal statistical rates.
ICML 2018, arXiv 1803.01498.
Differs from the paper: f values go on each side, not a fraction beta (Flower's beta is f = floor(beta n)); the mean is
kept exact as a numerator over n - 2f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import ranked
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, all_kept
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """Return `(sum_i clamp(x_i, L, U) - f (L + U)) / (n - 2f)` per coordinate, L = x_(f), U = x_(n-1-f) counted from 0.

    That is the mean without the f smallest and the f largest values; which of equal values go makes no difference.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [5, 3], [3, 40], [4, 30]], dtype=np.int8))
    >>> aggregate, _ = TrimmedMean(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([7, 33], 2)
    """

    f: int

    name: ClassVar[str] = "trimmed-mean"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="trimmed-mean",
        formula="mean of x_(f) .. x_(n-1-f) per coordinate",
        limit="n >= 2f + 1",
        breakdown="f / n as declared, below 1/2",
        cost="O(n d)",
        streams="counts",
        paper="Yin et al., ICML 2018, arXiv 1803.01498",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "negation", "scale", "mean"}),
        hull_steps=0,
        kappa=Kappa("f / (n - 2f); attained, and the least of any rule", kappas.OURS, kappas.trimmed_mean),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the trimmed mean; what is trimmed are values, so every row is kept and none has a weight of its own."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        left = batch.n - 2 * self.f
        diagnostics = all_kept(self.name, batch.n, values_kept=left)
        if batch.exact:
            return Aggregate(batch.columns.trimmed_sum(self.f), np.int64(left), diagnostics), state
        middle = slice(self.f, batch.n - self.f)
        sums = batch.by_columns(lambda values: kernels.float_column_sum(ranked(values)[middle]))
        return FloatAggregate(sums / left, diagnostics), state
