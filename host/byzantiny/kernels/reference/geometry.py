"""The kernels of distances and subsets of rows of codes, in NumPy: exact.

They go through a float32 matrix product because NumPy has no fast integer one: a
product of two codes is at most 127^2 = 16,129, so the sum of 1024 of them is at most 16,516,096 < 2^24. Every partial
sum is thus an integer that float32 holds, and no order of additions, no fused multiply-add and no number of threads
changes it. Sums of blocks are int64. (One product over all of d was wrong by up to 1.7e-6 of the maximum, measured:
enough to turn a near-tie of Krum around.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.runs import weighted_runs
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


def _rows(stored: NDArray[np.int8]) -> NDArray[np.int8]:
    return stored if stored.ndim == 2 else from_tiles(stored, stored.shape[0] * stored.shape[2])


def _exact_blocks(slices: Sequence[slice], weights: NDArray[np.int64]) -> Iterator[tuple[slice, np.int64]]:
    """Yield blocks of at most `EXACT_PRODUCTS` coordinates of one weight; neighbours of equal weight run together."""
    for start, stop, weight in weighted_runs(slices, weights):
        for first in range(start, stop, EXACT_PRODUCTS):
            yield slice(first, min(first + EXACT_PRODUCTS, stop)), np.int64(weight)
