"""The kernels that walk columns of codes, in NumPy: the oracle of the C ones, and what runs where they cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.tiles import TILE, from_tiles


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


def median(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return twice the median of every coordinate, `x_(floor((n-1)/2)) + x_(floor(n/2))`, int64 (d,).

    One rule for odd and even n: the denominator is always 2. `stored` is tiles or (n, d) rows, here and below.

    >>> from byzantiny import kernels
    >>> median(kernels.to_tiles(np.array([[1], [5], [2], [4]], dtype=np.int8)), 1).tolist()
    [6]
    """
    rows = _rows(stored, d)
    lo, hi = (len(rows) - 1) // 2, len(rows) // 2
    ranked = np.partition(rows, (lo, hi), axis=0)
    return np.asarray(ranked[lo].astype(np.int64) + ranked[hi])


def trimmed_sum(stored: NDArray[np.int8], d: int, f: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate without its f smallest and f largest values, int64 (d,).

    With L and U the f-th smallest and largest of what is left, `sum clamp(x, L, U) - f (L + U)`, also with ties.

    >>> from byzantiny import kernels
    >>> trimmed_sum(kernels.to_tiles(np.array([[1], [5], [2], [4]], dtype=np.int8)), 1, 1).tolist()
    [6]
    """
    rows = _rows(stored, d)
    n = len(rows)
    ranked = np.partition(rows, (f, n - 1 - f), axis=0)
    return np.asarray(ranked[f : n - f].sum(axis=0, dtype=np.int64))


def nearest_sum(
    stored: NDArray[np.int8], d: int, f: int, numerator: NDArray[np.int64], denominator: int
) -> NDArray[np.int64]:
    """Return the sum of the n - f values of every coordinate nearest to a centre `numerator / denominator`, int64 (d,).

    Of two values as near, the lower is kept. The kept ones are neighbours in order; from the lowest n - f on, x_s goes
    and x_(s+n-f) comes while `(x_s + x_(s+n-f)) denominator < 2 numerator`, which ends where it first fails.

    >>> from byzantiny import kernels
    >>> tiles = kernels.to_tiles(np.array([[1], [4], [7], [9]], dtype=np.int8))
    >>> nearest_sum(tiles, 1, 2, np.array([11]), 2).tolist()
    [11]
    """
    ranked = np.sort(_rows(stored, d), axis=0).astype(np.int64)
    kept = len(ranked) - f
    leaving, coming = ranked[:f], ranked[kept:]
    moves = (leaving + coming) * denominator < 2 * numerator
    return np.asarray(ranked[:kept].sum(axis=0) + np.where(moves, coming - leaving, 0).sum(axis=0))


def nearest_to_median_sum(stored: NDArray[np.int8], d: int, f: int) -> NDArray[np.int64]:
    """Return `nearest_sum` around the median, int64 (d,).

    >>> from byzantiny import kernels
    >>> nearest_to_median_sum(kernels.to_tiles(np.array([[1], [4], [7], [9]], dtype=np.int8)), 1, 2).tolist()
    [11]
    """
    return nearest_sum(stored, d, f, median(stored, d).astype(np.int64), 2)


def median_counts(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the two middle values of every coordinate and the counts around them, int64 (6, d).

    The lower middle value, the upper one; then how many values are less than the lower one, equal to it, one less, one
    more.

    >>> from byzantiny import kernels
    >>> tiles = kernels.to_tiles(np.array([[0], [0], [0], [1], [-1], [-9]], dtype=np.int8))
    >>> median_counts(tiles, 1).ravel().tolist()
    [0, 0, 2, 3, 1, 1]
    """
    rows = _rows(stored, d)
    lo, hi = (len(rows) - 1) // 2, len(rows) // 2
    ranked = np.partition(rows, (lo, hi), axis=0)
    low = ranked[lo].astype(np.int16)
    counts = [np.count_nonzero(rows < low, axis=0)]
    counts += [np.count_nonzero(rows == low + step, axis=0) for step in (0, -1, 1)]
    return np.stack([low, ranked[hi], *counts]).astype(np.int64)


def sign_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return how many more values of every coordinate are positive than negative, int64 (d,).

    >>> from byzantiny import kernels
    >>> sign_sum(kernels.to_tiles(np.array([[9, -1], [1, 0], [-5, 0]], dtype=np.int8)), 2).tolist()
    [1, -1]
    """
    return np.asarray(np.sign(stored).sum(axis=-2, dtype=np.int64).reshape(-1)[:d])


def column_sum(stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate over the clients, int64 (d,).

    >>> column_sum(np.array([[127, -1], [127, -1]], dtype=np.int8), 2).tolist()
    [254, -2]
    """
    return np.asarray(stored.sum(axis=-2, dtype=np.int64).reshape(-1)[:d])


def squared_norms(stored: NDArray[np.int8], slices: Sequence[slice]) -> NDArray[np.int64]:
    """Return the sum of squares of every client in every slice of coordinates, int64 (n, slices).

    >>> squared_norms(np.array([[3, 4, 5]], dtype=np.int8), [slice(0, 2), slice(2, 3)]).tolist()
    [[25, 25]]
    """
    rows = _rows(stored, stored.shape[0] * stored.shape[2] if stored.ndim == 3 else stored.shape[1])
    sums = [np.einsum("ij,ij->i", part, part, dtype=np.int64) for part in (rows[:, s] for s in slices)]
    return np.stack(sums, axis=1)


def _rows(stored: NDArray[np.int8], d: int) -> NDArray[np.int8]:
    return stored if stored.ndim == 2 else from_tiles(stored, d)
