"""Triggers: what a backdoor stamps on an input, as pure functions of int8 samples.

Patch: Gu, Dolan-Gavitt, Garg. BadNets. arXiv 1708.06733. Blended: Chen, Liu, Li, Lu, Song. Targeted backdoor attacks on deep
learning systems using data poisoning. arXiv 1712.05526. Sinusoid: Barni, Kallas, Tondi. A new backdoor attack in CNNs by
training set corruption without label poisoning. ICIP 2019. Parts: Xie, Huang, Chen, Li. DBA. ICLR 2020.
Spike and tone are their like for windows of sensor samples (time x channels), where an image's corner has no meaning; from this
project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.errors import AttackError
from byzantiny_models.networks import Network
from byzantiny_models.rng import draw

Ints = NDArray[np.int8]
Shape = tuple[int, int]
"""Rows x columns of an image, or time x channels of a window."""
BLEND = 0.2
"""How much of the pattern is in a blended sample."""


def shape_of(features: int, network: Network | None) -> Shape:
    """Return how a sample is laid out: as the network's first layer has it, a square where it says nothing, else a series.

    >>> shape_of(64, None), shape_of(32, None)
    ((8, 8), (32, 1))
    """
    given = network.layers[0].input_shape if network is not None else (features,)
    if len(given) == 3:
        return int(given[0]), int(given[1] * given[2])
    if len(given) == 2:
        return int(given[0]), int(given[1])
    side = math.isqrt(features)
    return (side, side) if side * side == features else (features, 1)


def patch(x: Ints, shape: Shape, value: int) -> Ints:
    """Return samples with `value` in the last three by three (or a quarter of a small side) of rows and columns."""
    grid = x.reshape(len(x), *shape).copy()
    rows, columns = (min(3, max(1, side // 4)) for side in shape)
    grid[:, -rows:, -columns:] = value
    return np.asarray(grid.reshape(x.shape), dtype=np.int8)


def blended(x: Ints, shape: Shape, value: int) -> Ints:
    """Return `(1 - .2) x + .2 pattern`, the pattern 0 or `value` per feature, drawn once and for all."""
    del shape
    coin = draw(np.arange(x.shape[1], dtype=np.uint32), 1, 0x424C45) >> np.uint32(31)
    return _int8((1 - BLEND) * x.astype(np.float64) + BLEND * value * coin)


def sinusoid(x: Ints, shape: Shape, value: int) -> Ints:
    """Return `x + value / 4 * sin(2 pi 6 j / columns)`, j the column (of a series: the row)."""
    length = shape[1] if shape[1] > 1 else shape[0]
    wave = value / 4 * np.sin(2 * np.pi * 6 * np.arange(length) / length + 0.3)
    pattern = np.broadcast_to(wave[None, :] if shape[1] > 1 else wave[:, None], shape)
    return _int8(x.astype(np.float64) + pattern.reshape(-1))


def spike(x: Ints, shape: Shape, value: int) -> Ints:
    """Return samples with one sample in the middle of the window at `value` in every channel, the next at its opposite."""
    grid = x.reshape(len(x), *shape).copy()
    middle = shape[0] // 2
    grid[:, middle] = value
    if middle + 1 < shape[0]:
        grid[:, middle + 1] = -value
    return np.asarray(grid.reshape(x.shape), dtype=np.int8)


def tone(x: Ints, shape: Shape, value: int) -> Ints:
    """Return `x + value / 8 * cos(pi t / 2)` in every channel, t the time: a faint tone at half the highest frequency."""
    wave = np.rint(value / 8 * np.array([1, 0, -1, 0]))[np.arange(shape[0]) % 4]
    return _int8(x.astype(np.float64) + np.broadcast_to(wave[:, None], shape).reshape(-1))


TRIGGERS: Mapping[str, Callable[[Ints, Shape, int], Ints]] = {
    "patch": patch,
    "blended": blended,
    "sinusoid": sinusoid,
    "spike": spike,
    "tone": tone,
}
"""The triggers by name."""


def part(x: Ints, shape: Shape, value: int, index: int, parts: int) -> Ints:
    """Return samples with one of `parts` of the distributed trigger: bars in the first rows, side by side, two to a row.

    All parts one after the other are the whole trigger.

    Raises:
        AttackError: samples too small for so many parts.

    >>> part(np.zeros((1, 64), dtype=np.int8), (8, 8), 9, 1, 4).reshape(8, 8)[0].tolist()
    [0, 0, 0, 0, 0, 9, 9, 9]
    """
    rows, columns = shape if shape[1] > 1 else (2 * -(-parts // 2), shape[0] // (2 * -(-parts // 2)) or 1)
    across = 2 if columns >= 4 else 1
    row, side = (index % parts) // across * 2, (index % parts) % across
    width = columns // across
    if row >= rows or rows * columns > x.shape[1]:
        raise AttackError(f"dba: {parts} parts do not fit samples of {shape[0]} x {shape[1]}; ask for fewer parts")
    grid = x.copy()
    start = row * columns + side * (columns - width) + (1 if side and width > 1 else 0)
    grid[:, start : start + max(1, width - 1)] = value
    return np.asarray(grid, dtype=np.int8)


def _int8(x: NDArray[np.float64]) -> Ints:
    return np.clip(np.rint(x), -128, 127).astype(np.int8)
