"""The kernels in NumPy: the oracle of the C ones, and what runs where they cannot. Integers stay integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.tiles import TILE, from_tiles

LANES = 8
"""Lanes of a float sum: row i goes to lane i mod 8, then the lanes are added as a tree (SPEC 4)."""


def pack(rows: NDArray[np.int8], tiles: NDArray[np.int8], first: int) -> None:
    """Copy (count, d) rows into the slots `first` .. `first + count - 1` of tiles, zeros beyond d.

    >>> from byzantiny.kernels.tiles import empty_tiles
    >>> tiles = empty_tiles(2, 3)
    >>> pack(np.array([[7, 8, 9]], dtype=np.int8), tiles, first=1)
    >>> tiles[0, :, :4].tolist()
    [[0, 0, 0, 0], [7, 8, 9, 0]]
    """
    (count, d), slots = rows.shape, slice(first, first + len(rows))
    whole, rest = divmod(d, TILE)
    tiles[:whole, slots] = rows[:, : whole * TILE].reshape(count, whole, TILE).transpose(1, 0, 2)
    if rest:
        tiles[whole, slots, :rest] = rows[:, whole * TILE :]
        tiles[whole, slots, rest:] = 0


def median(tiles: NDArray[np.int8], d: int) -> NDArray[np.int16]:
    """Return twice the median of every coordinate, `x_(floor((n-1)/2)) + x_(floor(n/2))`, int16 (d,).

    One rule for odd and even n: the denominator is always 2.

    >>> from byzantiny import kernels
    >>> median(kernels.to_tiles(np.array([[1], [5], [2], [4]], dtype=np.int8)), 1).tolist()
    [6]
    """
    rows = from_tiles(tiles, d)
    lo, hi = (len(rows) - 1) // 2, len(rows) // 2
    ranked = np.partition(rows, (lo, hi), axis=0)
    return np.asarray(ranked[lo].astype(np.int16) + ranked[hi])


def column_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate over the clients, int64 (d,), of (n, d) rows or of tiles.

    >>> column_sum(np.array([[127, -1], [127, -1]], dtype=np.int8), 2).tolist()
    [254, -2]
    """
    return np.asarray(stored.sum(axis=-2, dtype=np.int64).reshape(-1)[:d])


def squared_norms(stored: NDArray[np.int8], slices: Sequence[slice]) -> NDArray[np.int64]:
    """Return the sum of squares of every client in every slice of coordinates, int64 (n, slices).

    >>> squared_norms(np.array([[3, 4, 5]], dtype=np.int8), [slice(0, 2), slice(2, 3)]).tolist()
    [[25, 25]]
    """
    rows = stored if stored.ndim == 2 else from_tiles(stored, stored.shape[0] * stored.shape[2])
    sums = [np.einsum("ij,ij->i", part, part, dtype=np.int64) for part in (rows[:, s] for s in slices)]
    return np.stack(sums, axis=1)


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
