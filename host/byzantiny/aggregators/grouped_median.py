"""The median of grouped data: a code is a bin of one step, and the median is interpolated inside its bin.

The formula of any statistics textbook, L + (n/2 - F) / c; as an estimating equation, Huber, Ann. Math. Statist. 35(1), 1964.
Differs from the textbooks: exact, as a fraction; where the count reaches n/2 between two bins, the middle of the gap,
as `median` has it. Read the page of `sr-median` before using it on stochastically rounded codes: this rule takes
them for nearest ones, and is biased by up to 0.086 of a step for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.grid import code_columns
from byzantiny.updates import Aggregate, AnyBatch, all_kept
from byzantiny.updates.rules import RuleInfo, require_clients, require_f
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class GroupedMedian:
    """Return `m + (A - B) / (2 C)` per coordinate: m the median code, A values above it, B below, C equal to it.

    That is `m - 1/2 + (n/2 - B) / C`, and also Huber's location with a threshold of half a step. If n is even and the
    two middle values differ, it is their mean. With `f` declared, n >= 2f + 1 is required.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[0]] * 9 + [[1]], dtype=np.int8))
    >>> aggregate, _ = GroupedMedian(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), aggregate.denominator.tolist()
    ([1], [18])
    """

    f: int | None = None

    name: ClassVar[str] = "grouped-median"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="grouped-median",
        formula="m + (#above m - #below m) / (2 #equal m) per coordinate, m the median code",
        limit="n >= 1; n >= 2f + 1 with f declared; rows of codes",
        breakdown="floor((n-1)/2) / n",
        cost="O(n d)",
        streams="counts",
        paper="the median of grouped data (textbook); Huber, Ann. Math. Statist. 35(1), 1964",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "negation"}),
        hull_steps=0.5,
        kappa=kappas.NONE_IN_STEPS,
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[Aggregate, None]:  # noqa: ARG002
        """Return the interpolated median; every row is kept, and none has a weight of its own."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        low, high, below, equal, _, _ = code_columns(self.name, batch).median_counts()
        above = batch.n - below - equal
        numerator = np.where(low == high, 2 * low * equal + above - below, low + high)
        denominator = np.where(low == high, 2 * equal, 2)
        diagnostics = all_kept(self.name, batch.n, interpolated=np.count_nonzero(low == high))
        return Aggregate(numerator, denominator, diagnostics), state
