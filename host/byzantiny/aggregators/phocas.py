"""Phocas: the mean around the trimmed mean, by coordinate.

Xie, Koyejo, Gupta. Phocas: dimensional Byzantine-resilient stochastic gradient descent. 2018, arXiv 1805.09682.
Differs from the paper: of two values as near to the trimmed mean the lower is kept (the paper leaves it open), and
distances are compared exactly, the trimmed mean being a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import nearest_mean, ranked
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, all_kept
from byzantiny.updates.rules import Bound, Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Phocas:
    """Return the mean of the n - f values nearest to the f-trimmed mean, per coordinate; numerator over n - f.

    Meamed with another centre. Because ties go to the lower value, negated rows need not give the negated aggregate.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[0], [1], [5], [6], [100]], dtype=np.int8))
    >>> aggregate, _ = Phocas(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([12], 4)
    """

    f: int

    name: ClassVar[str] = "phocas"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="phocas",
        formula="mean of the n - f values nearest to the f-trimmed mean, per coordinate",
        limit="n >= 2f + 1",
        breakdown="f / n as declared, below 1/2",
        cost="O(n log n d)",
        streams="counts",
        paper="Xie et al., 2018, arXiv 1805.09682",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "scale", "mean"}),
        hull_steps=0,
        hull_spread=Bound("f / (n - f)", lambda n, f: f / (n - f)),
        kappa=Kappa("4 f / (n - 2f)", kappas.OURS, kappas.phocas),
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
        """Return the mean around the trimmed mean; values are dropped, not rows, so every row is kept."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        kept, middle = batch.n - self.f, batch.n - 2 * self.f
        diagnostics = all_kept(self.name, batch.n, values_kept=kept)
        if batch.exact:
            total = batch.columns.nearest_sum(self.f, batch.columns.trimmed_sum(self.f), middle)
            return Aggregate(total, np.int64(kept), diagnostics), state

        def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
            ranks = ranked(values)
            return nearest_mean(ranks, self.f, kernels.float_column_sum(ranks[self.f : self.f + middle]) / middle)

        return FloatAggregate(batch.by_columns(around), diagnostics), state
