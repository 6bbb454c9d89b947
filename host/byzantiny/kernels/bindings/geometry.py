"""The C kernels of distances and subsets of rows (csrc/geometry.h), as `reference.geometry` has them."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64, c_size_t, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import threads
from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import KernelError, Library
from byzantiny.kernels.runs import Blocks, weighted_runs
from byzantiny.kernels.tiles import TILE

STRIP = 6
"""Rows of the Gram matrix that C computes at a time (BYZ_DOT_ROWS)."""

LEAST_PRODUCTS = 1 << 24
"""Products of two codes below which a second thread costs more than it brings: about 0.1 ms of them."""


class Geometry:
    """The functions of one library; each is documented where it is defined, in `reference.geometry`."""

    def __init__(self, library: Library) -> None:
        blocks = (c_void_p, *(c_size_t,) * 4)
        self._gram = library.function("gram", *blocks, c_size_t, c_size_t, c_int64, c_void_p, c_void_p)
        self._mirror = library.function("mirror", c_void_p, c_size_t)

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


def _blocks(stored: NDArray[np.int8]) -> Blocks:
    codes_shape(stored)
    if stored.ndim == 3 and stored.shape[2] != TILE:
        raise KernelError(f"tiles of {stored.shape[2]} coordinates: these kernels walk tiles of {TILE}; use `to_tiles`")
    return Blocks(stored)
