"""What the rules share that judge whole rows: scores from distances, the lowest scores, the mean of the rows kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates import Aggregate, AnyAggregate, Diagnostics, FloatAggregate, UpdateBatch


def krum_scores(distances: NDArray[Any], neighbours: int) -> NDArray[Any]:
    """Return the sum of every row's squared distances to its nearest others: exact in int64, in the order of SPEC 4 in float64.

    A row's distance to itself, 0, is the smallest, or equal to it: in integers it is counted along, and adds nothing.

    >>> krum_scores(np.array([[0, 9, 1], [9, 0, 4], [1, 4, 0]]), 1).tolist()
    [1, 4, 1]
    """
    if distances.dtype == np.int64:
        return kernels.smallest_sums(distances, neighbours + 1)
    return kernels.float_row_sum(np.sort(distances, axis=1)[:, 1 : neighbours + 1])


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
        total = kernels.weighted_sum(batch.stored, kept.astype(np.int64), batch.d)
        return Aggregate(total, np.int64(count), diagnostics)
    return FloatAggregate(kernels.float_column_sum(batch.rows, kept) / count, diagnostics)
