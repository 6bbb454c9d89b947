"""The kernels that walk columns of codes: C where a library is loaded, NumPy where none is, the same integers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.columns import Columns
from byzantiny.kernels.reference import columns as reference
from byzantiny.kernels.tiles import aligned_tiles

MOST_ROWS = 65_535
"""The native loops count in 16 bits; beyond, NumPy takes over."""


def to_tiles(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (n, d) rows as (blocks, n, 64) tiles, zeros beyond d.

    >>> to_tiles(np.array([[1, 2], [3, 4]], dtype=np.int8))[0, :, :3].tolist()
    [[1, 2, 0], [3, 4, 0]]
    """
    n, d = rows.shape
    tiles = aligned_tiles(n, d)
    _functions(n).pack(rows, tiles, 0)
    return tiles


def put_row(tiles: NDArray[np.int8], slot: int, row: NDArray[np.int8]) -> None:
    """Copy one update of d coordinates into its slot of the tiles.

    >>> from byzantiny.kernels.tiles import empty_tiles, from_tiles
    >>> tiles = empty_tiles(2, 3)
    >>> put_row(tiles, 1, np.array([7, 8, 9], dtype=np.int8))
    >>> from_tiles(tiles, 3).tolist()
    [[0, 0, 0], [7, 8, 9]]
    """
    _functions(1).pack(np.ascontiguousarray(row)[None, :], tiles, slot)


def median(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return twice the median of every coordinate, `x_(floor((n-1)/2)) + x_(floor(n/2))`, int64 (d,): denominator 2.

    `stored` is tiles, which is faster, or (n, d) rows; here and below.

    >>> median(np.array([[1], [5], [2], [4]], dtype=np.int8), 1).tolist()
    [6]
    """
    return _functions(stored.shape[-2]).median(stored, d)


def column_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate over the clients, int64 (d,).

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


def trimmed_sum(stored: NDArray[np.int8], d: int, f: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate without its f smallest and f largest values, int64 (d,).

    >>> trimmed_sum(np.array([[1], [5], [2], [4]], dtype=np.int8), 1, 1).tolist()
    [6]
    """
    return _functions(stored.shape[-2]).trimmed_sum(stored, d, f)


def nearest_sum(
    stored: NDArray[np.int8], d: int, f: int, numerator: NDArray[np.int64], denominator: int
) -> NDArray[np.int64]:
    """Return the sum of the n - f values of every coordinate nearest to a centre `numerator / denominator`, int64 (d,).

    Of two values as near, the lower is kept.

    >>> nearest_sum(np.array([[1], [4], [7], [9]], dtype=np.int8), 1, 2, np.array([11]), 2).tolist()
    [11]
    """
    return _functions(stored.shape[-2]).nearest_sum(stored, d, f, numerator, denominator)


def nearest_to_median_sum(stored: NDArray[np.int8], d: int, f: int) -> NDArray[np.int64]:
    """Return `nearest_sum` around the median, int64 (d,), without an array of medians.

    >>> nearest_to_median_sum(np.array([[1], [4], [7], [9]], dtype=np.int8), 1, 2).tolist()
    [11]
    """
    return _functions(stored.shape[-2]).nearest_to_median_sum(stored, d, f)


def median_counts(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the two middle values of every coordinate and the counts around them, int64 (6, d).

    The lower middle value, the upper one; then how many values are less than the lower one, equal to it, one less, one
    more.

    >>> median_counts(np.array([[0], [0], [0], [1], [-1], [-9]], dtype=np.int8), 1).ravel().tolist()
    [0, 0, 2, 3, 1, 1]
    """
    return _functions(stored.shape[-2]).median_counts(stored, d)


def sign_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return how many more values of every coordinate are positive than negative, int64 (d,).

    >>> sign_sum(np.array([[9, -1], [1, 0], [-5, 0]], dtype=np.int8), 2).tolist()
    [1, -1]
    """
    return _functions(stored.shape[-2]).sign_sum(stored, d)


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Columns | None:
    return None if library is None else Columns(library)


def _functions(n: int) -> Columns | ModuleType:
    functions = _native(native.select()[1])
    return reference if functions is None or n > MOST_ROWS else functions
