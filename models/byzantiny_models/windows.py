"""Convolution and pooling as gathers: which inputs an output sees, and the other way round.

A window's inputs are gathered into rows (im2col), so that a convolution is the dense layer's product once per position;
the error of the inputs is gathered from the products by the inverse table. Everything is an index table made once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.layers import Window

Indices = NDArray[np.intp]


@functools.cache
def taps(window: Window) -> Indices:
    """Return the inputs that each output position sees, (positions, taps * channels); one outside is number `inputs`.

    >>> from byzantiny_models.layers import Conv1D
    >>> taps(Conv1D((3, 1), 1, 3, padding="same").window).tolist()
    [[3, 0, 1], [0, 1, 2], [1, 2, 3]]
    """
    y = np.arange(window.out_height)[:, None] * window.stride_height - window.pad_top + np.arange(window.kernel_height)
    x = np.arange(window.out_width)[:, None] * window.stride_width - window.pad_left + np.arange(window.kernel_width)
    inside = _grid((y >= 0) & (y < window.height), (x >= 0) & (x < window.width), np.logical_and)
    pixel = _grid(y * window.width, x, np.add)
    numbers = pixel[..., None] * window.channels + np.arange(window.channels)
    table: Indices = np.where(inside[..., None], numbers, window.height * window.width * window.channels)
    table = table.reshape(window.positions, -1)
    table.setflags(write=False)
    return table


def _grid(rows: NDArray[Any], columns: NDArray[Any], combine: np.ufunc) -> NDArray[Any]:
    # (out_height, kernel_height) and (out_width, kernel_width) to (out_height, out_width, kernel_height, kernel_width)
    grid: NDArray[Any] = combine(rows[:, None, :, None], columns[None, :, None, :])
    return grid


@functools.cache
def uses(window: Window) -> Indices:
    """Return where `taps` names each input, (inputs, most uses), flat numbers; filled up with the size of `taps`.

    >>> from byzantiny_models.layers import Conv1D
    >>> uses(Conv1D((3, 1), 1, 2).window).tolist()
    [[0, 4], [1, 2], [3, 4]]
    """
    flat = taps(window).ravel()
    inputs = window.height * window.width * window.channels
    order = np.argsort(flat, kind="stable")
    order = order[: len(flat) - int((flat == inputs).sum())]
    owner = flat[order]
    counts = np.bincount(owner, minlength=inputs)
    table = np.full((inputs, int(counts.max(initial=0))), len(flat), dtype=np.intp)
    table[owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)] = order
    table.setflags(write=False)
    return table


def gather(window: Window, x: NDArray[Any]) -> NDArray[Any]:
    """Return what each position sees of x (..., inputs): (..., positions, taps * channels), 0 outside.

    >>> from byzantiny_models.layers import Conv1D
    >>> gather(Conv1D((3, 1), 1, 3, padding="same").window, np.array([5, 6, 7])).tolist()
    [[0, 5, 6], [5, 6, 7], [6, 7, 0]]
    """
    return _with_zero(x)[..., taps(window)]


def scatter(window: Window, products: NDArray[Any]) -> NDArray[Any]:
    """Return the sum per input of what all positions hand to it: the transpose of `gather`, (..., inputs).

    >>> from byzantiny_models.layers import Conv1D
    >>> scatter(Conv1D((3, 1), 1, 2).window, np.array([[1, 2], [3, 4]])).tolist()
    [1, 5, 4]
    """
    total: NDArray[Any] = _with_zero(products.reshape(*products.shape[:-2], -1))[..., uses(window)].sum(axis=-1)
    return total


def _with_zero(x: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([x, np.zeros((*x.shape[:-1], 1), dtype=x.dtype)], axis=-1)


def average_pool(window: Window, x: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the mean of each window and channel, int32 (..., positions * channels), half away from zero.

    `sum >= 0 ? (sum + n // 2) // n : -((-sum + n // 2) // n)`, n the pixels of a window.

    Source: tflite-micro, tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h (`AveragePool`).

    >>> from byzantiny_models.layers import AveragePool1D
    >>> average_pool(AveragePool1D((6, 1), 2).window, np.array([1, 2, -1, -2, 3, 3])).tolist()
    [2, -2, 3]
    """
    n = window.taps
    sums = gather(window, x).reshape(*x.shape[:-1], window.positions, n, window.channels).sum(axis=-2)
    means = np.sign(sums) * ((np.abs(sums) + n // 2) // n)
    flat: NDArray[np.int32] = means.reshape(*x.shape[:-1], -1).astype(np.int32)
    return flat


def spread_error(window: Window, error: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the error that average pooling hands to each input, int32 (..., inputs): an equal share of its window's.

    `floor((2 e + n) / (2 n))`, n the pixels of a window: to nearest, ties upwards, as every rounding shift of the
    backward pass (for n = 2^k it is `(e + 2^(k-1)) >> k`). An input in no window gets 0.

    >>> from byzantiny_models.layers import AveragePool1D
    >>> spread_error(AveragePool1D((7, 1), 3).window, np.array([4, -5])).tolist()
    [1, 1, 1, -2, -2, -2, 0]
    """
    n = window.taps
    shares = ((2 * error + n) // (2 * n)).reshape(*error.shape[:-1], window.positions, 1, window.channels)
    spread: NDArray[np.int32] = scatter(
        window, np.repeat(shares, n, axis=-2).reshape(*error.shape[:-1], window.positions, -1)
    )
    return spread
