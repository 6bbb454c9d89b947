"""The C kernels of nearest rows (csrc/nearest.h), as `reference.nearest` has them, of int64 distances."""

from __future__ import annotations

from ctypes import c_size_t, c_void_p

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import threads
from byzantiny.kernels.native import Library

LEAST_NUMBERS = 1 << 16
"""Numbers to look at below which a second thread costs more than it brings: about 0.1 ms of them."""


class Nearest:
    """The functions of one library; each is documented where it is defined, in `reference.nearest`."""

    def __init__(self, library: Library) -> None:
        pointer, size = c_void_p, c_size_t
        self._smallest_sums = library.function("smallest_sums", pointer, size, size, size, pointer)
        self._nearest_members = library.function("nearest_members", pointer, size, size, size, size, pointer)
        self._choose_by_krum = library.function("choose_by_krum", pointer, size, size, size, *(pointer,) * 4)

    def smallest_sums(self, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """As `reference.nearest.smallest_sums`."""
        values = np.ascontiguousarray(values)
        rows, n = values.shape
        out = np.empty(rows, dtype=np.int64)

        def some(first: int, stop: int) -> None:
            self._smallest_sums(values[first:].ctypes.data, stop - first, n, count, out[first:].ctypes.data)

        threads.run(some, rows, LEAST_NUMBERS // n)
        return out

    def nearest_members(self, distances: NDArray[np.int64], count: int, first: int = 0) -> NDArray[np.bool_]:
        """As `reference.nearest.nearest_members`."""
        distances = np.ascontiguousarray(distances)
        rows, n = distances.shape
        members = np.empty((rows, n), dtype=np.bool_)

        def some(start: int, stop: int) -> None:
            self._nearest_members(
                distances[start:].ctypes.data, stop - start, n, first + start, count, members[start:].ctypes.data
            )  # fmt: skip

        threads.run(some, rows, LEAST_NUMBERS // n)
        return members

    def choose_by_krum(
        self, distances: NDArray[np.int64], f: int, theta: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """As `reference.nearest.choose_by_krum`."""
        distances = np.ascontiguousarray(distances)
        n = len(distances)
        kept, scores = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
        scratch = np.empty((2, n), dtype=np.int64)
        self._choose_by_krum(
            distances.ctypes.data, n, f, theta, scratch[0].ctypes.data, scratch[1].ctypes.data, scores.ctypes.data,
            kept.ctypes.data,
        )  # fmt: skip
        return kept, scores
