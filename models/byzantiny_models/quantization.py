"""Fixed-point primitives: the roundings of the forward pass, of the update, and TFLM's general requantisation.

The forward pass follows gemmlowp (B. Jacob et al., CVPR 2018, arXiv 1712.05877) as TFLM's reference kernels do, with
*double* rounding. What differs: scales are powers of two, so `requantize` needs two shifts and no 64-bit multiply; the
general functions below are its executable specification and are not on the path of a training step.
Updates use stochastic rounding (S. Gupta et al., ICML 2015, arXiv 1502.02551) with counter-based noise.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError

Ints = NDArray[Any]
"""An integer array; functions keep its type where they can."""

MAX_STOCHASTIC_SHIFT = 16
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


def requantize(acc: ArrayLike, k: int) -> Ints:
    """Return `acc * 2^-k` rounded as gemmlowp rounds it (twice), for int32 `acc` and k in 1 .. 31.

    `t = (acc + 1) >> 1`, then `t / 2^(k-1)` to nearest, half away from zero.

    Raises:
        InvalidValueError: k outside 1 .. 31.

    Source: SPEC 3; `multiply_by_quantized_multiplier(acc, 2^30, 1 - k)`, its general form.

    >>> requantize(np.array([5, -6, 1535, -1536]), 2).tolist()
    [2, -2, 384, -384]
    """
    if not 1 <= k <= 31:
        raise InvalidValueError(f"k {k} is outside 1 .. 31; change the formats of the layer")
    acc = np.asarray(acc)
    half = (acc >> 1) + (acc & 1)  # (acc + 1) >> 1 without the overflow at 2^31 - 1
    return rounding_divide_by_pot(half, k - 1)


def rounding_shift(x: ArrayLike, k: int) -> Ints:
    """Return `(x + 2^(k-1)) >> k`, to nearest with ties upwards; k = 0 returns x.

    Raises:
        InvalidValueError: k < 0.

    Source: SPEC 3, DESIGN 4 ("everywhere else").

    >>> rounding_shift(np.array([3, -3, 4, -4, -5]), 3).tolist()
    [0, 0, 1, 0, -1]
    """
    if k < 0:
        raise InvalidValueError(f"k {k} is below 0; a left shift does not round")
    x = np.asarray(x)
    return x if k == 0 else (x + (1 << (k - 1))) >> k


def stochastic_shift(v: ArrayLike, s: int, noise: ArrayLike) -> Ints:
    """Return SR(v, s): `v * 2^-s` rounded down or up at random with the mean `v * 2^-s` exactly.

    `SR(v, s) = (v + (noise >> (32 - s))) >> s` for 1 <= s <= 16; `SR(v, 0) = v`; for s < 0 `v * 2^-s`.
    `noise` is uint32, of v's shape; v is a signed integer array wide enough for v + 2^16 (or for the product).

    Raises:
        InvalidValueError: s > 16.

    Source: SPEC 2.

    >>> stochastic_shift(np.array([5, 5, -5]), 2, np.array([0, 0xC0000000, 0xFFFFFFFF], dtype=np.uint32)).tolist()
    [1, 2, -1]
    """
    if s > MAX_STOCHASTIC_SHIFT:
        raise InvalidValueError(f"s {s} is above {MAX_STOCHASTIC_SHIFT}; choose a smaller shift")
    v = np.asarray(v)
    if s <= 0:
        return v << -s
    low: Ints = (np.asarray(noise, dtype=np.uint32) >> np.uint32(32 - s)).astype(v.dtype)
    low += v
    low >>= s
    return low


def stochastic_shift_wide(v: ArrayLike, s: int, noise: ArrayLike) -> Ints:
    """Return SR(v, s) for s up to 24, in 32 bits: `v * 2^-s` rounded down or up at random with the right mean.

    For s > 16 in two steps with the two parts of one number, `SR(v, s) = ((v + low) >> 8 + high) >> (s - 8)`, where
    `high = noise >> (40 - s)` and `low = (noise >> (32 - s)) & 255`: the same as `(v + (noise >> (32 - s))) >> s` in wider
    integers, and no sum grows by more than 2^16. v is int32, its magnitude at most 2^31 - 2^17.

    Raises:
        InvalidValueError: s > 24.

    >>> stochastic_shift_wide(np.array([1 << 19, -5], dtype=np.int32), 20, np.array([0x80000000, 0], dtype=np.uint32)).tolist()
    [1, -1]
    """
    if s <= MAX_STOCHASTIC_SHIFT:
        return stochastic_shift(v, s, noise)
    if s > MAX_STOCHASTIC_SHIFT + 8:
        raise InvalidValueError(f"s {s} is above {MAX_STOCHASTIC_SHIFT + 8}; choose a smaller shift")
    v, noise = np.asarray(v), np.asarray(noise, dtype=np.uint32)
    low = ((noise >> np.uint32(32 - s)) & np.uint32(255)).astype(v.dtype)
    high = (noise >> np.uint32(40 - s)).astype(v.dtype)
    wide: Ints = (((v + low) >> 8) + high) >> (s - 8)
    return wide


def derive_weights(w16: ArrayLike) -> NDArray[np.int32]:
    """Return the int8 weights Q6 of int16 masters Q14: `w8 = min(127, (w16 + 128) >> 8)`, as int32.

    >>> derive_weights([32512, 127, 128, -128, -129, -32512]).tolist()
    [127, 0, 1, 0, -1, -127]
    """
    w8: NDArray[np.int32] = np.minimum((np.asarray(w16, dtype=np.int32) + 128) >> 8, 127)
    return w8


def div_half_away(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.int64]:
    """Return `numerator / denominator` to nearest, half away from zero, exact in int64.

    Raises:
        InvalidValueError: a denominator below 1.

    Source: SPEC 4 (server step).

    >>> div_half_away([5, -5, 4, 7], 2).tolist()
    [3, -3, 2, 4]
    """
    num, den = np.asarray(numerator, dtype=np.int64), np.asarray(denominator, dtype=np.int64)
    if den.size and int(den.min()) < 1:
        raise InvalidValueError(f"denominator {int(den.min())} is below 1; an aggregate of no clients has no value")
    shape = np.broadcast_shapes(num.shape, den.shape)
    num, den = np.atleast_1d(np.broadcast_to(num, shape)), den.view(np.uint64)
    sign = num >> 63
    result: NDArray[np.int64] = num ^ sign
    result -= sign  # |num|, where -2^63 wraps to what is 2^63 unsigned
    magnitude = result.view(np.uint64)
    magnitude += den >> np.uint64(1)  # at most 2^63 + 2^62
    magnitude //= den  # floor((|num| + floor(den / 2)) / den): a half goes up, and an odd den has none
    result ^= sign
    result -= sign
    return result.reshape(shape)


def saturate(x: ArrayLike, limit: int) -> Ints:
    """Return `min(max(x, -limit), limit)`.

    >>> saturate(np.array([-200, 5, 128]), 127).tolist()
    [-127, 5, 127]
    """
    # Two ufuncs: np.clip's own overhead is several times the work on a layer's few numbers.
    clipped: Ints = np.minimum(np.maximum(np.asarray(x), -limit), limit)
    return clipped


def isqrt_ceil(n: int) -> int:
    """Return the least integer whose square is not below `n`.

    Raises:
        InvalidValueError: n < 0.

    >>> [isqrt_ceil(n) for n in (0, 1, 2, 4, 5, 10**12 + 1)]
    [0, 1, 2, 2, 3, 1000001]
    """
    if n < 0:
        raise InvalidValueError(f"n {n} is below 0; a sum of squares is not")
    return 0 if n == 0 else math.isqrt(n - 1) + 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return `(m, s)` with `real ~ m * 2^(s - 31)`, m in 2^30 .. 2^31 - 1; 0 and anything below 2^-32 give (0, 0).

    `f, s = frexp(real)`; `m = round(f * 2^31)`, half away; `m = 2^31` becomes `(2^30, s + 1)`.

    Raises:
        InvalidValueError: a negative or non-finite number, or one of 2^30 or above.

    Source: tflite-micro, tensorflow/lite/kernels/internal/quantization_util.cc.

    >>> quantize_multiplier(0.1), quantize_multiplier(2.0**-7)
    ((1717986918, -3), (1073741824, -6))
    """
    if not 0.0 <= real < 2.0**30:
        raise InvalidValueError(f"multiplier {real} is outside 0 .. 2^30; check the scales")
    fraction, s = math.frexp(real)
    m = math.floor(fraction * (1 << 31) + 0.5)
    if m == 1 << 31:
        m, s = m >> 1, s + 1
    return (0, 0) if s < -31 or m == 0 else (m, s)


