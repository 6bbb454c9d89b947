"""Per-device drift: two devices that see the same thing measure it with another gain and another zero.

    g = an integer of -gain_64ths .. gain_64ths,  b = an integer of -bias_steps .. bias_steps   (one of each per client)
    x' = clamp((((64 + g) x + 32) >> 6) + b, -128, 127)

All in integers, x in the device's int8 (2^-6 a step): the same on every machine. Test samples are left as they are, so a
model is judged by what an ideal device would show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError

UNIT = 64
MOST_BIAS_STEPS = 127
MOST_GAIN_64THS = 63
"""At 64 a device could show nothing at all."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What one device does to its features: gain `(64 + gain_64ths) / 64`, then `bias_steps` more.

    Raises:
        InvalidValueError: a bias beyond +-127 or a gain beyond +-63.
    """

    bias_steps: int
    gain_64ths: int

    def __post_init__(self) -> None:
        _check(self.bias_steps, self.gain_64ths)

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the features as this device shows them.

        >>> Drift(bias_steps=3, gain_64ths=-32)(np.array([[100, -1, 0, -128]], np.int8)).tolist()
        [[53, 3, 3, -61]]
        """
        wide: NDArray[Any] = ((UNIT + self.gain_64ths) * x.astype(np.int32) + UNIT // 2) >> 6
        shown: NDArray[np.int8] = np.clip(wide + self.bias_steps, -128, 127).astype(np.int8)
        return shown


def draw_drift(rng: np.random.Generator, bias_steps: int, gain_64ths: int) -> Drift:
    """Return a device's drift, gain before bias, both uniform and inclusive.

    Raises:
        InvalidValueError: bias_steps outside 0 .. 127, gain_64ths outside 0 .. 63.

    >>> draw_drift(np.random.default_rng(0), 0, 0)
    Drift(bias_steps=0, gain_64ths=0)
    """
    _check(bias_steps, gain_64ths, low=0)
    gain = int(rng.integers(-gain_64ths, gain_64ths, endpoint=True))
    return Drift(int(rng.integers(-bias_steps, bias_steps, endpoint=True)), gain)


def _check(bias_steps: int, gain_64ths: int, low: int | None = None) -> None:
    for name, value, most in (("bias_steps", bias_steps, MOST_BIAS_STEPS), ("gain_64ths", gain_64ths, MOST_GAIN_64THS)):
        least = -most if low is None else low
        if not least <= value <= most:
            raise InvalidValueError(f"{name} {value} is outside {least} .. {most}; choose one within")
