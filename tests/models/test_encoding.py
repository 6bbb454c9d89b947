"""The encoding of an update against plain integers, and what it promises: range, bound, no bias."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.encoding import encode
from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.networks import NETWORKS, Layout, TensorSpec

LAYOUT = Layout(
    (
        TensorSpec("w0", (3, 4), "int16", 14),
        TensorSpec("b0", (3,), "int32", 12),
        TensorSpec("w1", (2, 3), "int16", 14),
        TensorSpec("b1", (2,), "int32", 11),
    )
)
FRACS, COUNTS = [14, 12, 14, 11], [12, 3, 6, 2]
DUMP = json.loads((pathlib.Path(__file__).parent / "data" / "step_4_3_2.json").read_text())


def test_the_dumps_codes_are_reproduced():
    cases = DUMP["encode"]
    arguments = (LAYOUT, DUMP["model_before"], DUMP["model_after"], cases["shifts"])
    key = tuple(DUMP["keys"]["codes"])
    assert encode(*arguments, 0, key).tolist() == cases["codes_without_bound"]
    assert encode(*arguments, cases["l2_bound"], key).tolist() == cases["codes"]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([3, 200, 5000, 2**24]),
    shifts=st.tuples(*[st.integers(0, 12)] * 4).filter(
        lambda shifts: (
            max(s - f for s, f in zip(shifts, FRACS, strict=True))
            - min(s - f for s, f in zip(shifts, FRACS, strict=True))
            <= 12
        )
    ),
    l2_bound=st.sampled_from([0, 1, 2, 50, 1000, 2**20 - 1]),
)
def test_encoding_equals_plain_integers(pure, seed, spread, shifts, l2_bound):
    rng = np.random.default_rng(seed)
    start = LAYOUT.saturate(rng.integers(-(2**24), 2**24, LAYOUT.d))
    local = LAYOUT.saturate(start + rng.integers(-spread, spread + 1, LAYOUT.d))
    key = tuple(int(v) for v in rng.integers(0, 2**32, 2))
    expected = pure.encode(FRACS, COUNTS, start.tolist(), local.tolist(), shifts, l2_bound, key)
    codes = encode(LAYOUT, start, local, shifts, l2_bound, key)
    assert codes.dtype == np.int8
    assert codes.tolist() == expected


@pytest.mark.parametrize("shift", range(13))
def test_the_largest_changes_saturate_at_127_codes(shift):
    wide = Layout((TensorSpec("b", (2,), "int32", 12),))
    limit = 2**24 - 1
    assert encode(wide, [-limit, limit], [limit, -limit], (shift,), 0, (1, 2)).tolist() == [127, -127]


@given(bound=st.integers(1, 2**20 - 1), seed=st.integers(0, 1000))
def test_the_clipped_update_exceeds_its_bound_by_rounding_only(bound, seed):
    layout = NETWORKS["mlp-64-32-10"].layout
    shifts, start = layout.default_shifts(5), np.zeros(layout.d, dtype=np.int32)
    local = layout.saturate(np.random.default_rng(seed).integers(-6000, 6001, layout.d))
    codes = encode(layout, start, local, shifts, bound, (seed, 1)).astype(np.int64)
    # SPEC 3: the coordinator refuses only what exceeds B + 2 ceil(sqrt(d)) on a grid with equal exponents.
    assert np.sqrt(codes @ codes) <= bound + 2 * np.ceil(np.sqrt(layout.d))


def test_an_update_within_its_bound_is_not_touched():
    layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    assert encode(layout, [0, 0], [3, -4], (0,), 5, (1, 2)).tolist() == [3, -4]  # N = B^2 exactly
    assert encode(layout, [0, 0], [3, -4], (0,), 4, (1, 2)).tolist() == [2, -3]  # c = 3276: 2.4 and -3.2, truncated


def test_codes_are_unbiased_over_keys():
    layout = Layout((TensorSpec("w", (64,), "int16", 14),))
    local = np.arange(-32, 32) * 7
    mean = np.mean([encode(layout, np.zeros(64, dtype=int), local, (5,), 0, (key, 1)) for key in range(3000)], axis=0)
    assert np.abs(mean - local / 32).max() < 5 * 0.5 / np.sqrt(3000)


def test_what_encoding_cannot_do_is_refused():
    layout, zero = NETWORKS["mlp-64-32-10"].layout, np.zeros(2410, dtype=np.int32)
    shifts = layout.default_shifts(5)
    for bound in (-1, 2**20):
        with pytest.raises(InvalidValueError, match=str(bound)):
            encode(layout, zero, zero, shifts, bound, (1, 2))
    with pytest.raises(LayoutError, match="shifts"):
        encode(layout, zero, zero, shifts[:3], 0, (1, 2))
    with pytest.raises(LayoutError, match="outside 0"):
        encode(layout, zero, zero, (13, 10, 10, 10), 0, (1, 2))
    with pytest.raises(LayoutError, match="shape"):
        encode(layout, zero, zero[:-1], shifts, 0, (1, 2))
