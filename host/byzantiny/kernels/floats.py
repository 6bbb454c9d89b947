"""The sums of float rows in a fixed order (SPEC 4): C where a library is loaded, NumPy where none is, the same bits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.floats import Floats
from byzantiny.kernels.reference import floats as reference
from byzantiny.kernels.reference.floats import float_nearest_sum

__all__ = [
    "float_column_sum",
    "float_nearest_sum",
    "float_row_sum",
    "float_squared_distances",
    "float_squared_distances_to",
    "float_weighted_sum",
]


def float_column_sum(rows: NDArray[np.float64], kept: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the sum over rows, or over those kept: lane `i mod 8`, then `((0+4)+(2+6)) + ((1+5)+(3+7))` (SPEC 4).

    The order depends on n alone, so neither threads nor the instruction set change a bit; NumPy's own `sum` may.

    >>> float_column_sum(np.full((9, 1), 0.5)).tolist(), float_column_sum(np.eye(3), np.array([True, False, True])).tolist()
    ([4.5], [1.0, 0.0, 1.0])
    """
    functions = _native(native.select()[1])
    if functions is None or rows.dtype != np.float64:
        return reference.float_column_sum(rows if kept is None else rows[kept])
    order = np.arange(len(rows)) if kept is None else np.flatnonzero(kept)
    return functions.float_weighted_sum(rows, np.ones(len(order)), order.astype(np.uint32))


def float_row_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of every row, (n,): coordinate j goes to lane `j mod 8`, then as in `float_column_sum`.

    >>> float_row_sum(np.full((1, 9), 0.5)).tolist()
    [4.5]
    """
    functions = _native(native.select()[1])
    return reference.float_row_sum(values) if functions is None else functions.float_row_sum(values)


def float_squared_distances_to(
    rows: NDArray[Any], center: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `sum_j ((x_ij - center_j) scale_j)^2` per row, float64 (n,), in the order of `float_row_sum`.

    >>> float_squared_distances_to(np.array([[3, 4], [0, 1]], dtype=np.int8), np.zeros(2), np.ones(2)).tolist()
    [25.0, 1.0]
    """
    functions = _native(native.select()[1])
    if functions is None or rows.dtype != np.float64:
        return reference.float_squared_distances_to(rows, center, scale)
    return functions.float_squared_distances_to(rows, center, scale)


def float_squared_distances(rows: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sum_j ((x_ij - x_kj) scale_j)^2`, float64 (n, n), symmetric, in the order of `float_row_sum`.

    >>> float_squared_distances(np.array([[0.5], [2.5]]), np.ones(1)).tolist()
    [[0.0, 4.0], [4.0, 0.0]]
    """
    functions = _native(native.select()[1])
    if functions is None:
        return reference.float_squared_distances(rows, scale)
    return functions.float_squared_distances(rows, scale)


def float_weighted_sum(rows: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sum_i weights_i x_i`, float64 (d,), in the order of `float_column_sum`.

    >>> float_weighted_sum(np.array([[3, 4], [0, 1]], dtype=np.int8), np.array([0.5, 2.0])).tolist()
    [1.5, 4.0]
    """
    functions = _native(native.select()[1])
    if functions is None or rows.dtype != np.float64:
        return reference.float_weighted_sum(rows, weights)
    return functions.float_weighted_sum(rows, weights, np.arange(len(rows), dtype=np.uint32))


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Floats | None:
    return None if library is None else Floats(library)
