"""The median of the values underneath stochastically rounded codes.

The location estimate is Huber's. Robust estimation of a location parameter. Ann. Math. Statist. 35(1), 1964.
What is new: its threshold is one step, the smallest at which stochastic rounding leaves it unbiased where all
clients agree, and it is kept inside the interval of medians that the codes allow. Derivation, bias curve and error
bound: docs/rules/sr-median.md.
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
class SRMedian:
    """Return `m +- min(|A - B| / (C + S), 2 S / (n - 2 T))` per coordinate, towards the side with more values.

    m is the (lower) median code, C the number of values equal to it, A above, B below; S the number one step from m on
    the side of the larger of A and B, T those beyond that step. The first term solves `sum_i clamp(c_i - x, -1, 1)
    = 0`; the second is as far as a median of underlying values can lie for these counts. If n is even and the two middle
    values are two steps or more apart, it is their mean. With `f` declared, n >= 2f + 1 is required.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[0]] * 9 + [[1]], dtype=np.int8))
    >>> aggregate, _ = SRMedian(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), aggregate.denominator.tolist()
    ([1], [10])
    """

    f: int | None = None

    name: ClassVar[str] = "sr-median"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="sr-median",
        formula="the x of sum_i clamp(c_i - x, -1, 1) = 0 per coordinate, within the medians the counts allow",
        limit="n >= 1; n >= 2f + 1 with f declared; rows of codes",
        breakdown="floor((n-1)/2) / n",
        cost="O(n d)",
        streams="counts",
        paper="this project, docs/rules/sr-median.md; Huber, Ann. Math. Statist. 35(1), 1964",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "negation"}),
        hull_steps=1.0,
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
        """Return the median of the underlying values; every row is kept, and none has a weight of its own."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        low, high, below, equal, before, after = code_columns(self.name, batch).median_counts()
        above = batch.n - below - equal
        upwards = above >= below
        excess = np.abs(above - below)
        side = np.where(upwards, after, before)
        near, inner = equal + side, batch.n - 2 * (np.where(upwards, above, below) - side)
        limited = excess * inner > 2 * side * near
        offset = np.where(limited, 2 * side, excess)
        denominator = np.where(limited, inner, near)
        apart = high - low >= 2  # only then may `inner` be 0: half the values lie beyond the step
        numerator = np.where(apart, low + high, low * denominator + np.where(upwards, offset, -offset))
        diagnostics = all_kept(self.name, batch.n, limited=np.count_nonzero(limited & ~apart))
        return Aggregate(numerator, np.where(apart, 2, denominator), diagnostics), state