def srdhm(a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
    """Return gemmlowp's saturating rounding doubling high multiply of two int32: `(a * b + nudge) / 2^31`, truncated.

    nudge = 2^30 for a product that is not negative, else 1 - 2^30; INT32_MIN * INT32_MIN saturates to 2^31 - 1.

    Source: gemmlowp, fixedpoint/fixedpoint.h.

    >>> srdhm([3, -3, -(2**31)], [2**30, 2**30, -(2**31)]).tolist()
    [2, -1, 2147483647]
    """
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    truncated = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(truncated, _INT32_MAX)


def rounding_divide_by_pot(x: ArrayLike, exponent: int) -> Ints:
    """Return `x / 2^exponent` to nearest, half away from zero, exponent in 0 .. 31.

    `mask = 2^e - 1; r = x & mask; threshold = (mask >> 1) + (x < 0); (x >> e) + (r > threshold)`.

    Raises:
        InvalidValueError: an exponent outside 0 .. 31.

    Source: gemmlowp, fixedpoint/fixedpoint.h (`RoundingDivideByPOT`).

    >>> rounding_divide_by_pot(np.array([5, -5, 6, -6]), 1).tolist()
    [3, -3, 3, -3]
    """
    if not 0 <= exponent <= 31:
        raise InvalidValueError(f"exponent {exponent} is outside 0 .. 31; check the scales")
    x = np.asarray(x)
    if exponent == 0:
        return x
    mask = (1 << exponent) - 1
    wide = x if exponent < 31 else x.astype(np.int64)  # the threshold of exponent 31 does not fit int32
    return (wide >> exponent) + ((wide & mask) > (mask >> 1) + (wide < 0))


def multiply_by_quantized_multiplier(
    x: ArrayLike, m: int, s: int, *, single_rounding: bool = False
) -> NDArray[np.int64]:
    """Return the int32 `x * m * 2^(s - 31)`, rounded twice (TFLM, CMSIS-NN) or once (XNNPACK, TFLITE_SINGLE_ROUNDING).

    Double: `rounding_divide_by_pot(srdhm(x << max(s, 0), m), max(-s, 0))`; single: `(x * m + 2^(30 - s)) >> (31 - s)`.

    Raises:
        InvalidValueError: s outside -31 .. 30, or a value that `x << s` pushes out of int32.

    Source: tflite-micro, tensorflow/lite/kernels/internal/common.cc.

    >>> [int(multiply_by_quantized_multiplier(5, 2**30, -1, single_rounding=once)) for once in (False, True)]
    [2, 1]
    """
    if not -31 <= s <= 30:
        raise InvalidValueError(f"shift {s} is outside -31 .. 30; check the scales")
    wide = np.asarray(x, dtype=np.int64)
    if single_rounding:
        return (wide * m + (1 << (30 - s))) >> (31 - s)
    shifted = wide << max(s, 0)
    if shifted.size and (int(shifted.max()) > _INT32_MAX or int(shifted.min()) < _INT32_MIN):
        raise InvalidValueError(f"a value shifted left by {s} leaves int32; check the scales")
    return rounding_divide_by_pot(srdhm(shifted, m), max(-s, 0))


def fully_connected_int8(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike,
    *,
    multiplier: tuple[int, int],
    input_offset: int = 0,
    output_offset: int = 0,
    limits: tuple[int, int] = (-128, 127),
) -> NDArray[np.int8]:
    """Return TFLM's int8 fully connected layer: the specification that the power-of-two path is tested against.

    `acc = bias + sum w * (x + input_offset)`; `y = clip(MBQM(acc, m, s) + output_offset, limits)`;
    x (..., in), weights (out, in), bias (out,), y (..., out).

    Source: tflite-micro, tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.

    >>> fully_connected_int8([3, -4], [[1, 2], [5, 6]], [0, 1], multiplier=(2**30, 0)).tolist()
    [-2, -4]
    """
    shifted = np.asarray(x, dtype=np.int64) + input_offset
    acc = shifted @ np.asarray(weights, dtype=np.int64).T + np.asarray(bias, dtype=np.int64)
    y = multiply_by_quantized_multiplier(acc, *multiplier) + output_offset
    return np.clip(y, *limits).astype(np.int8)


def _exp_lut() -> NDArray[np.uint16]:
    # Decimal's exp is correctly rounded at the context's precision, so every machine computes the same table; libm's
    # exp is not. No entry lies within 0.002 of a tie, so 40 digits decide every rounding.
    with localcontext(Context(prec=40)):
        exact = [Decimal(65535) * (Decimal(-d) / 8).exp() for d in range(256)]
        table = np.array([int(e.to_integral_value(ROUND_HALF_EVEN)) for e in exact], dtype=np.uint16)
    table.setflags(write=False)
    return table


EXP_LUT = _exp_lut()
"""`EXP_LUT[d] = round(65535 * exp(-d / 8))`, d in 0 .. 255: d is how far a Q3 logit lies below the largest."""
