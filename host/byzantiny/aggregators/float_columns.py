"""What rules by coordinate do to the float rows that a mixing stage leaves; codes have exact columns of their own.

The n - f values nearest to a centre (Xie, Koyejo, Gupta. Generalized Byzantine-tolerant SGD. 2018, arXiv 1802.10116) are
neighbours in order, so they are one window of the sorted column. Of two values as near the lower is kept: ByzFL and ByzPy
keep whichever client comes first, which would make the order of the rows matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates import AnyBatch

LONG = 32
"""Rows from which turning columns into rows pays."""


def ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of every column in order, (n, d).

    Long columns are turned into rows first: NumPy sorts a row in vectors, and gathers a column value by value. It sorts faster
    than it partitions at two places: 2.4 ns a value, at n = 100, against 15.

    >>> ranked(np.array([[4.0, 1.0], [2.0, 9.0]])).tolist()
    [[2.0, 1.0], [4.0, 9.0]]
    """
    if len(values) < LONG:
        return np.sort(values, axis=0)
    return np.ascontiguousarray(np.sort(np.ascontiguousarray(values.T), axis=1).T)


def middle(values: NDArray[np.float64], lo: int, hi: int) -> NDArray[np.float64]:
    """Return the mean of the lo-th and the hi-th smallest of every column; halves first, so that large sums stay finite.

    >>> middle(np.array([[4.0], [1.0], [2.0], [9.0]]), 1, 2).tolist()
    [3.0]
    """
    ranks = ranked(values)
    return np.asarray(ranks[lo] / 2 + ranks[hi] / 2)


def float_votes(batch: AnyBatch) -> NDArray[np.int64]:
    """Return how many more float values of every coordinate are positive than negative, int64 (d,).

    >>> from byzantiny.updates import UpdateBatch
    >>> float_votes(UpdateBatch.from_rows(np.array([[0.5, -1.0], [0.0, -2.0]]))).tolist()
    [1, -2]
    """
    return batch.by_columns(lambda values: np.sign(values).sum(axis=0)).astype(np.int64)


def nearest_mean(ranked: NDArray[np.float64], f: int, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the n - f values nearest to the centre, of (n, d) rows sorted by coordinate.

    >>> nearest_mean(np.array([[0.0], [1.0], [100.0]]), 1, np.array([1.0])).tolist()
    [0.5]
    """
    kept = len(ranked) - f
    # Halves, so that the sum of two large values stays finite.
    first = (ranked[:f] / 2 + ranked[kept:] / 2 < centre).sum(axis=0)
    window = np.take_along_axis(ranked, first + np.arange(kept)[:, None], axis=0)
    return kernels.float_column_sum(window) / kept
