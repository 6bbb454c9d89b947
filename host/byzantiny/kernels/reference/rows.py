"""The kernels that change rows of codes, in NumPy: the oracle of the C ones, and what runs where they cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scale_rows(stored: NDArray[np.int8], factors: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return rows or tiles with client i's codes times `factors[i] / 4096`, rounded half away from zero.

    >>> scale_rows(np.array([[3, -3], [101, -101]], dtype=np.int8), np.array([4096, 2048])).tolist()
    [[3, -3], [51, -51]]
    """
    scaled: NDArray[np.int8] = stored.copy()
    for i in np.flatnonzero(factors != 4096):
        codes = stored[..., i, :].astype(np.int32)
        magnitudes = (np.abs(codes) * np.int32(factors[i]) + 2048) >> 12
        scaled[..., i, :] = np.where(codes < 0, -magnitudes, magnitudes)
    return scaled
