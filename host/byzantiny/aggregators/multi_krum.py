"""Multi-Krum: the mean of the m rows with the best Krum scores.

Blanchard, El Mhamdi, Guerraoui, Stainer. Machine learning with adversaries: Byzantine tolerant gradient descent.
NeurIPS 2017.
Differs from the paper: m is a parameter, as there, with the default n - f (ByzFL, Flower); CRYPTO-KU's is n - f - 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.selection import krum_scores, lowest, mean_of_rows
from byzantiny.updates import AnyAggregate, UpdateBatch, squared_distances
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class MultiKrum:
    """Return the mean of the `m` rows with the lowest Krum scores, ties to the lowest index; m is n - f by default.

    An exact integer sum over m for int8 rows. An m above n - f would have to hold a Byzantine row, so it raises.

    >>> rows = [[10, -3], [12, -5], [9, -4], [11, -2], [13, -6], [-40, 60], [-38, 63]]
    >>> batch = UpdateBatch.from_rows(np.array(rows, dtype=np.int8))
    >>> aggregate, _ = MultiKrum(f=2).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([55, -20], 5)
    """

    f: int
    m: int | None = None

    name: ClassVar[str] = "multi-krum"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="multi-krum",
        formula="mean of the m rows with the lowest Krum scores; m = n - f by default",
        limit="n >= 2f + 3 and n >= m + f",
        breakdown="f / n as declared, below 1/2",
        cost="O(n^2 d)",
        paper="Blanchard et al., NeurIPS 2017",
        keeps=frozenset(
            {"exact", "permutation-up-to-ties", "identity", "translation", "negation", "scale", "mean", "convex"}
        ),
        kappa=Kappa(
            "f / h (1 + sqrt(f / q) + sqrt(n (h - 2) / ((h - 1) q)))^2, h = n - f, q = h - f - 1; m = h",
            kappas.OURS,
            kappas.multi_krum,
        ),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)
        if self.m is not None:
            require_count(self.name, "m", self.m, 1)

    @property
    def min_clients(self) -> int:
        """`2f + 3`, and `m + f`."""
        return max(2 * self.f + 3, (self.m or 0) + self.f)

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean of the chosen rows; the diagnostics hold every row's score."""
        because = f"f = {self.f} needs n >= 2f + 3" + ("" if self.m is None else f", m = {self.m} needs n >= m + f")
        require_clients(self.name, batch.n, self.min_clients, because)
        neighbours = batch.n - self.f - 2
        scores = krum_scores(squared_distances(batch), neighbours)
        kept = lowest(scores, batch.n - self.f if self.m is None else self.m)
        return mean_of_rows(self.name, batch, kept, scores, neighbours=float(neighbours)), state
