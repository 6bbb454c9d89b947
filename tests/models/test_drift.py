"""Drift: the documented integers, against exact fractions; bounded, seeded, and the device's own."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.drift import Drift, draw_drift
from byzantiny_models.errors import PartitionError

EVERY = np.arange(-128, 128).astype(np.int8)


@given(bias=st.integers(-127, 127), gain=st.integers(-127, 127))
def test_a_drifted_feature_is_the_nearest_integer_of_the_scaled_one_plus_the_bias(bias, gain):
    expected = [
        min(127, max(-128, floor(Fraction((128 + gain) * x, 128) + Fraction(1, 2)) + bias)) for x in EVERY.tolist()
    ]
    assert Drift(bias, gain)(EVERY).tolist() == expected


def test_no_drift_changes_nothing_and_no_drift_writes_to_its_input():
    x = EVERY.copy()
    x.setflags(write=False)
    assert np.array_equal(Drift(0, 0)(x), EVERY)
    assert Drift(5, 5)(x).dtype == np.int8


def test_bias_and_gain_are_drawn_over_the_whole_of_their_bounds():
    drawn = [draw_drift(np.random.default_rng(seed), 2, 1) for seed in range(300)]
    assert {drift.bias_steps for drift in drawn} == {-2, -1, 0, 1, 2}
    assert {drift.gain_128ths for drift in drawn} == {-1, 0, 1}


@pytest.mark.parametrize(("bias", "gain", "said"), [(128, 0, "bias_steps 128"), (0, -1, "gain_128ths -1")])
def test_a_bound_beyond_the_range_is_refused(bias, gain, said):
    with pytest.raises(PartitionError, match=rf"{said} is outside 0 .. 127; 0 is none"):
        draw_drift(np.random.default_rng(0), bias, gain)
