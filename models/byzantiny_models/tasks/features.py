"""How measured values become int8 features: elementwise, in operations that round alike on every processor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError

Int8s = NDArray[np.int8]


def scaled(values: NDArray[Any], scale: float) -> Int8s:
    """Return `clip(floor(scale v + 1/2), -128, 127)`, int8, one flat row a sample.

    >>> scaled(np.array([[[0.5, -0.5], [9.0, -9.0]]]), 3).tolist()
    [[2, -1, 27, -27]]
    """
    return _int8(np.floor(values.astype(np.float64) * scale + 0.5))


def centred(windows: NDArray[Any], scale: float) -> Int8s:
    """Return windows (n, length, channels) as `scaled`, less each window's mean per channel, rounded half up.

    The mean is of the integers `floor(scale v + 1/2)`: a device needs one sum and one division a channel.

    >>> centred(np.array([[[1.0], [2.0], [6.0]]]), 1).tolist()
    [[-2, -1, 3]]
    """
    whole = np.floor(windows.astype(np.float64) * scale + 0.5)
    # Within +-2^40 sums of 65,535 are exact in float64; what is beyond saturates anyway.
    whole = np.clip(whole, -(2.0**30), 2.0**30)
    length = windows.shape[1]
    mean = np.floor((2 * whole.sum(axis=1, keepdims=True) + length) / (2 * length))
    return _int8(whole - mean)


def grey(images: NDArray[np.uint8]) -> Int8s:
    """Return pixels 0 .. 255 halved, 0 .. 127.

    >>> grey(np.array([[[[0], [255]]]], np.uint8)).tolist()
    [[0, 127]]
    """
    return _int8(images >> 1)


def ranged(train: NDArray[Any], values: NDArray[Any], features: int) -> Int8s:
    """Return `floor(128 (v - low) / (high - low) + 1/2) - 64`, low and high those of a column of `train`, as `features`.

    A column that does not vary is 0, and so are the columns beyond those that there are.

    >>> train = np.array([[0.0, 5.0], [4.0, 5.0]])
    >>> ranged(train, np.array([[1.0, 5.0], [9.0, 5.0]]), 3).tolist()
    [[-32, 0, 0], [127, 0, 0]]
    """
    low, high = train.min(axis=0), train.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    codes = np.where(high > low, np.floor(128 * (values - low) / span + 0.5) - 64, 0)
    return np.pad(_int8(codes), ((0, 0), (0, features - values.shape[1])))


def require_range(where: str, values: NDArray[Any], low: float, high: float) -> None:
    """Raise DatasetError naming the first sample with a value outside low .. high."""
    flat = values.reshape(len(values), -1)
    stray = ((flat < low) | (flat > high)).any(axis=1)
    if stray.any():
        i = int(np.argmax(stray))
        j = int(np.argmax((flat[i] < low) | (flat[i] > high)))
        raise DatasetError(
            f"{where}: sample {i}, value {j} is {flat[i, j]:g}, outside {low:g} .. {high:g}; this is another set, or one "
            "that was rescaled"
        )


def _int8(values: NDArray[Any]) -> Int8s:
    codes: Int8s = np.clip(values, -128, 127).astype(np.int8).reshape(len(values), -1)
    return codes
