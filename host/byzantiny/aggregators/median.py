"""Coordinate-wise median.

Yin, Chen, Kannan, Bartlett. Byzantine-robust distributed learning: towards optimal statistical rates.
ICML 2018, arXiv 1803.01498.
Differs from the paper: for even n the mean of the two middle values, kept exact as a numerator over 2 (torch
takes the lower one); unweighted, because a sample count is an attacker's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import middle
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, all_kept
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_f
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Median:
    """Return `(x_(floor((n-1)/2)) + x_(floor(n/2))) / 2` per coordinate, the order statistics counted from 0.

    The numerator is the sum of the two, the denominator always 2, so even and odd n follow one rule and ties need
    none. With `f` declared, n >= 2f + 1 is required: then every coordinate lies among the honest values.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [5, 3], [3, 40], [4, 30]], dtype=np.int8))
    >>> aggregate, _ = Median(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.values.tolist()
    ([7, 33], 2, [3.5, 16.5])
    """

    f: int | None = None

    name: ClassVar[str] = "median"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="median",
        formula="(x_(floor((n-1)/2)) + x_(floor(n/2))) / 2 per coordinate",
        limit="n >= 1; n >= 2f + 1 with f declared",
        breakdown="floor((n-1)/2) / n",
        cost="O(n d)",
        streams="counts",
        paper="Yin et al., ICML 2018, arXiv 1803.01498",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "negation", "scale"}),
        hull_steps=0,
        kappa=Kappa("(n - f - q) / q, q = floor(n/2) + 1 - f; attained", kappas.OURS, kappas.median),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the median of the rows; every row is kept, and none has a weight of its own."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        diagnostics = all_kept(self.name, batch.n)
        if batch.exact:
            return Aggregate(batch.columns.median(), np.int64(2), diagnostics), state
        lo, hi = (batch.n - 1) // 2, batch.n // 2
        return FloatAggregate(batch.by_columns(lambda values: middle(values, lo, hi)), diagnostics), state
