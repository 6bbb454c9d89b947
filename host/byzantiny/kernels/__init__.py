"""The hot loops over int8 codes: arrays in, arrays out; C when its library loads, NumPy otherwise, bit-identical."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native, reference
from byzantiny.kernels.geometry import (
    float_nearest_sum,
    float_row_sum,
    float_squared_distances,
    float_squared_distances_to,
    float_weighted_sum,
    gram,
    inner_products,
    subset_sums,
)
from byzantiny.kernels.native import Backend, KernelError
from byzantiny.kernels.reference import (
    float_column_sum,
    median_counts,
    nearest_sum,
    sign_sum,
    trimmed_sum,
)
from byzantiny.kernels.tiles import TILE, empty_tiles, from_tiles

MOST_ROWS = 65_535
"""The native loops count in 16 bits; beyond, NumPy takes over."""


def backend() -> Backend:
    """Return which kernels run in this process, and why.

    Raises:
        KernelError: a stale library, or an override this machine cannot follow.

    >>> backend().variant in ("numpy", "generic", "v2", "v3", "v4")
    True
    """
    return native.select()[0]


def to_tiles(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (n, d) rows as (blocks, n, 64) tiles, zeros beyond d.

    >>> to_tiles(np.array([[1, 2], [3, 4]], dtype=np.int8))[0, :, :3].tolist()
    [[1, 2, 0], [3, 4, 0]]
    """
    n, d = rows.shape
    tiles = np.empty((-(-d // TILE), n, TILE), dtype=np.int8)
    _functions(n).pack(rows, tiles, 0)
    return tiles


def put_row(tiles: NDArray[np.int8], slot: int, row: NDArray[np.int8]) -> None:
    """Copy one update of d coordinates into its slot of the tiles.

    >>> tiles = empty_tiles(2, 3)
    >>> put_row(tiles, 1, np.array([7, 8, 9], dtype=np.int8))
    >>> from_tiles(tiles, 3).tolist()
    [[0, 0, 0], [7, 8, 9]]
    """
    _functions(1).pack(np.ascontiguousarray(row)[None, :], tiles, slot)


def median(tiles: NDArray[np.int8], d: int) -> NDArray[np.int16]:
    """Return twice the median of every coordinate, `x_(floor((n-1)/2)) + x_(floor(n/2))`, int16 (d,): denominator 2.

    >>> median(to_tiles(np.array([[1], [5], [2], [4]], dtype=np.int8)), 1).tolist()
    [6]
    """
    return _functions(tiles.shape[-2]).median(tiles, d)


def column_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate over the clients, int64 (d,), of (n, d) rows or of tiles.

    >>> column_sum(np.array([[127, -1], [127, -1]], dtype=np.int8), 2).tolist()
    [254, -2]
    """
    return _functions(stored.shape[-2]).column_sum(stored, d)


def squared_norms(stored: NDArray[np.int8], slices: Sequence[slice]) -> NDArray[np.int64]:
    """Return the sum of squares of every client over each of consecutive slices of coordinates, int64 (n, slices).

    >>> squared_norms(np.array([[3, 4, 5]], dtype=np.int8), [slice(0, 2), slice(2, 3)]).tolist()
    [[25, 25]]
    """
    return _functions(stored.shape[-2]).squared_norms(stored, slices)


class _Reference:
    pack = staticmethod(reference.pack)
    median = staticmethod(reference.median)
    column_sum = staticmethod(reference.column_sum)
    squared_norms = staticmethod(reference.squared_norms)


def _functions(n: int) -> native.NativeKernels | _Reference:
    functions = native.select()[1]
    return _REFERENCE if functions is None or n > MOST_ROWS else functions


_REFERENCE = _Reference()

__all__ = [
    "Backend",
    "KernelError",
    "backend",
    "column_sum",
    "empty_tiles",
    "float_column_sum",
    "float_nearest_sum",
    "float_row_sum",
    "float_squared_distances",
    "float_squared_distances_to",
    "float_weighted_sum",
    "from_tiles",
    "gram",
    "inner_products",
    "median",
    "median_counts",
    "nearest_sum",
    "put_row",
    "sign_sum",
    "squared_norms",
    "subset_sums",
    "to_tiles",
    "trimmed_sum",
]
