"""The kernels of nearest rows, from distances: C for exact ones where a library is loaded, else NumPy; the same integers."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.nearest import Nearest
from byzantiny.kernels.reference import nearest as reference


def smallest_sums(values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the sum of the `count` smallest numbers of every row, (n,); the caller bounds it.

    >>> smallest_sums(np.array([[9, 0, 4], [1, 5, 5]]), 2).tolist()
    [4, 6]
    """
    return _functions(values).smallest_sums(values, count)


def nearest_members(distances: NDArray[Any], count: int, first: int = 0) -> NDArray[np.bool_]:
    """Return who is among the `count` nearest to each of the rows first, first + 1, ...: itself, by distance, by index.

    `distances[i]` are those from row first + i to every row.

    >>> nearest_members(np.array([[0, 4, 4], [4, 0, 0], [4, 0, 0]]), 2).astype(int).tolist()
    [[1, 1, 0], [0, 1, 1], [0, 1, 1]]
    """
    return _functions(distances).nearest_members(distances, count, first)


def choose_by_krum(distances: NDArray[Any], f: int, theta: int) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return the mask of the `theta` rows that Krum chooses one after the other, and every row's score.

    Among r rows that are left a score is the sum of the `max(1, r - f - 2)` smallest distances; equal scores: the lowest
    index. A chosen row's score is the one it was chosen by, another's its last.

    >>> kept, scores = choose_by_krum(np.array([[0, 4, 1], [4, 0, 9], [1, 9, 0]]), 0, 2)
    >>> kept.tolist(), scores.tolist()
    ([True, True, False], [1, 9, 9])
    """
    return _functions(distances).choose_by_krum(distances, f, theta)


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Nearest | None:
    return None if library is None else Nearest(library)


def _functions(distances: NDArray[Any]) -> Nearest | ModuleType:
    functions = _native(native.select()[1])
    return reference if functions is None or distances.dtype != np.int64 else functions
