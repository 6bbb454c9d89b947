"""What the rules share that judge whole rows: scores from distances, the lowest scores, the mean of the rows kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates import Aggregate, AnyAggregate, Diagnostics, FloatAggregate, UpdateBatch


def ranked_neighbours(distances: NDArray[Any]) -> NDArray[Any]:
    """Return every row's distances to the others, nearest first: (n, n - 1), without the one to itself.

    >>> ranked_neighbours(np.array([[0, 9, 1], [9, 0, 4], [1, 4, 0]])).tolist()
    [[1, 9], [4, 9], [1, 4]]
    """
    n = len(distances)
    others = distances[~np.eye(n, dtype=np.bool_)].reshape(n, n - 1)
    others.sort(axis=1)
    return others


def nearest_sums(ranked: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the sum of the first `count` numbers of every row: exact in int64, in the order of SPEC 4 in float64.

    >>> nearest_sums(np.array([[1, 9], [4, 9], [1, 4]]), 1).tolist()
    [1, 4, 1]
    """
    nearest = ranked[:, :count]
    if ranked.dtype == np.int64:
        return np.asarray(nearest.sum(axis=1))
    return kernels.float_row_sum(nearest)


def lowest(scores: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Return a mask of the `count` lowest scores; of equal scores the lower index goes first.

    >>> lowest(np.array([5, 3, 5, 5]), 2).tolist()
    [True, True, False, False]
    """
    kept = np.zeros(len(scores), dtype=np.bool_)
    kept[np.argsort(scores, kind="stable")[:count]] = True
    return kept


def mean_of_rows(
    rule: str, batch: UpdateBatch, kept: NDArray[np.bool_], score: NDArray[Any] | None = None, **details: float
) -> AnyAggregate:
    """Return the mean of the kept rows: an exact integer sum over their number, or a float sum in a fixed order.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [3, 5], [90, 90]], dtype=np.int8))
    >>> aggregate = mean_of_rows("krum", batch, np.array([True, True, False]))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.diagnostics.weight.tolist()
    ([4, 7], 2, [0.5, 0.5, 0.0])
    """
    count = int(np.count_nonzero(kept))
    diagnostics = Diagnostics(
        rule,
        kept=kept,
        weight=kept / count,
        score=None if score is None else score.astype(np.float64),
        details={"rows_kept": float(count), **details},
    )
    if batch.exact:
        rows = np.ascontiguousarray(batch.stored[..., kept, :])
        return Aggregate(kernels.column_sum(rows, batch.d), np.int64(count), diagnostics)
    return FloatAggregate(kernels.float_column_sum(batch.rows[kept]) / count, diagnostics)
