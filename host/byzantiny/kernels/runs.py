"""Runs of coordinates: neighbouring slices of one weight walked as one, and their blocks, whole and in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.tiles import TILE

CENTER_BITS = 46
"""Bits of a centre's largest number: with a sign, six balanced digits of base 256."""


def weighted_runs(slices: Sequence[slice], weights: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (start, stop, weight) of the slices in order, neighbours of equal weight as one.

    >>> weighted_runs([slice(0, 5), slice(5, 9), slice(9, 12)], np.array([1, 1, 4]))
    [(0, 9, 1), (9, 12, 4)]
    """
    runs: list[tuple[int, int, int]] = []
    for part, weight in zip(slices, weights.tolist(), strict=True):
        if runs and runs[-1][1:] == (part.start, weight):
            runs[-1] = (runs[-1][0], part.stop, weight)
        else:
            runs.append((part.start, part.stop, weight))
    return runs


def center_bits(center: NDArray[np.float64]) -> int:
    """Return the bits behind the point on which a centre is put, as `point_bits` of its largest number.

    >>> center_bits(np.array([25.0, -63.5]))
    40
    """
    return point_bits(float(max(center.max(), -center.min())), len(center))


def point_bits(largest: float, d: int) -> int:
    """Return 46 less the bits before the point of the largest number of d, and no more than 46.

    Beyond 2^20 coordinates they are fewer, so that sums of `(2^bits x - 2^bits c)^2` stay within 128 bits: one is at most
    `(129 * 2^bits)^2 < 2^(2 bits + 15)`. Codes, a centre and a unit half as large give the same integers.

    >>> point_bits(63.5, 1000), point_bits(1e6, 1000), point_bits(0.0, 1000), point_bits(0.0, 1 << 30)
    (40, 26, 46, 41)
    """
    return min(CENTER_BITS - max(0, math.frexp(largest)[1]), (113 - d.bit_length()) // 2)


class Blocks:
    """Codes as blocks of 64 coordinates: those that lie whole within a run are walked where they are.

    `codes` are (n, d) rows or (blocks, n, 64) tiles; block k of row i begins `i * row + k * block` bytes after the
    first byte. The pieces at the ends of a run are copied into tiles of their own, zeros beyond them.
    """

    def __init__(self, codes: NDArray[np.int8]) -> None:
        self.codes = codes
        self.n: int = codes.shape[-2]
        self.d: int = codes.shape[-1] if codes.ndim == 2 else codes.shape[0] * TILE
        self.row = self.d if codes.ndim == 2 else TILE
        self.block = TILE if codes.ndim == 2 else self.n * TILE

    def whole(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first block within coordinates start .. stop - 1, and how many there are.

        >>> Blocks(np.zeros((2, 300), np.int8)).whole(60, 200)
        (1, 2)
        """
        first = -(-start // TILE)
        return first, max(0, stop // TILE - first)

    def pieces(self, start: int, stop: int) -> Iterator[NDArray[np.int8]]:
        """Yield what `whole` leaves out, each as one (n, 64) tile: at most one at either end.

        >>> [tile[0, :6].tolist() for tile in Blocks(np.arange(80, dtype=np.int8)[None]).pieces(60, 66)]
        [[0, 0, 0, 0, 0, 0], [64, 65, 0, 0, 0, 0]]
        """
        first, count = self.whole(start, stop)
        if stop // TILE < first:
            yield self._piece(start, stop)
            return
        if start < first * TILE:
            yield self._piece(start, first * TILE)
        if (first + count) * TILE < stop:
            yield self._piece((first + count) * TILE, stop)

    def _piece(self, start: int, stop: int) -> NDArray[np.int8]:
        k, left, right = start // TILE, start % TILE, (stop - 1) % TILE + 1
        tile = np.zeros((self.n, TILE), dtype=np.int8)
        tile[:, left:right] = self.codes[:, start:stop] if self.codes.ndim == 2 else self.codes[k, :, left:right]
        return tile
