"""Bulyan: both phases as in the paper, in exact integers, and where the peers part from it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny import kernels
from byzantiny.aggregators import Bulyan
from byzantiny.updates import Aggregate, BeyondLimitError, UpdateBatch

X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]


def aggregate(rule, rows, dtype=np.int8):
    batch = UpdateBatch.from_rows(np.array(rows, dtype=dtype))
    return rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(0))[0]


def closest_mean(values, beta):
    """The mean of the beta values closest to the median; of equals the smaller."""
    ranked = sorted(map(Fraction, values))
    median = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    return sum(sorted(ranked, key=lambda x: (abs(x - median), x))[:beta]) / beta


def python_bulyan(rows, f):
    """Algorithm 2 of the paper with Krum inside, in Python integers; no list of neighbours is kept between steps."""
    left, selection = list(range(len(rows))), []
    while len(selection) < len(rows) - 2 * f:
        scores = {}
        for i in left:
            distances = sorted(sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True)) for j in left if j != i)
            scores[i] = sum(distances[: max(1, len(left) - f - 2)])
        best = min(left, key=lambda i: (scores[i], i))
        left.remove(best)
        selection.append(best)
    columns = zip(*(rows[i] for i in selection), strict=True)
    return sorted(selection), [closest_mean(column, len(rows) - 4 * f) for column in columns]


@given(st.integers(0, 2), st.data())
def test_both_phases_are_the_definition(f, data):
    n = data.draw(st.integers(4 * f + 3, 4 * f + 6))
    rows = data.draw(hnp.arrays(np.int8, (n, 3), elements=st.integers(-4, 4)))
    selection, expected = python_bulyan(rows.tolist(), f)
    result = aggregate(Bulyan(f=f), rows)
    assert np.flatnonzero(result.diagnostics.kept).tolist() == selection
    assert isinstance(result, Aggregate)
    assert [Fraction(int(x), int(result.denominator)) for x in result.numerator] == expected
    floats = aggregate(Bulyan(f=f), rows, np.float64)
    np.testing.assert_allclose(floats.values, [float(x) for x in expected], rtol=1e-12, atol=1e-12)
    assert floats.diagnostics.kept.tolist() == result.diagnostics.kept.tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_x7_agrees_with_flower_and_not_with_crypto_ku(dtype):
    """Run on X7 with f = 1, Flower's iterative Bulyan gives the first, CRYPTO-KU's the second: it takes the theta best
    scores of one Krum, where the paper removes the best row and scores again. (Two of the rows lie, so the selection
    may hold one: the second phase is what removes it.)
    """
    result = aggregate(Bulyan(f=1), X7, dtype)
    np.testing.assert_allclose(result.values, [10, -3, 7, 1.3333333333, 23.6666666667], rtol=1e-9)
    assert result.diagnostics.kept.tolist() == [True, True, True, True, False, True, False]
    at_once = np.array(X7[:5])  # the five best scores of Krum(1): all honest
    crypto_ku = [float(closest_mean(column, 3)) for column in at_once.T.tolist()]
    np.testing.assert_allclose(crypto_ku, [11, -4, 8, 0, 23.6666666667], rtol=1e-9)


def test_without_liars_it_is_flower_s_mean():
    """Flower bulyan_test.py, f = 0 on {.2, .5, .7, 12, .1, .1}: 2.2667."""
    rows = [[0.2], [0.5], [0.7], [12], [0.1], [0.1]]
    np.testing.assert_allclose(aggregate(Bulyan(f=0), rows, np.float64).values, [13.6 / 6], rtol=1e-12)


# (values, beta, expected, what): Flower aggregate_test.py `_aggregate_n_closest_weights`, one reference for all;
# here the reference is the median, so only the cases in which it is apply.
CLOSEST = [
    ([1.0, 2.0, 0.5], 2, 0.75, "reference 1.0 is the median of {1, 2, .5}"),
    ([0.0, 1.0, -0.5, 10.0, 0.0], 1, 0.0, "the median itself"),
    ([1.1, 0.9, 5.0], 2, 1.0, "reference 1.1 is the median of {1.1, .9, 5}"),
    ([2.1, 1.9, 5.0], 2, 2.0, "reference 2.1"),
]


@pytest.mark.parametrize(("values", "beta", "expected", "what"), CLOSEST)
def test_the_values_closest_to_the_median(values, beta, expected, what):
    total = kernels.float_nearest_sum(np.array(values)[:, None], len(values) - beta)
    np.testing.assert_allclose(total / beta, [expected], rtol=1e-12, atol=1e-12, err_msg=what)


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.integers(-9, 9)), st.data())
def test_the_nearest_sum_of_floats_is_that_of_integers_and_of_the_definition(rows, data):
    f = data.draw(st.integers(0, len(rows) - 1))
    tiles, d = kernels.to_tiles(rows), rows.shape[1]
    integers = kernels.nearest_sum(tiles, d, f, kernels.median(tiles, d).astype(np.int64), 2)
    kept = len(rows) - f
    assert integers.tolist() == [closest_mean(column, kept) * kept for column in rows.T.tolist()]
    assert kernels.float_nearest_sum(rows.astype(np.float64), f).tolist() == integers.tolist()


def test_the_second_phase_trims():
    """FLPoison sets beta = theta, so that its second phase does nothing (3.3): a liar in the selection then stays."""
    result = aggregate(Bulyan(f=1), X7)
    assert result.diagnostics.details == {"theta": 5.0, "beta": 3.0}
    selected = np.array(X7)[result.diagnostics.kept]
    assert -40 in selected[:, 0]
    assert (np.abs(result.values - selected.mean(axis=0)) > 5).all()


@given(hnp.arrays(np.int8, (9, 3), elements=st.integers(-20, 20)), hnp.arrays(np.int8, 3))
def test_each_coordinate_stays_near_the_honest_values(honest, lie):
    """A liar among the closest to the median is no further from it than the f + 1 honest values that were dropped on
    the other side, so it lies outside by at most their width; f of them are in a mean of n - 4f.
    """
    liars = np.tile(np.maximum(lie, -127), (2, 1))
    values = aggregate(Bulyan(f=2), np.concatenate([honest, liars])).values
    low, high = honest.min(axis=0).astype(int), honest.max(axis=0).astype(int)
    reach = (high - low) * 2 / (11 - 4 * 2)
    assert (low - reach <= values).all()
    assert (values <= high + reach).all()


def test_it_may_leave_the_honest_values():
    """0, 0, 10, 10 and a liar's -1 are selected (the two far rows are not): the three closest to 0 are -1, 0, 0."""
    rows = [[-1, 0], [0, 0], [0, 0], [10, 0], [10, 0], [0, 100], [0, -100]]
    result = aggregate(Bulyan(f=1), rows)
    assert result.diagnostics.kept.tolist() == [True] * 5 + [False] * 2
    assert (int(result.numerator[0]), int(result.denominator)) == (-1, 3)


@pytest.mark.parametrize("f", range(4))
def test_one_row_too_few_raises(f):
    enough = np.ones((4 * f + 3, 2))
    assert aggregate(Bulyan(f=f), enough).values.tolist() == [1, 1]
    with pytest.raises(BeyondLimitError, match=rf"f = {f} needs n >= 4f \+ 3, that is {4 * f + 3}"):
        aggregate(Bulyan(f=f), enough[1:])


def test_scores_are_exact_at_full_scale():
    """Rows at the ends of the grid over many coordinates: sums beyond 2^32."""
    rows = np.where(np.arange(7)[:, None] % 2, 127, -127) * np.ones((1, 70_000), dtype=int)
    kept, scores = kernels.choose_by_krum(np.array([[int(((a - b) ** 2).sum()) for b in rows] for a in rows]), 1, 5)
    assert scores.dtype == np.int64
    assert int(scores.max()) >= 70_000 * 254**2
    assert kept.sum() == 5
