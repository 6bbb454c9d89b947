"""The kernels that count codes, in NumPy: the oracle of the C ones, and what runs where they cannot.

The table: `table[g, code + 128, k]` counts coordinate `8 g + k` modulo 2^16, uint16 (groups, 256, 8). How often a bin has
passed 2^16 is in `carries`: the bin's place in the flattened table, int64, ascending, once for every time. So 8-bit
codes of any number of clients take 512 bytes a coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BINS = 256
LANES = 8
"""Coordinates of a group: a bin's place is then a scaled index in C, and a group's counts are one vector of AVX2."""
GROUP_BINS = BINS * LANES

_GROUPS = 64
"""Groups in one piece of NumPy's work: 1 MB of counts."""


def fold(table: NDArray[np.uint16], stored: NDArray[np.int8], n: int) -> NDArray[np.int64]:  # noqa: ARG001
    """Count codes into the table, in place; return the places that passed 2^16, ascending.

    `stored` is (blocks, rows, 64) tiles, or (rows, width), padded with zeros to the width of the table; n is how many
    rows are counted then.

    >>> table = np.zeros((8, 256, 8), dtype=np.uint16)
    >>> fold(table, np.full((3, 64), -1, dtype=np.int8), 3).size, int(table[7, 127, 7])
    (0, 3)
    """
    tiles = stored if stored.ndim == 3 else stored.reshape(len(stored), -1, 8 * LANES).transpose(1, 0, 2)
    blocks, _, width = tiles.shape
    lane = np.arange(width)
    place = lane // LANES * GROUP_BINS + 128 * LANES + lane % LANES
    flat, passed = table.reshape(blocks, -1), []
    for b in range(blocks):
        counted = np.bincount((tiles[b].astype(np.int64) * LANES + place).reshape(-1), minlength=flat.shape[1])
        passed.append(_add(flat[b], counted) + b * flat.shape[1])
    return np.concatenate(passed)


def add(table: NDArray[np.uint16], other: NDArray[np.uint16], n: int) -> NDArray[np.int64]:  # noqa: ARG001
    """Add another table's bins, in place; return the places that passed 2^16, ascending.

    No table's own carries are looked at; n is how many rows both count.

    >>> table = np.zeros((1, 256, 8), dtype=np.uint16)
    >>> table[0, 128] = 40_000
    >>> add(table, table.copy(), 80_000).tolist(), int(table[0, 128, 0])
    ([1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031], 14464)
    """
    passed = [_add(table[g].reshape(-1), other[g].reshape(-1)) + g * GROUP_BINS for g in range(len(table))]
    return np.concatenate(passed)


def _add(bins: NDArray[np.uint16], more: NDArray[np.integer]) -> NDArray[np.int64]:
    total = bins.astype(np.int64) + more
    bins[:] = total & 0xFFFF
    return np.repeat(np.arange(len(bins)), total >> 16)


def totals(table: NDArray[np.uint16], carries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many codes of every coordinate are counted, int64 (8 groups,).

    >>> totals(np.ones((1, 256, 8), dtype=np.uint16), np.array([7])).tolist()
    [256, 256, 256, 256, 256, 256, 256, 65792]
    """
    return _joined([up_to[:, -1] for up_to, _ in _cumulated(table, carries)])


def median(table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int16]:
    """Return twice the median of every coordinate, int16 (8 groups,), as `columns.median`."""
    lo, hi = (n - 1) // 2, n // 2
    twice = _joined([_code(up_to, lo) + _code(up_to, hi) for up_to, _ in _cumulated(table, carries)])
    return twice.astype(np.int16)


def trimmed_sum(table: NDArray[np.uint16], carries: NDArray[np.int64], n: int, f: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate without its f smallest and f largest codes, int64 (8 groups,)."""
    return _joined([_window_sum(up_to, f, n - 2 * f) for up_to, _ in _cumulated(table, carries)])


def nearest_sum(
    table: NDArray[np.uint16], carries: NDArray[np.int64], n: int, f: int, twice: NDArray[np.int16]
) -> NDArray[np.int64]:
    """Return the sum of the n - f codes of every coordinate nearest to a centre, int64 (8 groups,); ties to the lower.

    `twice` is twice the centre, rounded up. The codes kept are neighbours in order; x_s goes and x_(s+n-f) comes while
    `x_s + x_(s+n-f) < twice`. With C(v) the number of codes up to v, that holds of the s below the greatest
    `min(C(v), f, C(twice - 1 - v) - (n - f))` over v.
    """
    sums = []
    for up_to, first in _cumulated(table, carries):
        edges = twice.reshape(-1, LANES)[first : first + len(up_to)].astype(np.int64)
        mirror = edges[:, None, :] + 255 - np.arange(BINS)[None, :, None]
        beyond = np.take_along_axis(up_to, np.clip(mirror, 0, BINS - 1), axis=1)
        beyond = np.where(mirror < 0, 0, beyond)  # above the last bin it is that of the last: all n
        moved = np.minimum(np.minimum(up_to, f), beyond - (n - f)).max(axis=1)
        sums.append(_window_sum(up_to, np.maximum(moved, 0)[:, None, :], n - f))
    return _joined(sums)


def median_counts(table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the two middle codes of every coordinate and the counts around them, int64 (6, 8 groups).

    As `columns.median_counts`.
    """
    parts = []
    for up_to, _ in _cumulated(table, carries):
        low, high = _code(up_to, (n - 1) // 2), _code(up_to, n // 2)
        padded = np.pad(up_to, ((0, 0), (2, 1), (0, 0)))  # no codes below the first bin
        padded[:, -1] = padded[:, -2]  # and none above the last
        around = [np.take_along_axis(padded, (low + 130 + k)[:, None, :], axis=1)[:, 0] for k in (-2, -1, 0, 1)]
        less, below, reached, next_ = around
        parts.append(np.stack([low, high, below, reached - below, below - less, next_ - reached]))
    return np.concatenate(parts, axis=1).reshape(6, -1)


def sign_sum(table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return how many more codes of every coordinate are positive than negative, int64 (8 groups,)."""
    return _joined([n - up_to[:, 128] - up_to[:, 127] for up_to, _ in _cumulated(table, carries)])


def _cumulated(table: NDArray[np.uint16], carries: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield the counts up to every bin, int64 (some groups, 256, 8), and the first of those groups."""
    for first in range(0, len(table), _GROUPS):
        counts = table[first : first + _GROUPS].astype(np.int64)
        start, stop = np.searchsorted(carries, [first * GROUP_BINS, (first + _GROUPS) * GROUP_BINS])
        np.add.at(counts.reshape(-1), carries[start:stop] - first * GROUP_BINS, 1 << 16)
        yield np.cumsum(counts, axis=1), first


def _code(up_to: NDArray[np.int64], rank: int) -> NDArray[np.int64]:
    """The code of a rank: as many bins hold lower ranks only, and the first is -128."""
    return np.asarray(np.count_nonzero(up_to <= rank, axis=1) - 128)


def _window_sum(up_to: NDArray[np.int64], start: NDArray[np.int64] | int, length: int) -> NDArray[np.int64]:
    """The sum of the ranks start .. start + length - 1, by parts: 127 length - sum over b < 255 of the ranks up to b."""
    return np.asarray(127 * length - np.clip(up_to[:, :-1] - start, 0, length).sum(axis=1))


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts).reshape(-1)
