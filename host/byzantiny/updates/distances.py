"""Distances and norms in the common unit of a batch: exact integers of codes, a fixed order of float rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.batch import CODE_LIMIT, UpdateBatch
from byzantiny.updates.errors import InvalidBatchError
from byzantiny.updates.norms import weighted_squared_norms


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
            return _finite(kernels.float_squared_distances(batch.rows, common_scale(batch)))
    products = kernels.gram(batch.stored, batch.layout.slices, _weights(batch))
    norms = products.diagonal()
    return np.asarray(norms[:, None] + norms[None, :] - 2 * products)


def squared_distances_to_row(batch: UpdateBatch, row: int) -> NDArray[Any]:
    """Return that row of `squared_distances`, (n,), at the cost of one row.

    >>> squared_distances_to_row(UpdateBatch.from_rows(np.array([[3, 4], [0, 0]], dtype=np.int8)), 1).tolist()
    [25, 0]
    """
    if not batch.exact:
        return squared_distances_to(batch, batch.rows[row])
    norms = weighted_squared_norms(batch)
    products = kernels.inner_products(batch.stored, row, batch.layout.slices, _weights(batch))
    return np.asarray(norms + norms[row] - 2 * products)


def squared_distances_to(batch: UpdateBatch, center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distance of every row to a float point, float64 (n,).

    Raises:
        InvalidBatchError: distances that overflow.
    """
    with np.errstate(over="ignore"):
        return _finite(kernels.float_squared_distances_to(batch.rows, center, common_scale(batch)))


def squared_norms(batch: UpdateBatch) -> NDArray[Any]:
    """Return the squared norm of every row, (n,): int64 of codes, else float64; in steps of e_min.

    >>> squared_norms(UpdateBatch.from_rows(np.array([[0.5, 0.5]]))).tolist()
    [0.5]
    """
    return weighted_squared_norms(batch) if batch.exact else squared_distances_to(batch, np.zeros(batch.d))


def common_scale(batch: UpdateBatch) -> NDArray[np.float64]:
    """Return `2^(e_t - e_min)` of every coordinate, float64 (d,): what brings codes to steps of e_min, exactly."""
    exponents = np.array(batch.layout.exponents(batch.shifts), dtype=np.int64)
    return np.repeat(np.ldexp(1.0, exponents - exponents.min()), [t.elements for t in batch.layout.tensors])


def _weights(batch: UpdateBatch) -> NDArray[np.int64]:
    exponents = np.array(batch.layout.exponents(batch.shifts), dtype=np.int64)
    weights: NDArray[np.int64] = np.int64(4) ** (exponents - exponents.min())
    elements = [t.elements for t in batch.layout.tensors]
    largest = batch.n * sum(int(w) * m * (2 * CODE_LIMIT) ** 2 for w, m in zip(weights, elements, strict=True))
    if largest >= 1 << 63:
        raise InvalidBatchError(
            f"sums of {batch.n} squared distances up to {largest:.3g} leave int64; bring the shifts closer together"
        )
    return weights


def _finite(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(squared).all():
        raise InvalidBatchError(
            "squared distances leave float64: rows of up to 1e150 can be compared; clip them before this rule"
        )
    return squared
