"""The C kernels that count codes (csrc/counts.h), as `reference.counts` has them, on several threads where that pays."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_size_t, c_uint32, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import KernelError, Library
from byzantiny.kernels.reference.counts import BINS, GROUP_BINS, LANES
from byzantiny.kernels.threads import run
from byzantiny.kernels.tiles import TILE

_GROUPS_OF_A_BLOCK = TILE // LANES
_LEAST_CODES = 1 << 19
"""Codes for which a thread of its own pays (0.2 ms of counting)."""
_LEAST_GROUPS = 1 << 9
"""Groups for which one pays (0.1 ms of order statistics)."""


class Counts:
    """The functions of one library; each is documented where it is defined, in `reference.counts`."""

    def __init__(self, library: Library) -> None:
        source = (c_void_p, c_size_t, c_void_p, c_size_t)
        codes = (c_void_p, c_size_t, c_size_t, c_size_t)
        self._fold = library.function("counts_fold", c_void_p, c_size_t, *codes, c_void_p, c_size_t, restype=c_size_t)
        self._add = library.function("counts_add", c_void_p, *source, restype=c_size_t)
        self._totals = library.function("counts_totals", *source, c_void_p)
        self._median = library.function("counts_median", *source, c_uint32, c_void_p)
        self._trimmed_sum = library.function("counts_trimmed_sum", *source, c_uint32, c_uint32, c_void_p)
        self._nearest_sum = library.function("counts_nearest_sum", *source, c_uint32, c_uint32, c_void_p, c_void_p)
        self._median_counts = library.function("counts_median_counts", *source, c_uint32, c_size_t, c_void_p)
        self._sign_sum = library.function("counts_sign_sum", *source, c_uint32, c_void_p)

    def fold(self, table: NDArray[np.uint16], stored: NDArray[np.int8], n: int) -> NDArray[np.int64]:
        """As `reference.counts.fold`."""
        _, rows, width = codes_shape(stored)
        columns = _groups(table) * LANES
        blocks = columns // TILE
        if stored.shape not in ((blocks, rows, TILE), (rows, columns)):
            raise KernelError(f"codes of shape {stored.shape} for a table of {columns} coordinates")
        row_stride, block_stride = (TILE, rows * TILE) if stored.ndim == 3 else (width, TILE)
        start, codes = table.ctypes.data, stored.ctypes.data

        def work(first: int, stop: int, carries: NDArray[np.int64]) -> int:
            bins, block = start + first * TILE * BINS * 2, codes + first * block_stride
            out, room = carries.ctypes.data, len(carries)
            return int(self._fold(bins, stop - first, block, rows, row_stride, block_stride, out, room))

        least = _LEAST_CODES // (TILE * rows) + 1
        return _carried(work, blocks, TILE // LANES, n, least)

    def add(self, table: NDArray[np.uint16], other: NDArray[np.uint16], n: int) -> NDArray[np.int64]:
        """As `reference.counts.add`."""
        if _groups(table) != _groups(other):
            raise KernelError(f"tables of {table.shape} and {other.shape}: only equal ones can be added")
        start, others = table.ctypes.data, other.ctypes.data

        def work(first: int, stop: int, carries: NDArray[np.int64]) -> int:
            skip, out = first * GROUP_BINS * 2, carries.ctypes.data
            return int(self._add(start + skip, others + skip, stop - first, out, len(carries)))

        return _carried(work, _groups(table), 1, n, _LEAST_GROUPS)

    def totals(self, table: NDArray[np.uint16], carries: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `reference.counts.totals`."""
        out = np.empty(_groups(table) * LANES, dtype=np.int64)
        _over_groups(table, carries, lambda first, *source: self._totals(*source, _column(out, first)))
        return out

    def median(self, table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int16]:
        """As `reference.counts.median`."""
        out = np.empty(_groups(table) * LANES, dtype=np.int16)
        _over_groups(table, carries, lambda first, *source: self._median(*source, n, _column(out, first)))
        return out

    def trimmed_sum(self, table: NDArray[np.uint16], carries: NDArray[np.int64], n: int, f: int) -> NDArray[np.int64]:
        """As `reference.counts.trimmed_sum`."""
        out = np.empty(_groups(table) * LANES, dtype=np.int64)
        _over_groups(table, carries, lambda first, *source: self._trimmed_sum(*source, n, f, _column(out, first)))
        return out

    def nearest_sum(
        self, table: NDArray[np.uint16], carries: NDArray[np.int64], n: int, f: int, twice: NDArray[np.int16]
    ) -> NDArray[np.int64]:
        """As `reference.counts.nearest_sum`."""
        out = np.empty(_groups(table) * LANES, dtype=np.int64)
        edges = np.ascontiguousarray(twice, dtype=np.int16)
        if edges.shape != out.shape:
            raise KernelError(f"{edges.size} centres for a table of {out.size} coordinates: give one for each")
        _over_groups(
            table,
            carries,
            lambda first, *source: self._nearest_sum(*source, n, f, _column(edges, first), _column(out, first)),
        )
        return out

    def median_counts(self, table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """As `reference.counts.median_counts`."""
        columns = _groups(table) * LANES
        out = np.empty((6, columns), dtype=np.int64)
        _over_groups(
            table, carries, lambda first, *source: self._median_counts(*source, n, columns, _column(out, first))
        )
        return out

    def sign_sum(self, table: NDArray[np.uint16], carries: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """As `reference.counts.sign_sum`."""
        out = np.empty(_groups(table) * LANES, dtype=np.int64)
        _over_groups(table, carries, lambda first, *source: self._sign_sum(*source, n, _column(out, first)))
        return out


def _groups(table: NDArray[Any]) -> int:
    """Return how many groups a table has.

    Raises:
        KernelError: it is none that C could walk.
    """
    if table.dtype != np.uint16 or table.shape[1:] != (BINS, LANES) or not table.flags.c_contiguous:
        raise KernelError(f"counts of {table.dtype} {table.shape}: need contiguous uint16 (groups, {BINS}, {LANES})")
    return len(table)


def _column(values: NDArray[Any], group: int) -> int:
    """The address of a group's first coordinate."""
    return int(values.ctypes.data + group * LANES * values.itemsize)


def _over_groups(table: NDArray[np.uint16], carries: NDArray[np.int64], call: Callable[..., object]) -> None:
    """Call `call(first, table, groups, carries, count)` with the addresses of parts of the table."""
    start = table.ctypes.data

    def work(first: int, stop: int) -> None:
        low, high = np.searchsorted(carries, [first * GROUP_BINS, stop * GROUP_BINS])
        part = carries[low:high] - first * GROUP_BINS
        call(first, start + first * GROUP_BINS * 2, stop - first, part.ctypes.data, len(part))

    run(work, _groups(table), _LEAST_GROUPS)


def _carried(
    add: Callable[[int, int, NDArray[np.int64]], int], total: int, groups: int, n: int, least: int
) -> NDArray[np.int64]:
    """Call `add(first, stop, carries)` for parts of `total`, `groups` of the table each; return all carries, ascending.

    At most n / 2^16 of a coordinate's bins can have passed 2^16, in this call or ever.
    """
    parts: list[NDArray[np.int64]] = []

    def work(first: int, stop: int) -> None:
        carries: NDArray[np.int64] = np.empty((stop - first) * groups * LANES * (n >> 16), dtype=np.int64)
        found = add(first, stop, carries)
        if found > len(carries):
            raise KernelError(f"{found} bins passed 2^16, of {n} rows {len(carries)} can: the table holds more rows")
        parts.append(carries[:found] + first * groups * GROUP_BINS)

    run(work, total, least)
    return np.sort(np.concatenate(parts))
