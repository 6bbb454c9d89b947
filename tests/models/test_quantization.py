"""Fixed-point primitives against vectors that others computed (item numbers: reference/training.md 5.2)."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.quantization import (
    EXP_LUT,
    div_half_away,
    fully_connected_int8,
    isqrt_ceil,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
    rounding_shift,
    saturate,
    srdhm,
    stochastic_shift,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        # 1: tflite-micro, tensorflow/lite/kernels/internal/quantization_util_test.cc
        (4.0, (2**30, 3)),
        (2.0, (2**30, 2)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.25, (2**30, -1)),
        (0.125, (2**30, -2)),
        (0.0, (0, 0)),
        # 1: recomputed independently
        (0.1, (1717986918, -3)),
        (1 / 3, (1431655765, -1)),
        (0.0234375, (1610612736, -5)),
        (2.0**-7, (2**30, -6)),
        (123.45, (2071147315, 7)),
        # the two corners of the definition: rounding up to 2^31, and below the least exponent
        (1 - 2.0**-40, (2**30, 1)),
        (2.0**-33, (0, 0)),
        (2.0**-32, (2**30, -31)),
    ],
)
def test_quantize_multiplier(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("bad", [-0.5, float("nan"), float("inf"), 2.0**30])
def test_a_multiplier_without_meaning_is_refused(bad):
    with pytest.raises(InvalidValueError, match="scales"):
        quantize_multiplier(bad)


@pytest.mark.parametrize(  # 2: gemmlowp's definition
    ("x", "exponent", "expected"),
    [(5, 1, 3), (-5, 1, -3), (6, 2, 2), (-6, 2, -2), (7, 2, 2), (-1, 31, 0), (2**31 - 1, 31, 1), (-(2**31), 31, -1)],
)
def test_rounding_divide_by_pot(x, exponent, expected):
    for dtype in (np.int32, np.int64):
        assert int(rounding_divide_by_pot(np.array([x], dtype=dtype), exponent)[0]) == expected


@pytest.mark.parametrize(  # 3
    ("a", "b", "expected"),
    [
        (3, 2**30, 2),
        (-3, 2**30, -1),
        (1, 2**30, 1),
        (-1, 2**30, 0),
        (-(2**31), -(2**31), 2**31 - 1),
        (2**31 - 1, 2**31 - 1, 2147483646),
    ],
)
def test_srdhm(a, b, expected):
    assert int(srdhm(a, b)) == expected


@given(a=INT32, b=st.integers(1, 2**31 - 1))
def test_srdhm_of_a_positive_multiplier_is_one_rounding_shift(a, b):
    assert int(srdhm(a, b)) == (a * b + 2**30) >> 31


MBQM = [  # 4: x, m, s, double, single
    (5, 2**30, -1, 2, 1),
    (-6, 2**30, -1, -2, -1),
    (1535, 2**30, -9, 2, 1),
    (-1536, 2**30, -9, -2, -1),
    (2987, 2**30, -2, 374, 373),
    (2047, 1342580370, -9, 3, 2),
    (2866, 1342580370, -9, 4, 3),
    (-2047, 1342580370, -9, -3, -2),
    (2240, 1717986918, -9, 4, 3),
    (-83333, 1427929597, -9, -108, -108),
    (38902, 1427929597, -9, 51, 51),
    (100, 2**30, 1, 100, 100),
    (585, 1527099593, -6, 7, 7),  # tensorflow #102943
]


@pytest.mark.parametrize(("x", "m", "s", "double", "single"), MBQM)
def test_both_modes_of_requantisation(x, m, s, double, single):
    assert int(multiply_by_quantized_multiplier(x, m, s)) == double
    assert int(multiply_by_quantized_multiplier(x, m, s, single_rounding=True)) == single


@given(acc=INT32, k=st.integers(1, 31))
def test_requantize_is_the_power_of_two_case_of_the_general_function(acc, k):
    m, s = quantize_multiplier(2.0**-k)
    assert (m, s) == (2**30, 1 - k)
    expected = int(multiply_by_quantized_multiplier(acc, m, s))
    assert int(requantize(np.array([acc], dtype=np.int32), k)[0]) == expected
    assert int(requantize(np.array([acc], dtype=np.int64), k)[0]) == expected


def test_requantize_rounds_twice():
    assert int(requantize(5, 2)) == 2  # 1.25, which one rounding would make 1


X5 = [50, -17, -88, 55, 119, -48, 49, -46, 123, 81, -109, -127, 21, 18, 102, 25, -75, -41, 114, 13]
W5 = [
    [-96, -47, 41, -53, -126, -55, 25, -29, -17, -35, 64, -78, -73, 85, -22, -3, -102, -115, -25, 15],
    [-109, 6, -118, 107, 40, 78, -83, 78, 87, -100, -75, -72, 19, -24, 75, -65, -95, 39, 12, 108],
    [-80, 21, -81, 90, -26, -44, 82, 85, -127, 66, 65, 60, -29, -115, -84, 94, -44, 67, 26, 108],
    [-1, 80, 47, 27, 1, 8, 41, 111, 60, 34, -120, -45, -4, -122, -44, -30, -123, 124, 32, -65],
]


def test_fully_connected_matches_cmsis_nn():  # 5: CMSIS-NN fully_connected_mve_1 (Apache-2.0), from BUILTIN_REF
    bias = [14282, 12390, 11530, -7780]
    assert ((np.array(X5) + 128) @ np.array(W5).T + bias).tolist() == [-83333, 38902, 6573, 14560]
    y = fully_connected_int8(X5, W5, bias, multiplier=(1427929597, -9), input_offset=128, output_offset=67)
    assert y.tolist() == [-41, 118, 76, 86]


def test_fully_connected_saturates_like_cmsis_nn():  # 6, in part: the offset and the clamps of `fully_connected`
    acc = np.array([[-100_000, 100_000, 33_000, 0]])
    y = fully_connected_int8([[1]], acc.T, [0] * 4, multiplier=(1342580370, -9), output_offset=-102)
    assert y.tolist() == [[-128, 20, -62, -102]]


def test_fully_connected_matches_tflm():  # 7: tflite-micro, fully_connected_test.cc, SimpleTestQuantizedInt8
    x = np.array([[1, 2, 3, 4, 5, 6, 7, 8, -9, -10], [1, 2, 3, 4, 5, 6, 7, -8, 9, -10]]) - 1
    y = fully_connected_int8(
        x, [range(1, 11)] * 3, [1, 2, 3], multiplier=quantize_multiplier(2.0), input_offset=1, output_offset=-1
    )
    assert y.tolist() == [[47, 49, 51], [115, 117, 119]]


def test_out_of_range_shifts_are_refused():
    for call in (
        lambda: requantize(1, 0),
        lambda: rounding_shift(1, -1),
        lambda: rounding_divide_by_pot(1, 32),
        lambda: stochastic_shift(np.array([1]), 17, np.array([0], dtype=np.uint32)),
        lambda: multiply_by_quantized_multiplier(1, 2**30, 31),
        lambda: multiply_by_quantized_multiplier(2**30, 2**30, 1),
        lambda: isqrt_ceil(-1),
        lambda: div_half_away(1, 0),
    ):
        with pytest.raises(InvalidValueError):
            call()


@pytest.mark.parametrize("s", range(1, 17))
def test_stochastic_rounding_is_unbiased_over_all_residues(s):
    # Every residue of v with every value of the noise's upper s bits: the mean is v / 2^s exactly, not nearly.
    noise = (np.arange(2**s, dtype=np.uint64) << (32 - s)).astype(np.uint32)
    residues = range(2**s) if s <= 8 else [0, 1, 2**s // 3, 2**s - 1]
    for v in [r + base for r in residues for base in (0, -(2**s), 5 * 2**s)]:
        rounded = stochastic_shift(np.full(2**s, v, dtype=np.int32), s, noise)
        assert int(rounded.sum()) == v
        assert int(rounded.max()) - int(rounded.min()) <= 1


def test_stochastic_rounding_ignores_the_lower_bits_of_the_noise():
    low = np.array([0, 2**27 - 1], dtype=np.uint32)
    assert len(set(stochastic_shift(np.array([17, 17]), 5, low).tolist())) == 1


@given(v=st.integers(-(2**22), 2**22))
def test_no_shift_returns_the_value_and_a_negative_one_multiplies(v):
    noise = np.array([2**32 - 1], dtype=np.uint32)
    assert stochastic_shift(np.array([v], dtype=np.int32), 0, noise).tolist() == [v]
    assert stochastic_shift(np.array([v], dtype=np.int32), -2, noise).tolist() == [4 * v]


@given(numerator=INT64, denominator=st.integers(1, 2**63 - 1))
def test_div_half_away_is_exact_in_all_of_int64(numerator, denominator):
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    assert int(div_half_away(numerator, denominator)) == (magnitude if numerator >= 0 else -magnitude)


@given(x=st.integers(-(2**40), 2**40), k=st.integers(0, 31))
def test_rounding_shift_is_floor_of_x_plus_half(x, k):
    assert int(rounding_shift(x, k)) == ((2 * x + (1 << k)) // (2 << k) if k else x)


@given(n=st.integers(0, 2**80))
def test_isqrt_ceil_is_the_least_root_from_above(n):
    root = isqrt_ceil(n)
    assert root * root >= n
    assert root == 0 or (root - 1) ** 2 < n


@given(x=INT32, limit=st.integers(1, 2**24))
def test_saturate_is_symmetric(x, limit):
    assert int(saturate(x, limit)) == max(-limit, min(limit, x)) == -int(saturate(-x, limit))


def test_exp_lut_is_pinned_and_is_what_floats_say(pure):
    assert EXP_LUT.dtype == np.uint16
    assert EXP_LUT.tolist() == pure.LUT
    assert (EXP_LUT[0], EXP_LUT[8], EXP_LUT[255]) == (65535, 24109, 0)  # 65535 / e = 24108.98
    digest = hashlib.sha256(EXP_LUT.astype("<u2").tobytes()).hexdigest()
    assert digest == "cc9547711e56c8685e70e464c71468c66b6f4bfc51b7c11bfb189bc5a28611d5"
    assert not EXP_LUT.flags.writeable
