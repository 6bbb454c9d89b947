"""The C kernels that walk columns of codes (csrc/columns.h), as `reference.columns` has them, on several threads where that pays.

They walk tiles. (n, d) rows are put into tiles a megabyte at a time: walking rows column by column would lose half the
memory bandwidth, and tiles of all of them would be a second copy of the updates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import c_int64, c_size_t, c_uint64, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import KernelError, Library
from byzantiny.kernels.threads import run
from byzantiny.kernels.tiles import TILE, aligned_tiles

_LEAST_BYTES = 1 << 22
"""Codes for which a thread of its own pays: the median takes 0.2 ms for them, waking a thread 0.1 ms."""
_PIECE_BYTES = 1 << 20
"""Rows that are put into tiles at a time: they are still in the L2 cache when the kernel comes."""

Tiles = Callable[[int, int, int], object]
"""Work on tiles: their address, the first block, how many."""


class Columns:
    """The functions of one library; each is documented where it is defined, in `reference.columns`.

    `threads` is a number of threads; without it, as many as `kernels.threads` finds, and as pay.
    """

    def __init__(self, library: Library) -> None:
        tiles = (c_void_p, c_size_t, c_size_t)
        self._pack = library.function("pack", *tiles, c_size_t, c_void_p, c_size_t, c_size_t)
        self._median = library.function("median", *tiles, c_void_p)
        self._median_counts = library.function("median_counts", *tiles, c_size_t, c_void_p)
        self._trimmed_sum = library.function("trimmed_sum", *tiles, c_size_t, c_void_p)
        centres = (c_void_p, c_size_t, c_int64)
        self._nearest_sum = library.function("nearest_sum", *tiles, c_size_t, *centres, c_void_p, c_void_p)
        self._sign_sum = library.function("sign_sum", *tiles, c_void_p)
        self._column_sum = library.function("column_sum", *tiles, c_size_t, c_size_t, c_void_p)
        self._squared_norms = library.function("squared_norms", *tiles, c_size_t, c_void_p, c_size_t, c_void_p)
        self._read = library.function("read", c_void_p, c_size_t, restype=c_uint64)

    def pack(self, rows: NDArray[np.int8], tiles: NDArray[np.int8], first: int) -> None:
        """As `reference.columns.pack`."""
        (_, count, d), (_, n, _) = codes_shape(rows), codes_shape(tiles)
        self._pack(rows.ctypes.data, count, d, d, tiles.ctypes.data, n, first)

    def median(self, stored: NDArray[np.int8], d: int, threads: int | None = None) -> NDArray[np.int64]:
        """As `reference.columns.median`."""
        out, n, at = _result(stored, d)
        self._walk(stored, threads, lambda tiles, first, count: self._median(tiles, count, n, at + 8 * TILE * first))
        return out[:d]

    def median_counts(self, stored: NDArray[np.int8], d: int, threads: int | None = None) -> NDArray[np.int64]:
        """As `reference.columns.median_counts`."""
        out, n, at = _result(stored, d, 6)

        def work(tiles: int, first: int, count: int) -> None:
            self._median_counts(tiles, count, n, out.shape[1], at + 8 * TILE * first)

        self._walk(stored, threads, work)
        return out[:, :d]

    def trimmed_sum(self, stored: NDArray[np.int8], d: int, f: int, threads: int | None = None) -> NDArray[np.int64]:
        """As `reference.columns.trimmed_sum`."""
        if f == 0:
            return self.column_sum(stored, d, threads)
        out, n, at = _result(stored, d)
        if not 0 < 2 * f < n:
            raise KernelError(f"f = {f} of {n} rows on each side: 2 f must be less than the rows")
        self._walk(
            stored, threads, lambda tiles, first, count: self._trimmed_sum(tiles, count, n, f, at + 8 * TILE * first)
        )
        return out[:d]

    def nearest_sum(
        self,
        stored: NDArray[np.int8],
        d: int,
        f: int,
        numerator: NDArray[np.int64],
        denominator: int,
        threads: int | None = None,
    ) -> NDArray[np.int64]:
        """As `reference.columns.nearest_sum`."""
        out, n, at = _result(stored, d)
        if not 0 <= f < n or numerator.shape != (d,) or denominator < 1:
            raise KernelError(
                f"f = {f} of {n} rows, centres {numerator.shape} over {denominator}: f must be less than the rows, and "
                f"there must be {d} centres over a positive denominator"
            )
        centres = np.ascontiguousarray(numerator, dtype=np.int64)

        def work(tiles: int, first: int, count: int) -> None:
            scratch, column = aligned_tiles(n, 1), TILE * first
            centre, to = centres.ctypes.data + 8 * column, at + 8 * column
            self._nearest_sum(tiles, count, n, f, centre, d - column, denominator, scratch.ctypes.data, to)

        self._walk(stored, threads, work)
        return out[:d]

    def nearest_to_median_sum(
        self, stored: NDArray[np.int8], d: int, f: int, threads: int | None = None
    ) -> NDArray[np.int64]:
        """As `reference.columns.nearest_to_median_sum`: medians, and over them what lies around, while tiles are in the cache."""
        out, n, at = _result(stored, d)
        if not 0 <= f < n:
            raise KernelError(f"f = {f} of {n} rows: f must be less than the rows")
        most = max(1, _PIECE_BYTES // (n * TILE))

        def work(tiles: int, first: int, count: int) -> None:
            scratch = aligned_tiles(n, 1)
            for block in range(0, count, most):
                some, codes, to = min(most, count - block), tiles + block * n * TILE, at + 8 * TILE * (first + block)
                self._median(codes, some, n, to)
                self._nearest_sum(codes, some, n, f, to, some * TILE, 2, scratch.ctypes.data, to)

        self._walk(stored, threads, work)
        return out[:d]

    def sign_sum(self, stored: NDArray[np.int8], d: int, threads: int | None = None) -> NDArray[np.int64]:
        """As `reference.columns.sign_sum`."""
        out, n, at = _result(stored, d)
        self._walk(stored, threads, lambda tiles, first, count: self._sign_sum(tiles, count, n, at + 8 * TILE * first))
        return out[:d]

    def column_sum(self, stored: NDArray[np.int8], d: int, threads: int | None = None) -> NDArray[np.int64]:
        """As `reference.columns.column_sum`; rows are summed as they lie."""
        blocks, n, width = codes_shape(stored)
        out = np.empty(blocks * width, dtype=np.int64)
        codes, at = stored.ctypes.data, out.ctypes.data
        if blocks > 1:

            def work(first: int, stop: int) -> None:
                self._column_sum(codes + first * n * width, stop - first, n, width, width, at + 8 * first * width)

            run(work, blocks, _LEAST_BYTES // (n * width) + 1, threads)
        else:

            def work(first: int, stop: int) -> None:
                left, right = first * TILE, min(stop * TILE, width)
                self._column_sum(codes + left, 1, n, right - left, width, at + 8 * left)

            run(work, -(-width // TILE), _LEAST_BYTES // (n * TILE) + 1, threads)
        return out[:d]

    def squared_norms(self, stored: NDArray[np.int8], slices: Sequence[slice]) -> NDArray[np.int64]:
        """As `reference.columns.squared_norms`; the slices must follow each other."""
        blocks, n, width = codes_shape(stored)
        bounds = np.array([slices[0].start, *(s.stop for s in slices)], dtype=np.int64)
        out = np.empty((n, len(slices)), dtype=np.int64)
        self._squared_norms(stored.ctypes.data, blocks, n, width, bounds.ctypes.data, len(slices), out.ctypes.data)
        return out

    def read(self, stored: NDArray[np.int8]) -> int:
        """Read the codes, and nothing else: what the others are measured against."""
        return int(self._read(stored.ctypes.data, stored.size))

    def _walk(self, stored: NDArray[np.int8], threads: int | None, work: Tiles) -> None:
        blocks, n, width = codes_shape(stored)
        least = _LEAST_BYTES // (n * TILE) + 1
        codes = stored.ctypes.data
        if stored.ndim == 3:
            if width != TILE:
                raise KernelError(
                    f"tiles of {width} coordinates: this library walks tiles of {TILE}; make them with to_tiles"
                )
            step = n * TILE
            run(lambda first, stop: work(codes + first * step, first, stop - first), blocks, least, threads)
            return
        most = max(1, _PIECE_BYTES // (n * TILE))

        def piece_by_piece(first: int, stop: int) -> None:
            tiles = aligned_tiles(n, TILE * min(most, stop - first))
            for block in range(first, stop, most):
                count = min(most, stop - block)
                left, right = TILE * block, min(TILE * (block + count), width)
                self._pack(codes + left, n, width, right - left, tiles.ctypes.data, n, 0)
                work(tiles.ctypes.data, block, count)

        run(piece_by_piece, -(-width // TILE), least, threads)


def _result(stored: NDArray[np.int8], d: int, rows: int | None = None) -> tuple[NDArray[np.int64], int, int]:
    """Return room for an integer (or `rows` of them) a coordinate, the number of rows of codes, the room's address."""
    n, columns = stored.shape[-2], -(-d // TILE) * TILE
    if stored.ndim == 3:
        columns = stored.shape[0] * TILE
    out = np.empty(columns if rows is None else (rows, columns), dtype=np.int64)
    return out, n, out.ctypes.data
