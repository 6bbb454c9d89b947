"""The SR median is its derivation (docs/rules/sr-median.md), and its errors are within the bounds stated there."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import GroupedMedian, Mean, Median, SRMedian
from byzantiny.updates import UpdateBatch, quantize_rows
from byzantiny_models.quantization import stochastic_shift

SYMMETRIC_BOUND = 0.0294
"""The largest error for underlying values that are symmetric and unimodal, in steps."""

COLUMNS = hnp.arrays(np.int8, st.tuples(st.integers(1, 15), st.just(5)), elements=st.integers(-3, 3))


def aggregate(rule, rows, dtype=np.int8):
    return rule.apply(UpdateBatch.from_rows(np.array(rows, dtype=dtype)), None, rng=np.random.default_rng(0))[0]


def exact(result):
    denominators = np.broadcast_to(result.denominator, result.numerator.shape).tolist()
    return [Fraction(p, q) for p, q in zip(result.numerator.tolist(), denominators, strict=True)]


def location(column):
    """The middle of the zeros of sum clamp(c - x, -1, 1), which is linear between the integers."""

    def total(x):
        return sum(max(-1, min(1, c - x)) for c in column)

    zeros = []
    for k in range(min(column) - 1, max(column) + 2):
        left, right = total(k), total(k + 1)
        if left >= 0 >= right:
            zeros += [Fraction(k), Fraction(k + 1)] if left == right else [k + Fraction(left, left - right)]
    return (min(zeros) + max(zeros)) / 2


def populations(column):
    """The distributions of underlying values with the lowest and highest median that give these codes exactly.

    As {value: share}, with that median. The cumulative share of codes up to k is the mean of the distribution function
    over [k, k + 1]; the highest median keeps it at 1/2 from the median code on as long as that mean allows.
    """
    n = len(column)

    def highest(codes):
        middle = sorted(codes)[(n - 1) // 2]
        step = codes.count(middle + 1)
        beyond = sum(c > middle + 1 for c in codes)
        top = middle + Fraction(2 * step, n - 2 * beyond) if n > 2 * beyond else Fraction(middle)
        shares = {Fraction(c): Fraction(codes.count(c), n) for c in codes if c not in (middle, middle + 1)}
        shares[Fraction(middle)] = Fraction(1, 2) - Fraction(sum(c < middle for c in codes), n)
        shares[top] = shares.get(top, 0) + Fraction(1, 2) - Fraction(beyond, n)
        return shares, top

    mirrored, low = highest([-c for c in column])
    return ({-u: share for u, share in mirrored.items()}, -low), highest(column)


def rounded(population):
    """The shares of the codes of stochastically rounded values: the triangular kernel."""
    shares = {}
    for u, share in population.items():
        floor = math.floor(u)
        for code, part in ((floor, 1 - (u - floor)), (floor + 1, u - floor)):
            shares[code] = shares.get(code, 0) + share * part
    return {code: share for code, share in shares.items() if share}


@given(COLUMNS)
def test_the_extreme_populations_give_the_codes_and_have_the_medians(rows):
    for column in rows.T.tolist():
        ranked = sorted(column)
        if ranked[len(column) // 2] != ranked[(len(column) - 1) // 2]:
            continue
        for population, middle in populations(column):
            assert rounded(population) == {c: Fraction(column.count(c), len(column)) for c in column}
            assert sum(share for u, share in population.items() if u <= middle) >= Fraction(1, 2)
            assert sum(share for u, share in population.items() if u >= middle) >= Fraction(1, 2)


@given(COLUMNS)
def test_it_is_huber_s_location_within_the_medians_the_codes_allow(rows):
    for value, column in zip(exact(aggregate(SRMedian(), rows)), rows.T.tolist(), strict=True):
        ranked = sorted(column)
        found = location(column)
        if ranked[(len(column) - 1) // 2] == ranked[len(column) // 2]:
            (_, low), (_, high) = populations(column)
            found = max(low, min(high, found))
        assert value == found


@given(st.integers(1, 40), st.integers(0, 40), st.integers(-126, 125))
def test_where_all_codes_are_on_two_steps_it_is_their_mean(lower, upper, code):
    """Hence without bias, whatever n: the mean of stochastically rounded codes is."""
    rows = [[code]] * lower + [[code + 1]] * upper
    assert exact(aggregate(SRMedian(), rows)) == exact(aggregate(Mean(), rows))


@pytest.mark.parametrize("u", [26, 128, 230, -26])
def test_with_all_clients_at_one_value_it_is_near_it(u):
    """Codes by the device's own rounding, SR(u, 8): u / 256 is .10, .5, .9, -.10 of a step.

    Within sqrt(ln(2 / delta) / 2n), the bound of the page, in all of 400 coordinates: delta = 1e-7 each.
    """
    n, d = 1000, 400
    noise = np.random.default_rng(1).integers(0, 2**32, (n, d), dtype=np.uint32)
    codes = stochastic_shift(np.full((n, d), u), 8, noise)
    values = aggregate(SRMedian(), codes).values
    assert np.abs(values - u / 256).max() <= math.sqrt(math.log(2e7) / (2 * n))
    assert abs(values.mean() - u / 256) < 0.003
    if abs(u) == 26:
        assert aggregate(Median(), codes).values.tolist() == [0] * d
        assert abs(abs(aggregate(GroupedMedian(), codes).values.mean()) - 0.0565) < 0.002


def expected_rows(integrated, n=20_000, reach=60):
    """Rows whose counts are those expected of n stochastically rounded values, from E max(x - u, 0) at the integers."""
    cumulative = np.diff(integrated(np.arange(-reach, reach + 2)[:, None].astype(float)), axis=0)
    below = np.rint(n * cumulative).astype(int)
    codes = np.arange(-reach, reach + 1)
    return np.stack([np.repeat(codes, np.diff(np.append(0, column))) for column in below.T], axis=1).astype(np.int8)


def uniform(centre, width):
    def integrated(x):
        inside = np.clip(x - (centre - width), 0, 2 * width)
        return inside**2 / (4 * width) + np.maximum(x - (centre + width), 0)

    return integrated


def test_its_bias_for_symmetric_unimodal_values_is_within_three_hundredths_of_a_step():
    """Uniform values suffice: a symmetric unimodal distribution is a mixture of them, and some one is as bad."""
    worst = {}
    for centre in (0.0, 0.1, 0.205, 0.3, 0.4, 0.5):
        widths = np.concatenate([np.linspace(0.01, 3, 60), [0.9434, 5, 8, 16]])
        rows = expected_rows(uniform(centre, widths))
        for rule in (GroupedMedian(), SRMedian()):
            error = np.abs(aggregate(rule, rows).values - centre)
            worst[rule.name] = max(worst.get(rule.name, 0), error.max())
    assert 0.029 < worst["sr-median"] < SYMMETRIC_BOUND + 0.0005  # counts are rounded to integers
    assert 0.085 < worst["grouped-median"] < 0.0858 + 0.0005


@pytest.mark.parametrize(
    ("spread", "bias", "grouped"),
    [(1 / 32, 0.0001, 0.0858), (1 / 8, 0.0016, 0.0855), (1 / 2, 0.0170, 0.0435), (2, 0.0037, 0.0039), (8, 0.0003, 0.0003)],
)  # fmt: skip
def test_its_bias_for_normal_values_is_the_page_s_in_simulation(spread, bias, grouped):
    rng = np.random.default_rng(3)
    centres = np.repeat([0.05, 0.1, 0.2, 0.3, 0.4], 1000)
    codes = quantize_rows(centres + spread * rng.standard_normal((400, len(centres))), rng)
    noise = 4 * 1.3 * math.sqrt((spread**2 + 0.25) / 400 / 1000)
    for rule, stated in ((SRMedian(), bias), (GroupedMedian(), grouped)):
        errors = (aggregate(rule, codes).values - centres).reshape(5, 1000).mean(axis=1)
        assert np.abs(errors).max() <= stated + noise


def test_skewed_values_may_move_it_but_not_out_of_the_interval():
    """Values at .5 for two clients of five, at 0 for three: the codes allow medians 0 to .4 and tell no more."""
    rows = [[0]] * 8 + [[1]] * 2
    assert aggregate(SRMedian(), rows).values.tolist() == [0.2]
    (_, low), (_, high) = populations([0] * 8 + [1] * 2)
    assert (low, high) == (0, Fraction(2, 5))


@given(COLUMNS, st.data())
def test_liars_take_it_out_of_the_honest_codes_by_less_than_a_step(rows, data):
    """By at most f / (n - f): there the honest pull back as hard as the liars push."""
    n = len(rows)
    f = data.draw(st.integers(0, (n - 1) // 2))
    honest = rows[f:].astype(int)
    for value, low, high in zip(
        exact(aggregate(SRMedian(f=f), rows)), honest.min(axis=0).tolist(), honest.max(axis=0).tolist(), strict=True
    ):
        assert low - Fraction(f, n - f) <= value <= high + Fraction(f, n - f)


def test_where_all_honest_agree_liars_move_it_by_at_most_their_share():
    """Liars many enough to be noticed beyond the step are limited: no honest value explains a gap."""
    honest = [[0]] * 90 + [[1]] * 10
    for f in (5, 10, 20, 40):
        beside = aggregate(SRMedian(f=f), honest + [[1]] * f).values[0]
        far = aggregate(SRMedian(f=f), honest + [[127]] * f).values[0]
        assert 0.1 < beside <= 0.1 + f / 100
        assert 0.1 < far <= 0.1 + f / 100
    assert aggregate(SRMedian(f=40), [[0]] * 60 + [[127]] * 40).values.tolist() == [0]


@given(st.integers(1, 30), st.integers(0, 30), st.data())
def test_liars_cannot_flip_a_sign_that_is_farther_from_zero_than_their_share(ones, zeros, data):
    """More honest codes 1 than liars: whatever those send, the result is not negative."""
    f = data.draw(st.integers(0, ones - 1))
    liars = data.draw(st.lists(st.integers(-127, 127), min_size=f, max_size=f))
    value = exact(aggregate(SRMedian(f=f), [[1]] * ones + [[0]] * zeros + [[x] for x in liars]))[0]
    assert value >= 0


@given(COLUMNS)
def test_it_is_within_a_step_of_the_median(rows):
    assert (np.abs(aggregate(SRMedian(), rows).values - aggregate(Median(), rows).values) <= 1).all()


def test_two_middle_values_far_apart_give_their_mean():
    assert exact(aggregate(SRMedian(), [[-127], [-127], [127], [126]])) == [Fraction(-1, 2)]
    assert exact(aggregate(SRMedian(), [[0], [2]])) == [1]


def test_saturation_is_part_of_the_kernel():
    """A value beyond the grid becomes +-127 before it is rounded, so nothing needs undoing at the edge."""
    codes = quantize_rows(np.full((50, 3), [[126.5, 127.0, 300.0]]), np.random.default_rng(0))
    assert aggregate(SRMedian(), codes).values[1:].tolist() == [127, 127]


def test_counts_of_many_clients_do_not_overflow():
    codes = np.array([127, 126, -127], dtype=np.int8).repeat([60_000, 40_000, 1])[:, None]
    assert exact(aggregate(SRMedian(), codes)) == [location_of_many()]


def location_of_many():
    """m = 127: A - B = -40,001, towards 126: 40,001 / 100,000; the codes allow 2 * 40,000 / (100,001 - 2)."""
    return 127 - min(Fraction(40_001, 100_000), Fraction(80_000, 99_999))
