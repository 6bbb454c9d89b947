"""Distances and norms in the common unit of a batch: exact integers of codes, a fixed order of float rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.batch import UpdateBatch
from byzantiny.updates.norms import weighted_squared_norms
from byzantiny.updates.steps import Steps, common_scale, distance_weights, finite_distances


def squared_distances(batch: UpdateBatch) -> NDArray[Any]:
    """Return `sum_t 4^(e_t - e_min) sum_j (x_tj - y_tj)^2` of every two rows, (n, n): int64 of codes, else float64.

    From the Gram matrix, `G_ii + G_kk - 2 G_ik`: in integers nothing cancels (Flower's floats do).

    Raises:
        InvalidBatchError: sums of a row's distances that could leave int64, or float distances that overflow.

    Source: SPEC 3 ("Codes and shifts").

    >>> squared_distances(UpdateBatch.from_rows(np.array([[3, 4], [0, 0]], dtype=np.int8))).tolist()
    [[0, 25], [25, 0]]
    """
    if not batch.exact:
        with np.errstate(over="ignore"):
            return finite_distances(kernels.float_squared_distances(batch.rows, common_scale(batch)))
    squared = kernels.gram(batch.stored, batch.layout.slices, distance_weights(batch))
    norms = squared.diagonal().copy()
    squared *= -2
    squared += norms
    squared += norms[:, None]
    return squared


def squared_distances_to_row(batch: UpdateBatch, row: int) -> NDArray[Any]:
    """Return that row of `squared_distances`, (n,), at the cost of one row.

    >>> squared_distances_to_row(UpdateBatch.from_rows(np.array([[3, 4], [0, 0]], dtype=np.int8)), 1).tolist()
    [25, 0]
    """
    if not batch.exact:
        return squared_distances_to(batch, batch.rows[row])
    norms = weighted_squared_norms(batch)
    products = kernels.inner_products(batch.stored, row, batch.layout.slices, distance_weights(batch))
    return np.asarray(norms + norms[row] - 2 * products)


def squared_distances_to(batch: UpdateBatch, center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distance of every row to a float point, float64 (n,).

    Raises:
        InvalidBatchError: distances that overflow.

    >>> squared_distances_to(UpdateBatch.from_rows(np.array([[3, 4], [0, 0]], dtype=np.int8)), np.array([0.5, 0.0])).tolist()
    [22.25, 0.25]
    """
    return Steps(batch).distances_to(center)


def squared_norms(batch: UpdateBatch) -> NDArray[Any]:
    """Return the squared norm of every row, (n,): int64 of codes, else float64; in steps of e_min.

    >>> squared_norms(UpdateBatch.from_rows(np.array([[0.5, 0.5]]))).tolist()
    [0.5]
    """
    return weighted_squared_norms(batch) if batch.exact else squared_distances_to(batch, np.zeros(batch.d))
