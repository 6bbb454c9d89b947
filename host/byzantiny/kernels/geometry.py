"""The kernels of distances, subsets and weighted sums in NumPy: exact on int8 codes, in a fixed order on floats.

Exactness of the integer ones, which go through a float32 matrix product because NumPy has no fast integer one: a
product of two codes is at most 127^2 = 16,129, so the sum of 1024 of them is at most 16,516,096 < 2^24. Every partial
sum is thus an integer that float32 holds, and no order of additions, no fused multiply-add and no number of threads
changes it. Sums of blocks are int64. (One product over all of d was wrong by up to 1.7e-6 of the maximum, measured:
enough to turn a near-tie of Krum around.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.reference import LANES, float_column_sum
from byzantiny.kernels.tiles import from_tiles

EXACT_PRODUCTS = 1024
"""Products of two codes that a float32 sum holds exactly, whatever the order: 1024 * 127^2 < 2^24 <= 1041 * 127^2."""

EXACT_CODES = 1 << 17
"""Codes that a float32 sum holds exactly: 2^17 * 127 < 2^24."""

_BLOCK = 1 << 17
"""Float64 numbers of scratch in a blocked loop (1 MB): what stays in the second-level cache."""


def gram(stored: NDArray[np.int8], slices: Sequence[slice], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `sum_t weights[t] X_t X_t^T`, int64 (n, n), over slices t of the coordinates; the caller bounds the sum.

    >>> gram(np.array([[3, 4], [1, -2]], dtype=np.int8), [slice(0, 1), slice(1, 2)], np.array([1, 16])).tolist()
    [[265, -125], [-125, 65]]
    """
    rows = _rows(stored)
    total = np.zeros((len(rows), len(rows)), dtype=np.int64)
    for columns, weight in _exact_blocks(slices, weights):
        block = rows[:, columns].astype(np.float32)
        part = (block @ block.T).astype(np.int64)
        part *= weight
        total += part
    return total


def inner_products(
    stored: NDArray[np.int8], row: int, slices: Sequence[slice], weights: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return one row of `gram`, int64 (n,), without the others.

    >>> inner_products(np.array([[3, 4], [1, -2]], dtype=np.int8), 0, [slice(0, 2)], np.array([1])).tolist()
    [25, -5]
    """
    rows = _rows(stored)
    total = np.zeros(len(rows), dtype=np.int64)
    for columns, weight in _exact_blocks(slices, weights):
        block = rows[:, columns].astype(np.float32)
        total += (block @ block[row]).astype(np.int64) * weight
    return total


def subset_sums(members: NDArray[np.bool_], stored: NDArray[np.int8], d: int) -> NDArray[np.float64]:
    """Return the sum of every subset's rows, float64 (subsets, d) holding exact integers; `members` is (subsets, n).

    Float64, because the caller divides in place: (subsets, d) numbers are what it is about to pass on.

    >>> subset_sums(np.array([[True, False], [True, True]]), np.array([[3, 4], [1, -2]], dtype=np.int8), 2).tolist()
    [[3.0, 4.0], [4.0, 2.0]]
    """
    rows = _rows(stored)[:, :d]
    m, n = members.shape
    chosen = members.astype(np.float32)
    sums = np.zeros((m, d))
    width = max(64, 2 * _BLOCK // (m + n))
    for start in range(0, d, width):
        block = rows[:, start : start + width].astype(np.float32)
        for first in range(0, n, EXACT_CODES):
            part = slice(first, first + EXACT_CODES)
            sums[:, start : start + width] += chosen[:, part] @ block[part]
    return sums


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


def _rows(stored: NDArray[np.int8]) -> NDArray[np.int8]:
    return stored if stored.ndim == 2 else from_tiles(stored, stored.shape[0] * stored.shape[2])


def _exact_blocks(slices: Sequence[slice], weights: NDArray[np.int64]) -> Iterator[tuple[slice, np.int64]]:
    """Yield blocks of at most `EXACT_PRODUCTS` coordinates of one weight; neighbours of equal weight run together."""
    start = 0
    for i, (part, weight) in enumerate(zip(slices, weights, strict=True)):
        if i == 0 or weight != weights[i - 1] or part.start != slices[i - 1].stop:
            start = part.start
        if i + 1 < len(slices) and weights[i + 1] == weight and slices[i + 1].start == part.stop:
            continue
        for first in range(start, part.stop, EXACT_PRODUCTS):
            yield slice(first, min(first + EXACT_PRODUCTS, part.stop)), weight
