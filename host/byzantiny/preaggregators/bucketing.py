"""Bucketing: the means of small groups of rows, drawn at random.

Karimireddy, He, Jaggi. Byzantine-robust learning on heterogeneous datasets via bucketing. ICLR 2022, arXiv 2006.09365.
Differs from the paper: the permutation can be given. It comes from the generator of the round, so that a round can be
repeated. FLPoison shuffles a matrix with `random.shuffle`, which repeats some rows and loses others (24.5 of 50
clients in the mean); here every client is in exactly one bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.updates import BeyondLimitError, UpdateBatch, all_kept
from byzantiny.updates.rules import RuleInfo, require_clients, require_count, require_f, require_permutation
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Bucketing:
    """Permute the rows, cut them into buckets of `s`, the last one maybe smaller, and pass on the buckets' means.

    n rows become `ceil(n / s)`, of which up to f are Byzantine still: the rule behind it needs as many buckets for its
    f as it would need rows. With `f` declared, n >= 2 f s + 1 is required, that is, 2f + 1 buckets. Means of int8 rows
    are exact integers, divided once. `permutation` is for tests and for repeating somebody's figures.

    >>> batch = UpdateBatch.from_rows(np.array([[1], [2], [3], [4], [5]], dtype=np.int8))
    >>> bucketing = Bucketing(s=2, permutation=(2, 0, 4, 1, 3))
    >>> bucketed, _ = bucketing.apply(batch, None, rng=np.random.default_rng(0))
    >>> bucketed.rows.ravel().tolist(), bucketed.origin[0].tolist()
    ([2.0, 3.5, 4.0], [0.5, 0.0, 0.5, 0.0, 0.0])
    """

    s: int = 2
    f: int | None = None
    permutation: tuple[int, ...] | None = None

    name: ClassVar[str] = "bucketing"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="bucketing",
        formula="means of ceil(n / s) buckets of s rows in random order",
        limit="n >= 1; n >= 2 f s + 1 with f declared",
        breakdown="that of the rule behind it, divided by s",
        cost="O(n d)",
        paper="Karimireddy et al., ICLR 2022, arXiv 2006.09365",
        keeps=frozenset({"identity", "translation", "negation", "scale"}),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "s", self.s, 1)
        require_f(self.name, self.f)
        require_permutation(self.name, "permutation", self.permutation)

    @property
    def min_clients(self) -> int:
        """`2 f s + 1`; one if no f is declared."""
        return 2 * (self.f or 0) * self.s + 1

    def rows_out(self, n: int) -> int:
        """`ceil(n / s)`."""
        return -(-n // self.s)

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:
        """Return the buckets' means; a row's score is the number of its bucket.

        Raises:
            BeyondLimitError: too few rows, or a permutation of another number of them.
        """
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0}, s = {self.s} need n >= 2 f s + 1")
        order = self._order(batch.n, rng)
        bucket = np.empty(batch.n, dtype=np.int64)
        bucket[order] = np.arange(batch.n) // min(self.s, batch.n)
        members = bucket == np.arange(self.rows_out(batch.n))[:, None]
        diagnostics = all_kept(self.name, batch.n, score=bucket.astype(np.float64), buckets=len(members))
        return batch.with_means(members, diagnostics), state

    def _order(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.permutation is None:
            return rng.permutation(n).astype(np.int64)
        if len(self.permutation) != n:
            raise BeyondLimitError(
                f"bucketing: a permutation of {len(self.permutation)} for {n} rows; give one of {n}, or leave it out"
            )
        return np.array(self.permutation, dtype=np.int64)
