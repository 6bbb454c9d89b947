"""Meamed: the mean around the median, by coordinate.

Xie, Koyejo, Gupta. Generalized Byzantine-tolerant SGD. 2018, arXiv 1802.10116.
Differs from the paper: of two values as near to the median the lower is kept (the paper leaves it open), and for even
n the median is the mean of the two middle values, compared exactly at half steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import nearest_mean, ranked
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, all_kept
from byzantiny.updates.rules import Bound, Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Meamed:
    """Return the mean of the n - f values nearest to the median, per coordinate; numerator over n - f.

    Distances are compared doubled, `|2x - (x_lo + x_hi)|`, so a median at a half step is exact. Because ties go to the
    lower value, negated rows need not give the negated aggregate.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[0, 0], [1, 100], [100, 1]], dtype=np.int8))
    >>> aggregate, _ = Meamed(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([1, 1], 2)
    """

    f: int

    name: ClassVar[str] = "meamed"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="meamed",
        formula="mean of the n - f values nearest to the median, per coordinate",
        limit="n >= 2f + 1",
        breakdown="f / n as declared, below 1/2",
        cost="O(n log n d)",
        streams="counts",
        paper="Xie et al., 2018, arXiv 1802.10116",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "scale", "mean"}),
        hull_steps=0,
        hull_spread=Bound("f / (n - f)", lambda n, f: f / (n - f)),
        kappa=Kappa("4 f / (n - f) (1 + kappa of the median)", kappas.OURS, kappas.meamed),
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
        """Return the mean around the median; values are dropped, not rows, so every row is kept."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        kept = batch.n - self.f
        diagnostics = all_kept(self.name, batch.n, values_kept=kept)
        if batch.exact:
            total = batch.columns.nearest_to_median_sum(self.f)
            return Aggregate(total, np.int64(kept), diagnostics), state
        lo, hi = (batch.n - 1) // 2, batch.n // 2

        def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
            ranks = ranked(values)
            return nearest_mean(ranks, self.f, ranks[lo] / 2 + ranks[hi] / 2)

        return FloatAggregate(batch.by_columns(around), diagnostics), state
