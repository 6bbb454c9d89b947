"""The kernels of distances and subsets of rows of codes, in NumPy: exact.

They go through a float32 matrix product because NumPy has no fast integer one: a
product of two codes is at most 127^2 = 16,129, so the sum of 1024 of them is at most 16,516,096 < 2^24. Every partial
sum is thus an integer that float32 holds, and no order of additions, no fused multiply-add and no number of threads
changes it. Sums of blocks are int64. (One product over all of d was wrong by up to 1.7e-6 of the maximum, measured:
enough to turn a near-tie of Krum around.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.runs import center_bits, weighted_runs
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


def subset_means(
    members: NDArray[np.bool_], counts: NDArray[np.float64], stored: NDArray[np.int8], start: int, stop: int
) -> NDArray[np.float64]:
    """Return the sum of every subset's rows over its count, float64 (subsets, stop - start): exact, rounded once.

    `members` is (subsets, n), `counts` (subsets,); the columns are start .. stop - 1, start a multiple of 64.

    >>> members = np.array([[True, False], [True, True]])
    >>> subset_means(members, np.array([1.0, 2.0]), np.array([[3, 4], [1, -1]], dtype=np.int8), 0, 2).tolist()
    [[3.0, 4.0], [2.0, 1.5]]
    """
    rows = _rows(stored)
    m, n = members.shape
    chosen = members.astype(np.float32)
    means = np.zeros((m, stop - start))
    width = max(64, 2 * _BLOCK // (m + n))
    for left in range(start, stop, width):
        right = min(left + width, stop)
        block = rows[:, left:right].astype(np.float32)
        for first in range(0, n, EXACT_CODES):
            part = slice(first, first + EXACT_CODES)
            means[:, left - start : right - start] += chosen[:, part] @ block[part]
    means /= counts[:, None]
    return means


def subset_mean_blocks(
    members: NDArray[np.bool_],
    counts: NDArray[np.float64],
    stored: NDArray[np.int8],
    columns: tuple[int, int],
    width: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield `subset_means` of columns from .. to - 1, `width` at a time, in their order.

    >>> members = np.array([[True, False], [True, True]])
    >>> codes = np.array([[3] * 70, [1] * 70], dtype=np.int8)
    >>> [means.shape for means in subset_mean_blocks(members, np.array([1.0, 2.0]), codes, (0, 70), 64)]
    [(2, 64), (2, 6)]
    """
    for start in range(*columns, width):
        yield subset_means(members, counts, stored, start, min(start + width, columns[1]))


def weighted_sum(stored: NDArray[np.int8], weights: NDArray[np.int64], d: int) -> NDArray[np.int64]:
    """Return `sum_i weights_i x_i`, int64 (d,), for weights from 0 whose sum is below 2^56, so that int64 holds it.

    >>> weighted_sum(np.array([[3, 4], [1, -2]], dtype=np.int8), np.array([1, 1000]), 2).tolist()
    [1003, -1996]
    """
    rows = _rows(stored)
    total = np.empty(d, dtype=np.int64)
    width = max(64, _BLOCK // len(rows))
    for start in range(0, d, width):
        block = rows[:, start : min(start + width, d)]
        total[start : start + width] = weights @ block.astype(np.int64)
    return total


def scaled_weighted_sum(
    stored: NDArray[np.int8], weights: NDArray[np.int64], d: int, scale: float
) -> NDArray[np.float64]:
    """Return `weighted_sum` times a power of two, float64 (d,): each number rounded once.

    >>> scaled_weighted_sum(np.array([[3, 4], [1, -2]], dtype=np.int8), np.array([1, 8]), 2, 0.125).tolist()
    [1.375, -1.5]
    """
    return scale * weighted_sum(stored, weights, d).astype(np.float64)


def center_distances(
    stored: NDArray[np.int8],
    center: NDArray[np.float64],
    slices: Sequence[slice],
    weights: NDArray[np.int64],
    norms: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return `sum_t weights[t] sum_j (x_ij - c_j)^2` per row, float64 (n,); c is the centre on a grid of `2^-b` steps.

    `b = center_bits(center)`; c is the nearest number on that grid, halves to even. The inner sums are exact and rounded
    once, over `weighted_runs`; the outer one is added in the order of the runs. `norms`: the rows'
    squared norms over each run, int64 (n, runs).

    >>> rows = np.array([[3, 4], [0, 1]], dtype=np.int8)
    >>> center_distances(rows, np.array([0.5, 0.0]), [slice(0, 2)], np.array([1]), np.array([[25], [1]])).tolist()
    [22.25, 1.25]
    """
    rows, bits = _rows(stored), center_bits(center)
    total = np.zeros(len(rows))
    for run, (start, stop, weight) in enumerate(weighted_runs(slices, weights)):
        fixed = np.rint(np.ldexp(center[start:stop], bits)).astype(np.int64)
        high, low = fixed >> 24, fixed & (1 << 24) - 1  # sums of codes times either stay within int64
        part = rows[:, start:stop]
        products = zip(_exact_products(part, high), _exact_products(part, low), strict=True)
        own = sum(int(c) ** 2 for c in fixed.tolist())
        squares = [
            (norm << 2 * bits) - ((upper << 24) + lower << bits + 1) + own
            for norm, (upper, lower) in zip(norms[:, run].tolist(), products, strict=True)
        ]
        total += math.ldexp(weight, -2 * bits) * np.array([float(square) for square in squares])
    return total


def _exact_products(rows: NDArray[np.int8], vector: NDArray[np.int64]) -> list[int]:
    total = np.zeros(len(rows), dtype=np.int64)
    width = max(64, _BLOCK // len(rows))
    for k in range(0, len(vector), width):
        total += rows[:, k : k + width].astype(np.int64) @ vector[k : k + width]
    return [int(product) for product in total]


def _rows(stored: NDArray[np.int8]) -> NDArray[np.int8]:
    return stored if stored.ndim == 2 else from_tiles(stored, stored.shape[0] * stored.shape[2])


def _exact_blocks(slices: Sequence[slice], weights: NDArray[np.int64]) -> Iterator[tuple[slice, np.int64]]:
    """Yield blocks of at most `EXACT_PRODUCTS` coordinates of one weight; neighbours of equal weight run together."""
    for start, stop, weight in weighted_runs(slices, weights):
        for first in range(start, stop, EXACT_PRODUCTS):
            yield slice(first, min(first + EXACT_PRODUCTS, stop)), np.int64(weight)
