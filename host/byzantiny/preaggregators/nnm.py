"""Nearest-neighbour mixing: every row becomes the mean of the n - f rows nearest to it.

Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan. Fixing by mixing: a recipe for optimal Byzantine ML under
heterogeneity. AISTATS 2023, arXiv 2302.01772.
Differs from the paper: nothing. It leaves ties open; here a row comes first among its own neighbours, then the lowest
index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.updates import UpdateBatch, all_kept, squared_distances
from byzantiny.updates.rules import RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class NNM:
    """Replace every row by the mean of the `n - f` rows nearest to it, itself included.

    Distances and sums of int8 rows are exact integers, so each number passed on is the fraction, rounded to float64
    once: times n - f, rounded, it is the integer again. A row's score is how many rows it was mixed into.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.int8))
    >>> mixed, _ = NNM(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> mixed.rows.tolist(), mixed.trace[-1].score.tolist()
    ([[2.5, 3.5, 4.5], [2.5, 3.5, 4.5], [5.5, 6.5, 7.5]], [2.0, 3.0, 1.0])
    """

    f: int

    name: ClassVar[str] = "nnm"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="nnm",
        formula="x_i <- mean of the n - f rows nearest to x_i",
        limit="n >= 2f + 1",
        breakdown="that of the rule behind it, below 1/2",
        cost="O(n^2 d)",
        paper="Allouah et al., AISTATS 2023, arXiv 2302.01772",
        keeps=frozenset({"permutation-up-to-ties", "identity", "translation", "negation", "scale"}),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def rows_out(self, n: int) -> int:
        """As many as came in."""
        return n

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:  # noqa: ARG002
        """Return the mixed rows; every row is kept, and `mixing` says where it went."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        count = batch.n - self.f
        members = kernels.nearest_members(squared_distances(batch), count)
        mixed_into = members.sum(axis=0).astype(np.float64)
        diagnostics = all_kept(self.name, batch.n, score=mixed_into, neighbours=count)
        return batch.with_means(members, diagnostics), state
