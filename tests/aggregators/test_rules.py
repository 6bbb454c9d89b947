"""The mean, the median and the norm clip against numbers that others computed, and against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import AGGREGATORS, Mean, Median
from byzantiny.preaggregators import PREAGGREGATORS, NormClip
from byzantiny.updates import (
    BeyondLimitError,
    FloatAggregate,
    InvalidBatchError,
    PipelineError,
    UpdateBatch,
    weighted_squared_norms,
)
from byzantiny_models.networks import Layout, TensorSpec

X3 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
X4 = [[1, 2, 3], [-1, 4, -1], [2, 2, 3], [3, 1, 3]]
X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]

# (rule, rows, expected, where the numbers come from)
VECTORS = [
    ("mean", X3, [4, 5, 6], "ByzFL Average docstring"),
    ("median", X3, [4, 5, 6], "ByzFL Median docstring"),
    ("median", [[1, 5, 3], [2, 3, 40], [10, 20, 30]], [2, 5, 30], "ByzPy test of CoordinateWiseMedian"),
    ("mean", X4, [1.25, 2.25, 2], "fedlib aggregators/tests"),
    ("median", X4, [1.5, 2, 3], "fedlib aggregators/tests"),
    ("mean", X7, [-3.2857142857, 14.7142857143, -16.7142857143, 28.2857142857, -17], "ByzFL, run"),
    ("median", X7, [10, -3, 7, 1, 22], "ByzFL, ByzPy, fedlib, Flower: run, all agree"),
]
# Flower framework/py/flwr/server/strategy/fedmedian_test.py; not int8, so as float rows.
FLOWER = [
    ([[0.2] * 2, [1.0] * 2, [0.5] * 2], [0.5] * 2),
    ([[1, 0.2, 0.5, 1], [0.2, 0.5, 1, 0.2], [0.5, 1, 0.2, 0.5]], [0.5] * 4),
]


def rng():
    return np.random.default_rng(0)


def aggregate(rule, rows, dtype=np.int8):
    return rule.apply(UpdateBatch.from_rows(np.array(rows, dtype=dtype)), None, rng=rng())[0]


@pytest.mark.parametrize(("name", "rows", "expected", "source"), VECTORS)
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_published_vectors(name, rows, expected, source, dtype):
    np.testing.assert_allclose(aggregate(AGGREGATORS[name](), rows, dtype).values, expected, rtol=1e-10, err_msg=source)


@pytest.mark.parametrize(("rows", "expected"), FLOWER)
def test_the_median_of_float_rows_is_flower_s(rows, expected):
    assert aggregate(Median(), rows, np.float64).values.tolist() == expected


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(-127, 127)))
def test_mean_and_median_are_the_exact_fractions(rows):
    mean, median = aggregate(Mean(), rows), aggregate(Median(), rows)
    n = len(rows)
    for j, column in enumerate(rows.T.tolist()):
        ranked = sorted(column)
        assert Fraction(int(mean.numerator[j]), int(mean.denominator)) == Fraction(sum(column), n)
        middle = Fraction(ranked[(n - 1) // 2] + ranked[n // 2], 2)
        assert Fraction(int(median.numerator[j]), int(median.denominator)) == middle


@given(
    hnp.arrays(np.int8, (5, 3), elements=st.integers(-127, 127)),
    hnp.arrays(np.int8, (4, 3), elements=st.integers(-127, 127)),
)
def test_within_its_limit_the_median_stays_among_the_honest_values(honest, byzantine):
    values = aggregate(Median(f=4), np.concatenate([honest, byzantine])).values
    assert (honest.min(axis=0) <= values).all()
    assert (values <= honest.max(axis=0)).all()


@given(
    hnp.arrays(np.int8, (6, 2), elements=st.integers(-127, 127)),
    hnp.arrays(np.int8, 2, elements=st.integers(-127, 127)),
)
def test_one_client_moves_a_sum_by_at_most_254_steps(rows, other):
    """SPEC 5, P4: the bound of the wire, reached but not passed."""
    replaced = rows.copy()
    replaced[3] = other
    assert (np.abs(aggregate(Mean(), rows).numerator - aggregate(Mean(), replaced).numerator) <= 254).all()


@pytest.mark.parametrize(("f", "n"), [(1, 2), (2, 4), (3, 6), (10, 20)])
def test_a_median_beyond_its_breakdown_point_raises(f, n):
    with pytest.raises(BeyondLimitError, match=rf"median of {n} rows: f = {f} needs n >= 2f \+ 1, that is {n + 1}"):
        aggregate(Median(f=f), np.zeros((n, 2)))
    assert aggregate(Median(f=f), np.zeros((n + 1, 2))).values.tolist() == [0, 0]


@pytest.mark.parametrize("f", [-1, 1.5, "2", True])
def test_an_f_that_is_no_count_is_refused(f):
    with pytest.raises(PipelineError, match="count of clients"):
        Median(f=f)


def test_float_rows_give_a_float_aggregate():
    assert isinstance(aggregate(Mean(), [[0.5], [0.25]], np.float64), FloatAggregate)
    assert aggregate(Median(), [[1.0e60], [1.5e60]], np.float64).values.tolist() == [1.25e60]


def test_diagnostics_say_who_took_part():
    diagnostics = aggregate(Mean(), X4).diagnostics
    assert diagnostics.ran
    assert diagnostics.weight.tolist() == [0.25] * 4
    assert aggregate(Median(), X4).diagnostics.weight is None


def clip(rows, bound, layout=None, shifts=None):
    batch = UpdateBatch.from_rows(np.array(rows, dtype=np.int8), layout, shifts)
    return NormClip(bound=bound).apply(batch, None, rng=rng())[0]


def test_the_norm_clip_is_the_formula_in_python_integers():
    """SPEC 3: if N > B^2, c = (B << 12) // isqrt_ceil(N); codes become round_half_away(code * c / 4096)."""
    codes = np.random.default_rng(5).integers(-127, 128, (20, 40))
    bound = 400
    clipped = clip(codes, bound)
    for i, row in enumerate(codes.tolist()):
        squared = sum(c * c for c in row)
        expected, factor = row, 4096
        if squared > bound**2:
            factor = (bound << 12) // (math.isqrt(squared - 1) + 1)
            expected = [int(math.copysign((2 * abs(c) * factor + 4096) // 8192, c)) for c in row]
        assert clipped.rows[i].tolist() == expected
        assert clipped.trace[-1].clipped[i] == factor / 4096
        assert (clipped.trace[-1].reasons[i] != "") == (squared > bound**2)


def test_clipping_agrees_with_byzfl_up_to_the_grid():
    """ByzFL Clipping docstring, scaled by 10 to survive int8: within half a code and the factor's 2^-12."""
    byzfl = [
        [0.53452248, 1.06904497, 1.60356745],
        [0.91168461, 1.13960576, 1.36752692],
        [1.00514142, 1.14873305, 1.29232469],
    ]
    clipped = clip(10 * np.array(X3), bound=20)
    assert np.abs(clipped.rows - 10 * np.array(byzfl)).max() <= 0.5 + 0.03


def test_a_row_at_the_bound_is_left_alone_and_one_step_beyond_is_not():
    assert clip([[3, 4]], bound=5).trace[-1].clipped.tolist() == [1.0]
    assert clip([[3, 5]], bound=5).trace[-1].clipped[0] < 1


@given(hnp.arrays(np.int8, (4, 30), elements=st.integers(-127, 127)), st.integers(1, 800))
def test_a_clipped_row_is_within_the_bound_plus_rounding(rows, bound):
    norms = np.sqrt(weighted_squared_norms(clip(rows, bound)))
    assert (norms <= bound + math.sqrt(30) / 2).all()


def test_the_clip_measures_in_the_common_unit():
    """Both tensors at one exponent weigh alike; a bias four times coarser counts sixteenfold."""
    layout = Layout((TensorSpec("w", (1,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    assert clip([[3, 4]], 5, layout, (5, 3)).trace[-1].score.tolist() == [5.0]
    assert clip([[3, 1]], 5, layout, (5, 5)).trace[-1].score.tolist() == [5.0]


def test_clipping_does_not_change_whose_a_row_is():
    clipped = clip([[100, 0], [1, 1]], bound=10)
    assert clipped.origin.tolist() == np.eye(2).tolist()
    assert clipped.trace[-1].details == {"clipped_rows": 1.0, "bound": 10.0}


def test_float_rows_cannot_be_clipped_in_integers():
    with pytest.raises(InvalidBatchError, match="before the mixing one"):
        NormClip(bound=3).apply(UpdateBatch.from_rows(np.ones((2, 2))), None, rng=rng())


@pytest.mark.parametrize("bound", [0, -3, 2.5, True])
def test_a_bound_that_is_no_positive_integer_is_refused(bound):
    with pytest.raises(PipelineError, match="bound"):
        NormClip(bound=bound)


@pytest.mark.parametrize("zoo", [AGGREGATORS, PREAGGREGATORS])
def test_rules_are_found_under_their_own_name(zoo):
    assert all(rule.name == name == rule.info.name for name, rule in zoo.items())
