"""Drift in integers: the formula of the page, reproducible, and the test set left alone."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.drift import Drift, draw_drift
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.rng import Stream, rng_for


@given(bias=st.integers(-127, 127), gain=st.integers(-63, 63))
def test_every_feature_becomes_what_the_formula_says(bias, gain):
    x = np.arange(-128, 128).astype(np.int8)
    expected = [
        max(-128, min(127, floor(Fraction((64 + gain) * v, 64) + Fraction(1, 2)) + bias)) for v in range(-128, 128)
    ]
    shown = Drift(bias, gain)(x)
    assert shown.tolist() == expected
    assert shown.dtype == np.int8
    assert x.tolist() == list(range(-128, 128))


def test_a_device_without_drift_shows_what_there_is():
    x = np.arange(-128, 128).astype(np.int8)
    assert np.array_equal(Drift(0, 0)(x), x)


def test_drifts_are_within_their_limits_reach_both_ends_and_are_pinned():
    drawn = [draw_drift(rng_for(1, Stream.PARTITION, client_id=f"dev-{i:03d}"), 3, 2) for i in range(200)]
    assert {d.bias_steps for d in drawn} == set(range(-3, 4))
    assert {d.gain_64ths for d in drawn} == set(range(-2, 3))
    first = [draw_drift(rng_for(1, Stream.PARTITION, client_id=c), 16, 8) for c in ("dev-01", "dev-02")]
    assert [(d.bias_steps, d.gain_64ths) for d in first] == PINNED


PINNED = [(-16, 1), (7, 0)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Drift(128, 0), "bias_steps 128 is outside -127 .. 127"),
        (lambda: Drift(0, -64), "gain_64ths -64 is outside -63 .. 63"),
        (lambda: draw_drift(np.random.default_rng(0), -1, 0), "bias_steps -1 is outside 0 .. 127"),
        (lambda: draw_drift(np.random.default_rng(0), 0, 64), "gain_64ths 64 is outside 0 .. 63"),
    ],
)
def test_a_drift_beyond_its_limits_is_refused(make, said):
    with pytest.raises(InvalidValueError, match=said):
        make()
