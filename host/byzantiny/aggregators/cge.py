"""Comparative gradient elimination: the mean of the n - f shortest rows.

Gupta, Vaidya. Fault-tolerance in distributed optimization: the case of redundancy. PODC 2020; Gupta, Liu, Vaidya.
Byzantine fault-tolerant distributed machine learning with norm-based comparative gradient elimination. DSN-W 2021,
arXiv 2008.04699.
Differs from the paper: the mean, not the sum, of the rows kept (as ByzPy does), so that the step does not grow with n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.selection import lowest, mean_of_rows
from byzantiny.updates import AnyAggregate, UpdateBatch, squared_norms
from byzantiny.updates.rules import RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class CGE:
    """Return the mean of the `n - f` rows with the least `||x_i||`; ties: the lowest index.

    Squared norms of int8 rows are exact integers. It looks at lengths alone: a liar as short as the honest stays.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [3, 4], [2, 0], [90, 90]], dtype=np.int8))
    >>> aggregate, _ = CGE(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.diagnostics.score.tolist()
    ([6, 6], 3, [5.0, 25.0, 4.0, 16200.0])
    """

    f: int

    name: ClassVar[str] = "cge"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="cge",
        formula="mean of the n - f rows with the least ||x_i||",
        limit="n >= 2f + 1",
        breakdown="f / n as declared; bounds lengths, not directions",
        cost="O(n d)",
        paper="Gupta et al., DSN-W 2021, arXiv 2008.04699",
        keeps=frozenset({"exact", "permutation-up-to-ties", "identity", "negation", "scale", "mean", "convex"}),
        kappa=kappas.NONE_WITH_LIARS,
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
        """Return the mean of the shortest rows; the scores are squared norms in steps of e_min."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        norms = squared_norms(batch)
        return mean_of_rows(self.name, batch, lowest(norms, batch.n - self.f), norms), state
