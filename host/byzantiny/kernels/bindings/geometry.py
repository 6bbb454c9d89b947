"""The C kernels of distances and subsets of rows (csrc/geometry.h), as `reference.geometry` has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from ctypes import c_double, c_int64, c_size_t, c_uint, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import threads
from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import KernelError, Library
from byzantiny.kernels.runs import Blocks, center_bits, weighted_runs
from byzantiny.kernels.tiles import TILE

STRIP = 6
"""Rows of the Gram matrix that C computes at a time (BYZ_DOT_ROWS)."""

DIGITS = 6
"""Digits of a centre's numbers, and of weights at a time (BYZ_DIGITS)."""

LEAST_CODES = 1 << 20
"""Codes to read below which a second thread costs more than it brings: about 0.05 ms of them."""

LEAST_PRODUCTS = 1 << 24
"""Products of two codes below which a second thread costs more than it brings: about 0.1 ms of them."""


class Geometry:
    """The functions of one library; each is documented where it is defined, in `reference.geometry`."""

    def __init__(self, library: Library) -> None:
        blocks = (c_void_p, *(c_size_t,) * 4)
        self._gram = library.function("gram", *blocks, c_size_t, c_size_t, c_int64, c_void_p, c_void_p)
        self._mirror = library.function("mirror", c_void_p, c_size_t)
        self._subset_lists = library.function("subset_lists", c_void_p, c_size_t, c_size_t, *(c_void_p,) * 3)
        self._subset_means = library.function(
            "subset_means", c_void_p, *(c_size_t,) * 3, *(c_void_p,) * 4, c_size_t, c_size_t, c_void_p, c_size_t
        )
        self._weighted_sum = library.function("weighted_sum", *blocks, c_void_p, c_void_p, c_double, c_void_p, c_void_p)
        self._center = library.function(
            "center", *blocks, c_void_p, c_size_t, c_size_t, c_double, c_void_p, c_void_p
        )  # fmt: skip
        self._center_squares = library.function(
            "center_squares", c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_uint, c_double, c_void_p
        )

    def gram(self, stored: NDArray[np.int8], slices: Sequence[slice], weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `reference.geometry.gram`."""
        blocks = _blocks(stored)
        n = blocks.n
        out = np.zeros((n, n), dtype=np.int64)
        for start, stop, weight in weighted_runs(slices, weights):
            first, count = blocks.whole(start, stop)
            self._gram_strips(blocks.codes.ctypes.data + first * blocks.block, blocks, count, weight, out)
            for tile in blocks.pieces(start, stop):
                self._gram_strips(tile.ctypes.data, Blocks(tile[None]), 1, weight, out)
        self._mirror(out.ctypes.data, n)
        return out

    def _gram_strips(self, address: int, blocks: Blocks, count: int, weight: int, out: NDArray[np.int64]) -> None:
        n = blocks.n

        def strips(first: int, stop: int) -> None:
            top, end = first * STRIP, min(stop * STRIP, n)
            offsets = np.empty(end - top, dtype=np.int32)
            self._gram(
                address, blocks.row, blocks.block, n, count, top, end, weight, offsets.ctypes.data, out.ctypes.data
            )  # fmt: skip

        if count:
            total = -(-n // STRIP)
            threads.run(strips, total, LEAST_PRODUCTS * total // (n * n * count * TILE // 2 + 1))

    def inner_products(
        self, stored: NDArray[np.int8], row: int, slices: Sequence[slice], weights: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """As `reference.geometry.inner_products`: a code is a centre's number of one digit."""
        blocks = _blocks(stored)
        center = (stored[row] if stored.ndim == 2 else stored[:, row].ravel()).astype(np.float64)
        total = np.zeros(blocks.n, dtype=np.int64)
        for start, stop, weight in weighted_runs(slices, weights):
            total += weight * self._products(blocks, center, start, stop, 0)[0][:, 0].ravel()[: blocks.n]
        return total

    def subset_means(
        self, members: NDArray[np.bool_], counts: NDArray[np.float64], stored: NDArray[np.int8], start: int, stop: int
    ) -> NDArray[np.float64]:
        """As `reference.geometry.subset_means`."""
        return next(self.subset_mean_blocks(members, counts, stored, (start, stop), stop - start))

    def subset_mean_blocks(
        self,
        members: NDArray[np.bool_],
        counts: NDArray[np.float64],
        stored: NDArray[np.int8],
        columns: tuple[int, int],
        width: int,
    ) -> Iterator[NDArray[np.float64]]:
        """As `reference.geometry.subset_mean_blocks`."""
        blocks, members, counts = _blocks(stored), np.ascontiguousarray(members), np.ascontiguousarray(counts)
        m, n = members.shape
        rows, starts = np.empty(m * (n // 2) + n, dtype=np.uint16), np.empty(m + 2, dtype=np.uint64)
        lacking = np.empty(m, dtype=np.bool_)
        self._subset_lists(members.ctypes.data, m, n, rows.ctypes.data, starts.ctypes.data, lacking.ctypes.data)
        for start in range(*columns, width):
            yield self._means((rows, starts, lacking), counts, blocks, start, min(start + width, columns[1]))

    def _means(
        self, lists: tuple[NDArray[Any], ...], counts: NDArray[np.float64], blocks: Blocks, start: int, stop: int
    ) -> NDArray[np.float64]:
        m, out = len(counts), np.empty((len(counts), stop - start))

        def some(address: int, where: Blocks, count: int, first: int) -> None:
            self._subset_means(
                address, where.row, where.block, count, *(part.ctypes.data for part in lists), counts.ctypes.data, m,
                stop - first * TILE, out.ctypes.data + (first * TILE - start) * out.itemsize, stop - start,
            )  # fmt: skip

        def columns(first: int, last: int) -> None:
            first, last = first + start // TILE, last + start // TILE
            some(blocks.codes.ctypes.data + first * blocks.block, blocks, last - first, first)

        whole = min(-(-stop // TILE), blocks.d // TILE)
        threads.run(columns, whole - start // TILE, LEAST_CODES // (m * TILE))
        for tile in blocks.pieces(max(start, whole * TILE), stop) if stop > whole * TILE else ():
            some(tile.ctypes.data, Blocks(tile[None]), 1, whole)
        return out

    def weighted_sum(self, stored: NDArray[np.int8], weights: NDArray[np.int64], d: int) -> NDArray[np.int64]:
        """As `reference.geometry.weighted_sum`."""
        out = np.empty(_padded(stored), dtype=np.int64)
        self._weigh(_blocks(stored), weights, 1.0, out)
        return out[:d]

    def scaled_weighted_sum(
        self, stored: NDArray[np.int8], weights: NDArray[np.int64], d: int, scale: float
    ) -> NDArray[np.float64]:
        """As `reference.geometry.scaled_weighted_sum`."""
        out = np.empty(_padded(stored))
        self._weigh(_blocks(stored), weights, scale, out)
        return out[:d]

    def _weigh(self, blocks: Blocks, weights: NDArray[np.int64], scale: float, out: NDArray[Any]) -> None:
        def some(address: int, where: Blocks, count: int, first: int) -> None:
            digits = np.empty(6 * blocks.n + 12, dtype=np.uint32)
            to = out.ctypes.data + first * TILE * out.itemsize
            self._weighted_sum(
                address, where.row, where.block, where.n, count, weights.ctypes.data, digits.ctypes.data, scale,
                *((to, None) if out.dtype == np.int64 else (None, to)),
            )  # fmt: skip

        def columns(first: int, stop: int) -> None:
            some(blocks.codes.ctypes.data + first * blocks.block, blocks, stop - first, first)

        whole = blocks.d // TILE
        threads.run(columns, whole, LEAST_CODES // (blocks.n * TILE))
        for tile in blocks.pieces(whole * TILE, blocks.d):
            some(tile.ctypes.data, Blocks(tile[None]), 1, whole)

    def center_distances(
        self,
        stored: NDArray[np.int8],
        center: NDArray[np.float64],
        slices: Sequence[slice],
        weights: NDArray[np.int64],
        norms: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """As `reference.geometry.center_distances`."""
        blocks, runs, bits = _blocks(stored), weighted_runs(slices, weights), center_bits(center)
        products = [self._products(blocks, center, start, stop, bits) for start, stop, _ in runs]
        return self._squares(runs, products, norms, bits)

    def _products(
        self, blocks: Blocks, center: NDArray[np.float64], start: int, stop: int, bits: int
    ) -> tuple[NDArray[np.int64], int]:
        def walk(address: int, where: Blocks, count: int, first: int, *rest: int) -> None:
            begin, end, products, square = rest
            self._center(
                address, where.row, where.block, where.n, count, center.ctypes.data + first * TILE * center.itemsize,
                begin, end, math.ldexp(1.0, bits), products, square,
            )  # fmt: skip

        return _walk(blocks, start, stop, walk)

    def _squares(
        self,
        runs: Sequence[tuple[int, int, int]],
        walked: Sequence[tuple[NDArray[np.int64], int]],
        norms: NDArray[np.int64],
        bits: int,
    ) -> NDArray[np.float64]:
        out = np.zeros(len(norms))
        for run, ((_, _, weight), (products, square)) in enumerate(zip(runs, walked, strict=True)):
            words = np.array([square & (1 << 64) - 1, square >> 64], dtype=np.uint64)
            self._center_squares(
                products.ctypes.data, len(norms), norms[:, run:].ctypes.data, norms.shape[1], words.ctypes.data, bits,
                math.ldexp(weight, -2 * bits), out.ctypes.data,
            )  # fmt: skip
        return out


def _walk(blocks: Blocks, start: int, stop: int, multiply: Callable[..., None]) -> tuple[NDArray[np.int64], int]:
    """Return the products of one run's codes with a point's digits, (groups of 4 rows, 6, 4), and the point's sum of squares.

    `multiply(address, blocks, count, first block, begin, end, products, square)` is called for parts of the run; begin and
    end are the run's within the part.
    """
    parts: list[tuple[NDArray[np.int64], int]] = []

    def part(address: int, where: Blocks, count: int, first: int) -> None:
        products, square = np.empty((-(-blocks.n // 4), DIGITS, 4), dtype=np.int64), np.empty(2, dtype=np.uint64)
        begin, end = max(start - first * TILE, 0), max(min(stop - first * TILE, count * TILE), 0)
        multiply(address, where, count, first, begin, end, products.ctypes.data, square.ctypes.data)
        parts.append((products, int(square[0]) | int(square[1]) << 64))

    def columns(first: int, last: int) -> None:
        first, last = first + start // TILE, last + start // TILE
        part(blocks.codes.ctypes.data + first * blocks.block, blocks, last - first, first)

    whole = min(-(-stop // TILE), blocks.d // TILE)
    threads.run(columns, max(0, whole - start // TILE), LEAST_CODES // (blocks.n * TILE))
    if stop > whole * TILE:
        for tile in blocks.pieces(max(start, whole * TILE), stop):
            part(tile.ctypes.data, Blocks(tile[None]), 1, whole)
    return parts[0] if len(parts) == 1 else (np.sum([p for p, _ in parts], axis=0), sum(square for _, square in parts))


def _padded(stored: NDArray[np.int8]) -> int:
    width: int = stored.size // stored.shape[-2]
    return -(-width // TILE) * TILE


def _blocks(stored: NDArray[np.int8]) -> Blocks:
    codes_shape(stored)
    if stored.ndim == 3 and stored.shape[2] != TILE:
        raise KernelError(f"tiles of {stored.shape[2]} coordinates: these kernels walk tiles of {TILE}; use `to_tiles`")
    return Blocks(stored)
