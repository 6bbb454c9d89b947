"""From samples in a file's or a generator's units to the device's int8: a factor, an offset, one rounding, a clamp.

No statistic of the data enters but the columns' ranges that `ranged` is given, constants of a task: a device knows no
other device's samples, and the same file gives the same integers whatever else is in it.
What each task's factor is stands on its card and in docs/data.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.readers.samples import Samples


def to_int8(x: NDArray[Any], factor: int, offset: int = 0) -> NDArray[np.int8]:
    """Return `clamp(round_half_away(factor * (x - offset)), -128, 127)` as rows, int8 (n, features).

    x is uint8 or float32 (n, ...). The product is exact in float64 for factors below 2^20, so no machine differs.

    >>> to_int8(np.array([[0.5, -0.5, 0.0078125, 9.0]], np.float32), 64).tolist()
    [[32, -32, 1, 127]]
    >>> to_int8(np.array([[20.0, 18.5]], np.float32), 8, offset=19).tolist()
    [[8, -4]]
    """
    rows = x.reshape(len(x), -1)
    out = np.empty(rows.shape, dtype=np.int8)
    for first in range(0, len(rows), 4096):  # in pieces: EMNIST in float64 would be 1.7 GB
        out[first : first + 4096] = np.clip(
            _round((rows[first : first + 4096] - np.float64(offset)) * factor), -128, 127
        )
    return out


def moved(x: NDArray[Any]) -> NDArray[np.int8]:
    """Return windows of accelerations in g, (n, samples, axes), as what moved: gravity and bias out, +-2 g, as rows.

    In integers, as a device can: `m = round_half_away(1000 x)`, from it `floor(sum m / samples)` of its window and axis,
    then `clamp(round_half_away(64 m / 1000), -128, 127)`.

    >>> moved(np.array([[[1.0], [1.25], [1.5], [1.25]]])).tolist()
    [[-16, 0, 16, 0]]
    """
    milli = _round(np.clip(x.astype(np.float64), -1e6, 1e6) * 1000).astype(np.int64)
    about = milli - milli.sum(axis=1, keepdims=True) // x.shape[1]
    rounded: NDArray[np.int64] = np.sign(about) * ((128 * np.abs(about) + 1000) // 2000)
    rows: NDArray[np.int8] = np.clip(rounded, -128, 127).astype(np.int8).reshape(len(x), -1)
    return rows


def ranged(x: NDArray[Any], low: NDArray[Any], high: NDArray[Any], features: int) -> NDArray[np.int8]:
    """Return `clamp(round_half_away(128 (x - low) / (high - low)) - 64, -128, 127)` by column, and 0 up to `features`.

    A column of no range is 0. Each operation is one that IEEE 754 rounds alike everywhere.

    >>> ranged(np.array([[1.0, 5.0], [9.0, 5.0]]), np.array([0.0, 5.0]), np.array([4.0, 5.0]), 3).tolist()
    [[-32, 0, 0], [127, 0, 0]]
    """
    span = high - low
    steps = _round(128 * (x - low) / np.where(span > 0, span, 1.0)) - 64
    rows = np.zeros((len(x), features), dtype=np.int8)
    rows[:, : x.shape[1]] = np.clip(np.where(span > 0, steps, 0.0), -128, 127)
    return rows


def _round(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half away from zero."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def labels(samples: Samples) -> NDArray[np.uint8]:
    """Return the labels in a data set's type; readers hold them below 256."""
    return samples.y.astype(np.uint8)
