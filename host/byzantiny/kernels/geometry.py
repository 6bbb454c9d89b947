"""The kernels of distances and subsets of rows of codes: C where a library is loaded, NumPy where none is; exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.geometry import Geometry
from byzantiny.kernels.reference import geometry as reference

MOST_ROWS = 65_535
"""Products of digits and codes are added in 32 bits; beyond, NumPy takes over."""

__all__ = [
    "center_distances",
    "gram",
    "inner_products",
    "scaled_weighted_sum",
    "subset_mean_blocks",
    "subset_means",
    "weighted_sum",
]


def gram(stored: NDArray[np.int8], slices: Sequence[slice], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `sum_t weights[t] X_t X_t^T`, int64 (n, n), over slices t of the coordinates; the caller bounds the sum.

    >>> gram(np.array([[3, 4], [1, -2]], dtype=np.int8), [slice(0, 1), slice(1, 2)], np.array([1, 16])).tolist()
    [[265, -125], [-125, 65]]
    """
    return _functions().gram(stored, slices, weights)


def inner_products(
    stored: NDArray[np.int8], row: int, slices: Sequence[slice], weights: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return one row of `gram`, int64 (n,), without the others.

    >>> inner_products(np.array([[3, 4], [1, -2]], dtype=np.int8), 0, [slice(0, 2)], np.array([1])).tolist()
    [25, -5]
    """
    return _functions().inner_products(stored, row, slices, weights)


def subset_means(
    members: NDArray[np.bool_], counts: NDArray[np.float64], stored: NDArray[np.int8], start: int, stop: int
) -> NDArray[np.float64]:
    """Return the sum of every subset's rows over its count, float64 (subsets, stop - start): exact, rounded once.

    `members` is (subsets, n), `counts` (subsets,); the columns are start .. stop - 1, start a multiple of 64.

    >>> members = np.array([[True, False], [True, True]])
    >>> subset_means(members, np.array([1.0, 2.0]), np.array([[3, 4], [1, -1]], dtype=np.int8), 0, 2).tolist()
    [[3.0, 4.0], [2.0, 1.5]]
    """
    return _functions(stored.shape[-2]).subset_means(members, counts, stored, start, stop)


def subset_mean_blocks(
    members: NDArray[np.bool_],
    counts: NDArray[np.float64],
    stored: NDArray[np.int8],
    columns: tuple[int, int],
    width: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield `subset_means` of columns from .. to - 1, `width` at a time, in their order; `from` and `width`: multiples of 64.

    >>> members = np.array([[True, False], [True, True]])
    >>> codes = np.array([[3] * 70, [1] * 70], dtype=np.int8)
    >>> [means.shape for means in subset_mean_blocks(members, np.array([1.0, 2.0]), codes, (0, 70), 64)]
    [(2, 64), (2, 6)]
    """
    return _functions(stored.shape[-2]).subset_mean_blocks(members, counts, stored, columns, width)


def weighted_sum(stored: NDArray[np.int8], weights: NDArray[np.int64], d: int) -> NDArray[np.int64]:
    """Return `sum_i weights_i x_i`, int64 (d,), for weights from 0 whose sum is below 2^56, so that int64 holds it.

    >>> weighted_sum(np.array([[3, 4], [1, -2]], dtype=np.int8), np.array([1, 1000]), 2).tolist()
    [1003, -1996]
    """
    return _functions(stored.shape[-2]).weighted_sum(stored, weights, d)


def scaled_weighted_sum(
    stored: NDArray[np.int8], weights: NDArray[np.int64], d: int, scale: float
) -> NDArray[np.float64]:
    """Return `weighted_sum` times a power of two, float64 (d,): each number rounded once.

    >>> scaled_weighted_sum(np.array([[3, 4], [1, -2]], dtype=np.int8), np.array([1, 8]), 2, 0.125).tolist()
    [1.375, -1.5]
    """
    return _functions(stored.shape[-2]).scaled_weighted_sum(stored, weights, d, scale)


def center_distances(
    stored: NDArray[np.int8],
    center: NDArray[np.float64],
    slices: Sequence[slice],
    weights: NDArray[np.int64],
    norms: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return `sum_t weights[t] sum_j (x_ij - c_j)^2` per row, float64 (n,); c is the centre on a grid of `2^-b` steps.

    `b = center_bits(center)`; c is the nearest number on that grid, halves to even. The inner sums are exact and rounded once.
    `norms`: the rows' squared norms over each of `weighted_runs`, int64 (n, runs).

    >>> rows = np.array([[3, 4], [0, 1]], dtype=np.int8)
    >>> center_distances(rows, np.array([0.5, 0.0]), [slice(0, 2)], np.array([1]), np.array([[25], [1]])).tolist()
    [22.25, 1.25]
    """
    return _functions().center_distances(stored, center, slices, weights, norms)


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Geometry | None:
    return None if library is None else Geometry(library)


def _functions(n: int = 0) -> Geometry | ModuleType:
    functions = _native(native.select()[1])
    return reference if functions is None or n > MOST_ROWS else functions
