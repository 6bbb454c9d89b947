"""The five ways in which TFLite's runtimes bring an int32 accumulator back to int8; they differ by one step now and then.

`tflm-double`: gemmlowp's: a saturating high multiplication, rounded, then a shift, rounded half away from zero. TFLM,
    tflite-runtime 2.14 and ai-edge-litert <= 1.2 with reference kernels.
`ruy`: the same multiplication, then a shift rounding half up. Every version without its default delegate.
`single`: one rounding of the 64-bit product, half up.
`xnnpack-fp32`: the accumulator times a float32, rounded half to even. The default of TF 2.21 and LiteRT.
`mixed`: one rounding, half away from zero, for dense layers; `tflm-double` for convolutions. Reference kernels of TF >=
    2.20 and LiteRT >= 1.3.

Which runtime does what was measured (docs/deploy.md). A device computes `tflm-double` (SPEC 3), with power-of-two scales.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError

Arithmetic = Literal["tflm-double", "ruy", "single", "xnnpack-fp32", "mixed"]
ARITHMETICS: Final[tuple[Arithmetic, ...]] = get_args(Arithmetic)
DEVICE: Final[Arithmetic] = "tflm-double"

Int64s = NDArray[np.int64]


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (q, shift) with `real = q * 2^(shift - 31)`, q rounded to 31 bits: what the kernels multiply by.

    Source: QuantizeMultiplier of TFLite (kernels/internal/quantization_util.cc), as read in the public documentation.

    >>> quantize_multiplier(0.0078125), quantize_multiplier(0.3)
    ((1073741824, -6), (1288490189, -1))
    """
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    q = math.floor(fraction * (1 << 31) + 0.5)
    if q == 1 << 31:
        q, shift = q // 2, shift + 1
    return (0, 0) if shift < -31 else (q, shift)


def requantize(accumulator: NDArray[Any], scales: NDArray[Any], arithmetic: Arithmetic, *, dense: bool) -> Int64s:
    """Return `round(accumulator * scale)` as one runtime computes it, int64; scales broadcast along the last axis.

    The zero point is added and the range clamped by the caller: that is the same everywhere.

    Raises:
        InvalidValueError: an unknown arithmetic.

    >>> acc = np.array([[-64, 64, 191, 192]])
    >>> requantize(acc, np.full(4, 2.0**-7), "tflm-double", dense=True).tolist()
    [[-1, 1, 2, 2]]
    >>> requantize(acc, np.full(4, 2.0**-7), "single", dense=True).tolist()
    [[0, 1, 1, 2]]
    """
    if arithmetic not in ARITHMETICS:
        raise InvalidValueError(f"arithmetic {arithmetic!r} is not one of {', '.join(ARITHMETICS)}")
    wide = np.asarray(accumulator, dtype=np.int64)
    if arithmetic == "xnnpack-fp32":
        return np.rint(wide.astype(np.float32) * scales.astype(np.float32)).astype(np.int64)
    pairs = [quantize_multiplier(float(scale)) for scale in np.ravel(scales)]
    q = np.array([pair[0] for pair in pairs], dtype=np.int64)
    shift = np.array([pair[1] for pair in pairs], dtype=np.int64)
    if arithmetic == "single" or (arithmetic == "mixed" and dense):
        right = 31 - shift
        half = np.int64(1) << (right - 1)
        away = wide < 0 if arithmetic == "mixed" else np.False_
        return np.asarray(np.where(away, -((-wide * q + half) >> right), (wide * q + half) >> right))
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = ((wide << left) * q + (1 << 30)) >> 31
    if arithmetic == "ruy":
        return np.asarray((high + ((np.int64(1) << right) >> 1)) >> right)
    mask = (np.int64(1) << right) - 1
    return np.asarray((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)))
