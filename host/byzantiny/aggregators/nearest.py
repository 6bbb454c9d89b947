"""The mean of the n - f values nearest to a centre, by coordinate: what meamed and Phocas share.

Xie, Koyejo, Gupta. Generalized Byzantine-tolerant SGD. 2018, arXiv 1802.10116.
The nearest values are neighbours in order, so they are one window of the sorted column. Of two values as near the
lower is kept: ByzFL and ByzPy keep whichever client comes first, which would make the order of the rows matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels


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
