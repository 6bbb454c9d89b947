"""Top-coordinate sparsification: each row keeps its k largest coordinates. A baseline of compression, not a defence.

Aji, Heafield. Sparse communication for distributed gradient descent. EMNLP 2017, arXiv 1704.05021.
Differs from the paper: done by the coordinator, on what has arrived, without the residual a client would carry on;
what it shows is what a sparse wire would cost in accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.preaggregators.base import apply_row_wise
from byzantiny.updates import AnyBatch, Diagnostics, InvalidBatchError, PipelineError, UpdateBatch, all_kept
from byzantiny.updates.rules import RuleInfo, require_clients
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class TopCoordinates:
    """Keep the k coordinates of each row with the largest `|x| 2^(e_t)`, zero the others; ties to the lowest index.

    Magnitudes are compared in real units, because a code of a coarser tensor is worth more.

    >>> batch = UpdateBatch.from_rows(np.array([[3, -4, 1, 4], [0, 0, 0, 9]], dtype=np.int8))
    >>> sparse, _ = TopCoordinates(k=2).apply(batch, None, rng=np.random.default_rng(0))
    >>> sparse.rows.tolist(), sparse.trace[-1].score.tolist()
    ([[0, -4, 0, 4], [0, 0, 0, 9]], [2.0, 1.0])
    """

    k: int

    name: ClassVar[str] = "top-coordinates"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="top-coordinates",
        formula="x_ij where |x_ij| is among the k largest of row i, else 0",
        limit="n >= 1; k <= d",
        breakdown="0: no defence",
        cost="O(n d)",
        streams="rows",
        paper="Aji and Heafield, EMNLP 2017, arXiv 1704.05021",
        keeps=frozenset({"exact", "permutation", "negation", "scale"}),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise PipelineError(f"top-coordinates: k is {self.k!r}; it is a count of coordinates, an integer from 1")

    @property
    def min_clients(self) -> int:
        """One."""
        return 1

    def rows_out(self, n: int) -> int:
        """As many as came in."""
        return n

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:  # noqa: ARG002
        """Return the sparse rows; the score of a row is how many coordinates it has left."""
        return apply_row_wise(self, batch, state)

    def part(self, batch: UpdateBatch, state: None) -> tuple[NDArray[Any], Diagnostics]:  # noqa: ARG002
        """Return some of a round's rows, sparse."""
        if self.k > batch.d:
            raise InvalidBatchError(
                f"top-coordinates: k = {self.k} of {batch.d} coordinates; choose k up to {batch.d}, or leave the stage out"
            )
        exponents = batch.layout.exponents(batch.shifts)
        worth = np.repeat([2 ** (e - min(exponents)) for e in exponents], [t.elements for t in batch.layout.tensors])
        rows = np.stack([_sparse(row, worth, self.k) for row in batch.rows])
        left = np.count_nonzero(rows, axis=1).astype(np.float64)
        return rows, all_kept(self.name, batch.n, score=left)

    def whole(self, diagnostics: Diagnostics, batch: AnyBatch, state: None) -> tuple[Diagnostics, None]:
        """Return the diagnostics with k."""
        require_clients(self.name, batch.n, self.min_clients, "n >= 1")
        return replace(diagnostics, details={"coordinates_kept": float(self.k)}), state


def _sparse(row: NDArray[Any], worth: NDArray[np.int64], k: int) -> NDArray[Any]:
    magnitude = np.abs(row * worth)
    least = np.partition(magnitude, len(row) - k)[len(row) - k]
    kept = magnitude > least
    ties = np.flatnonzero(magnitude == least)
    kept[ties[: k - np.count_nonzero(kept)]] = True
    return np.where(kept, row, row.dtype.type(0))
