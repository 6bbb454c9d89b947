"""The C kernels that walk columns of codes (csrc/columns.h), as `reference.columns` has them."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_size_t, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import Library


class Columns:
    """The functions of one library; each is documented where it is defined, in `reference.columns`."""

    def __init__(self, library: Library) -> None:
        tiles = (c_void_p, c_size_t, c_size_t, c_size_t)
        self._pack = library.function("pack", c_void_p, c_size_t, c_size_t, c_void_p, c_size_t, c_size_t)
        self._median = library.function("median", *tiles, c_void_p)
        self._column_sum = library.function("column_sum", *tiles, c_void_p)
        self._squared_norms = library.function("squared_norms", *tiles, c_void_p, c_size_t, c_void_p)

    def pack(self, rows: NDArray[np.int8], tiles: NDArray[np.int8], first: int) -> None:
        """As `reference.columns.pack`."""
        (_, count, d), (_, n, _) = codes_shape(rows), codes_shape(tiles)
        self._pack(rows.ctypes.data, count, d, tiles.ctypes.data, n, first)

    def median(self, tiles: NDArray[np.int8], d: int) -> NDArray[np.int16]:
        """As `reference.columns.median`."""
        blocks, n, width = codes_shape(tiles)
        out = np.empty(blocks * width, dtype=np.int16)
        self._median(tiles.ctypes.data, blocks, n, width, out.ctypes.data)
        return out[:d]

    def column_sum(self, stored: NDArray[np.int8], d: int) -> NDArray[np.int64]:
        """As `reference.columns.column_sum`."""
        blocks, n, width = codes_shape(stored)
        out = np.empty(blocks * width, dtype=np.int64)
        self._column_sum(stored.ctypes.data, blocks, n, width, out.ctypes.data)
        return out[:d]

    def squared_norms(self, stored: NDArray[np.int8], slices: Sequence[slice]) -> NDArray[np.int64]:
        """As `reference.columns.squared_norms`; the slices must follow each other."""
        blocks, n, width = codes_shape(stored)
        bounds = np.array([slices[0].start, *(s.stop for s in slices)], dtype=np.int64)
        out = np.empty((n, len(slices)), dtype=np.int64)
        self._squared_norms(stored.ctypes.data, blocks, n, width, bounds.ctypes.data, len(slices), out.ctypes.data)
        return out
