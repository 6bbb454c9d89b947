"""Sensor drift: what one device measures differently from the others, a gain and a bias over all its features.

Feature skew, as Q. Li et al., ICDE 2022 (arXiv 2102.02079) call it: labels and sizes are alike, inputs are not. What
differs: they add noise of a level per client; here nothing is random but the device, as a sensor's error is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import PartitionError

GAIN_BITS = 7
"""A gain is in 128ths."""
MOST_BIAS = 127
MOST_GAIN = 127


@dataclass(frozen=True, slots=True)
class Drift:
    """One device's error: features become `clip((((128 + gain_128ths) x + 64) >> 7) + bias_steps, -128, 127)`."""

    bias_steps: int
    gain_128ths: int

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return what the device measures where others measure x, int8 of the same shape.

        The shift is arithmetic: rounded to nearest, ties upwards.

        >>> Drift(3, 64)(np.array([10, -10, 1, 127], np.int8)).tolist()
        [18, -12, 5, 127]
        """
        gain = (1 << GAIN_BITS) + self.gain_128ths
        product = (gain * x.astype(np.int32) + (1 << (GAIN_BITS - 1))) >> GAIN_BITS
        measured: NDArray[np.int8] = np.clip(product + self.bias_steps, -128, 127).astype(np.int8)
        return measured


def draw_drift(rng: np.random.Generator, bias_steps: int, gain_128ths: int) -> Drift:
    """Return a device's drift: bias, then gain, each uniform over the integers from minus the bound to the bound.

    Raises:
        PartitionError: a bound outside 0 .. 127.

    >>> draw_drift(np.random.default_rng(0), 0, 0)
    Drift(bias_steps=0, gain_128ths=0)
    """
    for name, value, most in (("bias_steps", bias_steps, MOST_BIAS), ("gain_128ths", gain_128ths, MOST_GAIN)):
        if not 0 <= value <= most:
            raise PartitionError(f"{name} {value} is outside 0 .. {most}; 0 is none")
    bias = int(rng.integers(-bias_steps, bias_steps + 1))
    return Drift(bias, int(rng.integers(-gain_128ths, gain_128ths + 1)))
