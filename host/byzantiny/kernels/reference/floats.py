"""The sums of float rows, in NumPy and in a fixed order: neither threads nor the instruction set change a bit (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LANES = 8
"""Lanes of a float sum: row i goes to lane i mod 8, then the lanes are added as a tree (SPEC 4)."""


_BLOCK = 1 << 17
"""Float64 numbers of scratch in a blocked loop (1 MB): what stays in the second-level cache."""


def float_column_sum(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over rows in the fixed order of SPEC 4: lane `i mod 8`, then `((0+4)+(2+6)) + ((1+5)+(3+7))`.

    The order depends on n alone, so neither threads nor the instruction set change a bit; NumPy's own `sum` may.

    >>> float_column_sum(np.full((9, 1), 0.5)).tolist()
    [4.5]
    """
    n, d = rows.shape
    lanes = np.zeros((LANES, d))
    for start in range(0, n, LANES):
        part = rows[start : start + LANES]
        lanes[: len(part)] += part
    pairs = lanes[:4] + lanes[4:]
    fours = pairs[:2] + pairs[2:]
    return np.asarray(fours[0] + fours[1])


def float_nearest_sum(rows: NDArray[np.float64], f: int) -> NDArray[np.float64]:
    """Return the sum of the n - f values of every coordinate nearest to its median, float64 (d,).

    The rule of `nearest_sum`: of two values as near, the lower is kept; summed by rank, in the order of
    `float_column_sum`.

    >>> float_nearest_sum(np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]), 3).tolist()
    [3.0]
    """
    n, d = rows.shape
    kept, lo, hi = n - f, (n - 1) // 2, n // 2
    sums = np.empty(d)
    width = max(64, _BLOCK // n)
    for start in range(0, d, width):
        ranked = np.sort(rows[:, start : start + width] / 2, axis=0)  # halved: the sum of two values must not overflow
        first = (ranked[:f] + ranked[kept:] < ranked[lo] + ranked[hi]).sum(axis=0)
        window = np.take_along_axis(ranked, first + np.arange(kept)[:, None], axis=0)
        sums[start : start + width] = 2 * float_column_sum(window)
    return sums


def float_row_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of every row, (n,), in the order of `float_column_sum` turned by a quarter.

    Coordinate j goes to lane `j mod 8`, lanes are filled from left to right, then `((0+4)+(2+6)) + ((1+5)+(3+7))`
    (SPEC 4). NumPy adds pairwise only along the fastest axis, so the reduction over the middle axis is in order.

    >>> float_row_sum(np.full((1, 9), 0.5)).tolist()
    [4.5]
    """
    n, d = values.shape
    whole = d - d % LANES
    lanes = np.zeros((n, LANES))
    if whole:
        lanes += np.add.reduce(values[:, :whole].reshape(n, -1, LANES), axis=1)
    lanes[:, : d - whole] += values[:, whole:]
    pairs = lanes[:, :4] + lanes[:, 4:]
    fours = pairs[:, :2] + pairs[:, 2:]
    return np.asarray(fours[:, 0] + fours[:, 1])


def float_squared_distances_to(
    rows: NDArray[Any], center: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `sum_j ((x_ij - center_j) scale_j)^2` per row, float64 (n,), in the order of `float_row_sum`.

    >>> float_squared_distances_to(np.array([[3, 4], [0, 1]], dtype=np.int8), np.zeros(2), np.ones(2)).tolist()
    [25.0, 1.0]
    """
    n, d = rows.shape
    squared = np.empty(n)
    height = max(1, _BLOCK // d)
    for first in range(0, n, height):
        part = (rows[first : first + height] - center) * scale
        part *= part
        squared[first : first + height] = float_row_sum(part)
    return squared


def float_squared_distances(rows: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sum_j ((x_ij - x_kj) scale_j)^2`, float64 (n, n), symmetric, in the order of `float_row_sum`.

    >>> float_squared_distances(np.array([[0.5], [2.5]]), np.ones(1)).tolist()
    [[0.0, 4.0], [4.0, 0.0]]
    """
    n = len(rows)
    squared = np.zeros((n, n))
    for i in range(n - 1):
        squared[i, i + 1 :] = float_squared_distances_to(rows[i + 1 :], rows[i], scale)
        squared[i + 1 :, i] = squared[i, i + 1 :]
    return squared


def float_weighted_sum(rows: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sum_i weights_i x_i`, float64 (d,), in the order of `float_column_sum`.

    >>> float_weighted_sum(np.array([[3, 4], [0, 1]], dtype=np.int8), np.array([0.5, 2.0])).tolist()
    [1.5, 4.0]
    """
    n, d = rows.shape
    total = np.empty(d)
    width = max(64, _BLOCK // n)
    for start in range(0, d, width):
        total[start : start + width] = float_column_sum(rows[:, start : start + width] * weights[:, None])
    return total
