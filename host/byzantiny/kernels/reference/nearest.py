"""Who is near to whom, from distances, in NumPy: by sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.floats import float_row_sum


def smallest_sums(values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the sum of the `count` smallest numbers of every row, (n,); the caller bounds it.

    >>> smallest_sums(np.array([[9, 0, 4], [1, 5, 5]]), 2).tolist()
    [4, 6]
    """
    return np.asarray(np.partition(values, count - 1, axis=1)[:, :count].sum(axis=1))


def nearest_members(distances: NDArray[Any], count: int, first: int = 0) -> NDArray[np.bool_]:
    """Return who is among the `count` nearest to each of the rows first, first + 1, ...: itself, by distance, by index.

    >>> nearest_members(np.array([[0, 4, 4], [4, 0, 0], [4, 0, 0]]), 2).astype(int).tolist()
    [[1, 1, 0], [0, 1, 1], [0, 1, 1]]
    """
    own = np.arange(len(distances))
    judged = distances.copy()
    judged[own, first + own] = -1
    members = np.zeros(distances.shape, dtype=np.bool_)
    np.put_along_axis(members, np.argsort(judged, axis=1, kind="stable")[:, :count], values=True, axis=1)
    return members


def choose_by_krum(distances: NDArray[Any], f: int, theta: int) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return the mask of the `theta` rows that Krum chooses one after the other, and every row's score.

    Among r rows that are left a score is the sum of the `max(1, r - f - 2)` smallest distances; equal scores: the lowest
    index. A chosen row's score is the one it was chosen by, another's its last. The neighbours of every row are ranked
    once; a chosen row is struck from the others' lists.

    >>> kept, scores = choose_by_krum(np.array([[0, 4, 1], [4, 0, 9], [1, 9, 0]]), 0, 2)
    >>> kept.tolist(), scores.tolist()
    ([True, True, False], [1, 9, 9])
    """
    n = len(distances)
    left = np.arange(n)
    order = np.argsort(distances + np.diag(np.full(n, -1, dtype=distances.dtype)), axis=1, kind="stable")[:, 1:]
    ranked = np.take_along_axis(distances, order, axis=1)
    kept, scores = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=distances.dtype)
    for _ in range(theta):
        nearest = ranked[:, : max(1, len(left) - f - 2)]
        scores[left] = nearest.sum(axis=1) if distances.dtype == np.int64 else float_row_sum(nearest)
        best = int(np.argmin(scores[left]))
        chosen, stays = left[best], np.arange(len(left)) != best
        kept[chosen] = True
        others = order[stays] != chosen
        shape = (len(left) - 1, max(0, len(left) - 2))
        ranked, order = ranked[stays][others].reshape(shape), order[stays][others].reshape(shape)
        left = left[stays]
    return kept, scores
