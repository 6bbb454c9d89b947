"""Krum: the row with the nearest neighbours.

Blanchard, El Mhamdi, Guerraoui, Stainer. Machine learning with adversaries: Byzantine tolerant gradient descent.
NeurIPS 2017.
Differs from the paper: nothing. It leaves ties open; here the lowest index wins, rows being in the order of the client
ids. Several libraries compute another rule under this name: with n - f - 1 neighbours (ByzFL, ByzPy), as many with
distances not squared (FLPoison), the distance to itself counted as a neighbour's (NDSS21), distances to the fourth power
(fedlib).
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
class Krum:
    """Return `x_i` with the least `sum over the n - f - 2 nearest j != i of ||x_i - x_j||^2`; ties: the lowest index.

    Scores of int8 rows are exact integers, and so is the choice.

    >>> rows = [[10, -3], [12, -5], [9, -4], [11, -2], [13, -6], [-40, 60], [-38, 63]]
    >>> batch = UpdateBatch.from_rows(np.array(rows, dtype=np.int8))
    >>> aggregate, _ = Krum(f=2).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.values.tolist(), aggregate.diagnostics.score.tolist()
    ([10.0, -3.0], [12.0, 20.0, 20.0, 20.0, 40.0, 12927.0, 13299.0])
    """

    f: int

    name: ClassVar[str] = "krum"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="krum",
        formula="argmin_(x_i) sum over the n - f - 2 nearest j of ||x_i - x_j||^2",
        limit="n >= 2f + 3",
        breakdown="f / n as declared, below 1/2",
        cost="O(n^2 d)",
        paper="Blanchard et al., NeurIPS 2017",
        keeps=frozenset({"exact", "permutation-up-to-ties", "identity", "translation", "negation", "scale", "convex"}),
        kappa=Kappa("(n - f) / (n - 2f - 1) (1 + sqrt(2 (n - f - 2) / (n - f - 1)))^2", kappas.OURS, kappas.krum),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 3`."""
        return 2 * self.f + 3

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the chosen row; the diagnostics hold every row's score."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 3")
        neighbours = batch.n - self.f - 2
        scores = krum_scores(squared_distances(batch), neighbours)
        return mean_of_rows(self.name, batch, lowest(scores, 1), scores, neighbours=float(neighbours)), state
