"""The C kernels that change rows of codes (csrc/rows.h), as `reference.rows` has them."""

from __future__ import annotations

from ctypes import c_size_t, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import threads
from byzantiny.kernels.bindings.arrays import codes_shape
from byzantiny.kernels.native import Library

LEAST_CODES = 1 << 20
"""Codes below which a second thread costs more than it brings: about 0.1 ms of them."""


class Rows:
    """The functions of one library; each is documented where it is defined, in `reference.rows`."""

    def __init__(self, library: Library) -> None:
        tiles = (c_void_p, c_size_t, c_size_t, c_size_t)
        self._scale_rows = library.function("scale_rows", *tiles, c_void_p, c_void_p)

    def scale_rows(self, stored: NDArray[np.int8], factors: NDArray[np.int32]) -> NDArray[np.int8]:
        """As `reference.rows.scale_rows`."""
        blocks, n, width = codes_shape(stored)
        fractions = np.ascontiguousarray(factors, dtype=np.int32)
        out = np.empty_like(stored)
        source, target, factor = stored.ctypes.data, out.ctypes.data, fractions.ctypes.data

        def some(first: int, stop: int) -> None:
            offset = first * n * width
            self._scale_rows(source + offset, stop - first, n, width, factor, target + offset)

        threads.run(some, blocks, LEAST_CODES // (n * width) + 1)
        return out
