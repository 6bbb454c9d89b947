"""The grouped median is the textbook's, exact; its bias under stochastic rounding is what its page says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import GroupedMedian, Median, SRMedian
from byzantiny.updates import InvalidBatchError, UpdateBatch, quantize_rows

COLUMNS = hnp.arrays(np.int8, st.tuples(st.integers(1, 15), st.just(5)), elements=st.integers(-3, 3))


def aggregate(rule, rows, dtype=np.int8):
    return rule.apply(UpdateBatch.from_rows(np.array(rows, dtype=dtype)), None, rng=np.random.default_rng(0))[0]


def exact(result):
    return [Fraction(p, q) for p, q in zip(result.numerator.tolist(), result.denominator.tolist(), strict=True)]


def textbook(column):
    """L + (n/2 - F) / c for the bin that holds the middle; between two bins, the middle of the gap."""
    n, ranked = len(column), sorted(column)
    low, high = ranked[(n - 1) // 2], ranked[n // 2]
    if low != high:
        return Fraction(low + high, 2)
    below, count = sum(x < low for x in column), column.count(low)
    return low - Fraction(1, 2) + (Fraction(n, 2) - below) / count


@given(COLUMNS)
def test_it_is_the_textbook_s_formula_on_fractions(rows):
    assert exact(aggregate(GroupedMedian(), rows)) == [textbook(column) for column in rows.T.tolist()]


@given(COLUMNS)
def test_it_balances_the_codes_clamped_to_half_a_step(rows):
    """Huber's equation with a threshold of 1/2: what ties it to `median` (threshold 0) and `sr-median` (1)."""
    half = Fraction(1, 2)
    for value, column in zip(exact(aggregate(GroupedMedian(), rows)), rows.T.tolist(), strict=True):
        assert sum(max(-half, min(half, code - value)) for code in column) == 0


@given(COLUMNS)
def test_it_stays_within_half_a_step_of_the_median(rows):
    assert (np.abs(aggregate(GroupedMedian(), rows).values - aggregate(Median(), rows).values) <= 0.5).all()


def test_with_all_clients_at_a_tenth_it_gives_a_eighteenth():
    """Stochastic rounding makes nine codes of ten 0 and one 1: .1 / (2 * .9) = .056."""
    assert exact(aggregate(GroupedMedian(), [[0]] * 9 + [[1]])) == [Fraction(1, 18)]
    codes = quantize_rows(np.full((1000, 500), 0.1), np.random.default_rng(0))
    assert abs(aggregate(GroupedMedian(), codes).values.mean() - 0.0556) < 0.0005


def test_its_bias_curve_where_all_clients_agree():
    """u / (2 (1 - u)) - u for u below 1/2: at most (3 - 2 sqrt 2) / 2 = 0.0858, at u = 1 - 1 / sqrt 2."""
    n, ones = 10_000, np.arange(5000)
    values = ones / (2 * (n - ones))
    columns = [0, 500, 1000, 2929, 4000, 4999]
    rows = (np.arange(n)[:, None] < ones[columns]).astype(np.int8)
    np.testing.assert_allclose(aggregate(GroupedMedian(), rows).values, values[columns], rtol=1e-12)
    bias = ones / n - values
    assert ones[bias.argmax()] == 2929
    assert bias.max() == pytest.approx((3 - 2 * math.sqrt(2)) / 2, abs=1e-7)
    assert bias.min() >= 0


def test_it_moves_where_the_median_sticks():
    codes = [[0]] * 70 + [[1]] * 20 + [[-1]] * 10
    assert aggregate(Median(), codes).values.tolist() == [0]
    assert aggregate(GroupedMedian(), codes).values.tolist() == [10 / 140]


def test_on_a_coarse_grid_few_saturating_clients_flip_its_sign():
    """A ratio of votes: 10 honest votes of difference are outweighed by 11 liars, of whom `median` takes no notice."""
    honest = [[0]] * 70 + [[1]] * 20 + [[-1]] * 10
    for rule in (GroupedMedian(f=11), SRMedian(f=11)):
        assert aggregate(rule, honest).values[0] > 0
        assert aggregate(rule, honest + [[-127]] * 11).values[0] < 0
    assert aggregate(Median(f=11), honest + [[-127]] * 11).values[0] == 0


@pytest.mark.parametrize("rule", [GroupedMedian(), SRMedian()])
def test_float_rows_are_read_if_they_are_codes_and_refused_otherwise(rule):
    codes = np.random.default_rng(0).integers(-2, 3, (9, 70))
    assert exact(aggregate(rule, codes, np.float64)) == exact(aggregate(rule, codes))
    for stray in (0.5, 128.0, -1e60):
        with pytest.raises(InvalidBatchError, match=f"{rule.name} counts codes on the grid, and the rows hold"):
            aggregate(rule, [[1.0], [stray]], np.float64)
