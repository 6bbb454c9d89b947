"""What the generators share: waves from a table in integers, so that a seed gives the same samples on every machine.

NumPy's sin and FFT differ in the last bit between processors (SVML) and versions; after rounding to int8 that would
still move a code now and then, and with it every model hash of an experiment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLE_BITS = 12
AMPLITUDE = 32_767
SINE: NDArray[np.int64] = np.array(
    [round(AMPLITUDE * math.sin(2 * math.pi * k / (1 << TABLE_BITS))) for k in range(1 << TABLE_BITS)], dtype=np.int64
)
SINE.setflags(write=False)


def sine(turns: NDArray[Any]) -> NDArray[np.int64]:
    """Return `round(32767 sin(2 pi t / 65536))`, t in 65,536ths of a turn, from a table of 4,096 entries.

    >>> sine(np.array([0, 16384, 32768, 49152])).tolist()
    [0, 32767, 0, -32767]
    """
    return np.asarray(SINE[(np.asarray(turns, dtype=np.int64) >> (16 - TABLE_BITS)) & ((1 << TABLE_BITS) - 1)])


def cosine(turns: NDArray[Any]) -> NDArray[np.int64]:
    """Return `sine` a quarter of a turn later."""
    return sine(np.asarray(turns, dtype=np.int64) + 16_384)


def decaying(length: int, numerator: int, denominator: int) -> NDArray[np.int64]:
    """Return `32767 (numerator / denominator)^k` for k = 0 .. length - 1, each step rounded down.

    >>> decaying(3, 1, 2).tolist()
    [32767, 16383, 8191]
    """
    values = [AMPLITUDE]
    for _ in range(length - 1):
        values.append(values[-1] * numerator // denominator)
    return np.array(values, dtype=np.int64)


def noise(rng: np.random.Generator, shape: tuple[int, ...], deviation: int) -> NDArray[np.int64]:
    """Return nearly Gaussian integers: twelve uniform ones added, minus their mean (Irwin-Hall), exact everywhere.

    >>> round(float(noise(np.random.default_rng(0), (100_000,), 1000).std()), -2)
    1000.0
    """
    uniform = rng.integers(0, 1 << 12, (12, *shape), dtype=np.int64).sum(axis=0) - 12 * ((1 << 12) - 1) // 2
    return np.asarray((uniform * deviation) >> 12)
