"""The C kernels of float sums in a fixed order (csrc/floats.h), as `reference.floats` has them."""

from __future__ import annotations

from ctypes import c_size_t, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import threads
from byzantiny.kernels.native import Library

STRIP = 4
"""Rows that C takes the distances of at a time (TILE of csrc/floats.c)."""

LEAST_NUMBERS = 1 << 18
"""Numbers to read below which a second thread costs more than it brings: about 0.1 ms of them."""


class Floats:
    """The functions of one library; each is documented where it is defined, in `reference.floats`."""

    def __init__(self, library: Library) -> None:
        pointer, size = c_void_p, c_size_t
        self._row_sum = library.function("float_row_sum", pointer, size, size, pointer)
        self._distances_to = library.function("float_distances_to", pointer, size, size, pointer, pointer, pointer)
        self._distances = library.function("float_distances", pointer, size, size, pointer, size, size, pointer)
        self._weighted_sum = library.function(
            "float_weighted_sum", pointer, size, pointer, pointer, size, size, size, pointer
        )  # fmt: skip

    def float_row_sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `reference.floats.float_row_sum`."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        out = np.empty(len(values))
        self._row_sum(values.ctypes.data, *values.shape, out.ctypes.data)
        return out

    def float_squared_distances_to(
        self, rows: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As `reference.floats.float_squared_distances_to`, of float64 rows."""
        n, d = rows.shape
        rows, center, factors = np.ascontiguousarray(rows), np.ascontiguousarray(center), _factors(scale)
        out = np.empty(n)

        def some(first: int, stop: int) -> None:
            self._distances_to(
                rows.ctypes.data + first * d * rows.itemsize, stop - first, d, center.ctypes.data, _address(factors),
                out.ctypes.data + first * out.itemsize,
            )  # fmt: skip

        threads.run(some, n, LEAST_NUMBERS // d)
        return out

    def float_squared_distances(self, rows: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `reference.floats.float_squared_distances`."""
        n, d = rows.shape
        rows, factors = np.ascontiguousarray(rows), _factors(scale)
        out = np.empty((n, n))

        def strips(first: int, stop: int) -> None:
            self._distances(
                rows.ctypes.data, n, d, _address(factors), first * STRIP, min(stop * STRIP, n), out.ctypes.data
            )  # fmt: skip

        threads.run(strips, -(-n // STRIP), LEAST_NUMBERS // (n * d))
        for i in range(n):
            out[i + 1 :, i] = out[i, i + 1 :]
        return out

    def float_weighted_sum(
        self, rows: NDArray[np.float64], weights: NDArray[np.float64], order: NDArray[np.uint32]
    ) -> NDArray[np.float64]:
        """As `reference.floats.float_weighted_sum` of `rows[order]`, of float64 rows."""
        d = rows.shape[1]
        rows, weights = np.ascontiguousarray(rows), np.ascontiguousarray(weights)
        out = np.empty(d)

        def columns(first: int, stop: int) -> None:
            self._weighted_sum(
                rows.ctypes.data, d, order.ctypes.data, weights.ctypes.data, len(order), first, stop, out.ctypes.data
            )  # fmt: skip

        threads.run(columns, d, LEAST_NUMBERS // max(1, len(order)))
        return out


def _factors(scale: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Ones are left out: a product with 1 is the number itself."""
    ones = scale[:1] if scale.strides == (0,) else scale
    return None if (ones == 1).all() else np.ascontiguousarray(scale)


def _address(array: NDArray[np.float64] | None) -> int | None:
    return None if array is None else array.ctypes.data
