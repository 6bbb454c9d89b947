"""The coordinate-wise rules against numbers that others computed, and against fractions by brute force."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import (
    RLR,
    GroupedMedian,
    Meamed,
    Mean,
    Median,
    MedianOfMeans,
    Phocas,
    SignMajorityVote,
    SRMedian,
    TrimmedMean,
)
from byzantiny.federation import build_pipeline
from byzantiny.updates import AggregationError, BeyondLimitError, InvalidBatchError, PipelineError, UpdateBatch

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
MEAN_X7 = [-3.2857142857, 14.7142857143, -16.7142857143, 28.2857142857, -17]

# (rule, rows, expected, where the numbers come from)
VECTORS = [
    (TrimmedMean(f=1), X3, [4, 5, 6], "ByzFL TrMean docstring"),
    (TrimmedMean(f=1), [*X3, [-4, -5, -6]], [2.5, 3.5, 4.5], "ByzFL README: SignFlipping, then TrMean(1)"),
    (TrimmedMean(f=2), X7, [10, -3, 7, 1.3333333333, 22.3333333333], "ByzFL, ByzPy, fedlib: run, all agree"),
    (TrimmedMean(f=1), X4, [1.5, 2, 3], "fedlib aggregators/tests Trimmedmean(1)"),
    (TrimmedMean(f=1), [[1, 5, 3], [2, 3, 40], [10, 20, 30]], [2, 5, 30], "ByzPy test of TrimmedMean(1)"),
    (TrimmedMean(f=1), [[10 * i] * 3 for i in range(5)], [20, 20, 20], "ByzPy test of TrimmedMean(1), five rows"),
    (Meamed(f=1), X3, [2.5, 3.5, 4.5], "ByzFL Meamed docstring: 1 and 7 are as near to 4, the lower is kept"),
    (Meamed(f=2), X7, [11, -4, 8, 0.2, 23.8], "ByzFL Meamed, run"),
    (Meamed(f=1), [[0, 0], [1, 100], [100, 1]], [0.5, 0.5], "ByzPy test of MeanOfMedians(1)"),
    (Meamed(f=2), [[-10, 0], [1, 100], [2, 2], [3, -100], [100, 1]], [2, 1], "ByzPy test of MeanOfMedians(2)"),
    (SignMajorityVote(), X7, [1, -1, 1, 1, 1], "signSGD-MV, run"),
    (RLR(theta=4), X7, [-x for x in MEAN_X7], "RLR theta=4 on the mean, run: |sum of signs| is 3, 3, 3, 2, 3"),
    (RLR(theta=3), X7, [*MEAN_X7[:3], -MEAN_X7[3], MEAN_X7[4]], "the same sums of signs, theta=3"),
]

# Flower fedtrimmedavg_test.py, beta = .25 of 4 rows: f = 1; not int8, so as float rows.
FLOWER = [
    ([[0.5] * 4, [1, 0.2, 0.5, 1], [0.2, 0.5, 1, 0.2], [0.5, 1, 0.2, 0.5]], [0.5] * 4),
    ([[0.5], [1], [2], [100]], [1.5]),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def aggregate(rule, rows, dtype=np.int8):
    return rule.apply(UpdateBatch.from_rows(np.array(rows, dtype=dtype)), None, rng=rng())[0]


def exact(result):
    """The aggregate as fractions, one per coordinate."""
    denominators = np.broadcast_to(result.denominator, result.numerator.shape).tolist()
    return [Fraction(p, q) for p, q in zip(result.numerator.tolist(), denominators, strict=True)]


@pytest.mark.parametrize(("rule", "rows", "expected", "source"), VECTORS, ids=[v[3] for v in VECTORS])
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_published_vectors(rule, rows, expected, source, dtype):
    np.testing.assert_allclose(aggregate(rule, rows, dtype).values, expected, rtol=1e-10, err_msg=source)


@pytest.mark.parametrize(("rows", "expected"), FLOWER)
def test_the_trimmed_mean_of_float_rows_is_flower_s(rows, expected):
    np.testing.assert_allclose(aggregate(TrimmedMean(f=1), rows, np.float64).values, expected, rtol=1e-15)


# The definitions, by brute force on fractions.


def median(column):
    ranked = sorted(column)
    return Fraction(ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2], 2)


def trimmed(column, f):
    left = sorted(column)[f : len(column) - f]
    return Fraction(sum(left), len(left))


def nearest(column, f, centre):
    """The n - f values nearest to the centre, of values as near the lower."""
    kept = sorted(column, key=lambda x: (abs(x - centre), x))[: len(column) - f]
    return Fraction(sum(kept), len(kept))


def group_means(column, k):
    return [Fraction(int(part.sum()), len(part)) for part in np.array_split(np.array(column, dtype=object), k)]


def sign(x):
    return (x > 0) - (x < 0)


BRUTE = {
    "trimmed-mean": (lambda f: TrimmedMean(f=f), trimmed),
    "meamed": (lambda f: Meamed(f=f), lambda column, f: nearest(column, f, median(column))),
    "phocas": (lambda f: Phocas(f=f), lambda column, f: nearest(column, f, trimmed(column, f))),
    "sign-majority-vote": (
        lambda f: SignMajorityVote(step=5, f=f),
        lambda column, f: Fraction(5 * sign(sum(map(sign, column)))),
    ),
    "rlr": (
        lambda f: RLR(theta=f + 1),
        lambda column, f: Fraction(sum(column), len(column)) * (1 if abs(sum(map(sign, column))) > f else -1),
    ),
}


@st.composite
def matrices(draw, most=12):
    """Rows of full range or of few values (ties), and an f within the limit."""
    n = draw(st.integers(1, most))
    limit = draw(st.sampled_from([1, 2, 127]))
    rows = draw(hnp.arrays(np.int8, (n, 4), elements=st.integers(-limit, limit)))
    return rows, draw(st.integers(0, (n - 1) // 2))


@pytest.mark.parametrize("name", BRUTE)
@given(matrices())
def test_the_rules_are_their_definitions_on_fractions(name, case):
    rows, f = case
    rule, definition = BRUTE[name]
    assert exact(aggregate(rule(f), rows)) == [definition(column, f) for column in rows.T.tolist()]


@given(matrices(), st.integers(1, 12))
def test_the_median_of_means_is_its_definition_on_fractions(case, k):
    rows, _ = case
    n = len(rows)
    rule = MedianOfMeans(k=min(k, n), perm=tuple(range(n)))
    assert exact(aggregate(rule, rows)) == [median(group_means(column, min(k, n))) for column in rows.T.tolist()]


@given(matrices())
def test_trimming_is_clamping(case):
    """The identity a kernel may use: sum of clamp(x, L, U), less f (L + U)."""
    rows, f = case
    ranked = np.sort(rows, axis=0).astype(int)
    low, high = ranked[f], ranked[len(rows) - 1 - f]
    clamped = np.clip(rows.astype(int), low, high).sum(axis=0) - f * (low + high)
    assert aggregate(TrimmedMean(f=f), rows).numerator.tolist() == clamped.tolist()


@pytest.mark.parametrize("n", range(1, 14))
def test_every_small_column_of_three_values(n):
    """Every multiset over {-127, 0, 127} of every n to 13, every f: one column each."""
    columns = [
        [-127] * a + [0] * b + [127] * (n - a - b) for a in range(n + 1) for b in range(n + 1 - a)
    ]  # fmt: skip
    rows = np.array(columns, dtype=np.int8).T
    for f in range((n - 1) // 2 + 1):
        for rule, definition in BRUTE.values():
            assert exact(aggregate(rule(f), rows)) == [definition(column, f) for column in columns]


@given(
    hnp.arrays(np.float64, (7, 3), elements=st.floats(-1e9, 1e9)),
    st.sampled_from([TrimmedMean(f=2), Meamed(f=2), Phocas(f=2), MedianOfMeans(k=3), RLR(theta=3)]),
)
def test_float_rows_follow_the_same_definitions(rows, rule):
    values = aggregate(rule, rows, np.float64).values
    for got, column in zip(values, rows.T.tolist(), strict=True):
        exactly = [Fraction(x) for x in column]
        if isinstance(rule, TrimmedMean):
            expected = trimmed(exactly, 2)
        elif isinstance(rule, RLR):
            expected = sum(exactly) / 7 * (1 if abs(sum(map(sign, exactly))) >= 3 else -1)
        elif isinstance(rule, MedianOfMeans):
            order = rng().permutation(7)
            parts = [[exactly[i] for i in part] for part in np.array_split(order, 3)]
            expected = sorted(sum(part) / len(part) for part in parts)[1]
        else:
            # The centre is rounded, so a near-tie may be settled the other way: any window as near will do.
            centre = sum(sorted(exactly)[2:5]) / 3 if isinstance(rule, Phocas) else sorted(exactly)[3]
            best = sorted(abs(x - centre) for x in exactly)[4]
            windows = [sorted(exactly)[s : s + 5] for s in range(3)]
            near = [w for w in windows if max(abs(x - centre) for x in w) <= best + Fraction(1, 10**5)]
            assert any(abs(float(sum(w) / 5) - got) <= 1e-5 for w in near)
            continue
        assert abs(float(expected) - got) <= 1e-5


# What the peers get wrong (attacks_and_defences.md 3.3), and what the literature claims.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_never_reaches_a_rule(bad):
    """ByzFL: one such row makes Median and Meamed nan."""
    with pytest.raises(InvalidBatchError, match="nan or infinity"):
        UpdateBatch.from_rows(np.array([[1.0], [2.0], [bad]]))


def test_int8_rows_are_not_truncated():
    """ByzFL keeps the dtype of its input: the mean of int8 rows would be an int8."""
    assert aggregate(TrimmedMean(f=1), [[127], [127], [126], [-127]]).values.tolist() == [126.5]
    assert aggregate(TrimmedMean(f=0), np.full((1000, 1), 127)).numerator.tolist() == [127_000]


@pytest.mark.parametrize(
    "rule", [TrimmedMean(f=1), Meamed(f=1), Phocas(f=1), MedianOfMeans(f=1), GroupedMedian(), SRMedian()]
)
@pytest.mark.parametrize("row", [[0, 0, 0], [127, -127, 1]])
def test_identical_rows_give_that_row(rule, row):
    """ByzFL's CAF and SMEA crash here."""
    assert aggregate(rule, [row] * 5).values.tolist() == row


@pytest.mark.parametrize("rule", [Median(f=2), TrimmedMean(f=2), MedianOfMeans(f=2)])
@given(hnp.arrays(np.int8, (5, 3), elements=st.integers(-127, 127)))
def test_honest_values_bound_these_rules(rule, rows):
    honest, values = rows[:3], aggregate(rule, rows).values
    assert (honest.min(axis=0) <= values).all()
    assert (values <= honest.max(axis=0)).all()


def test_the_mean_around_the_median_may_leave_the_honest_values():
    """Often claimed to stay inside for f < n / 2. It does not: -1 is nearer to the median 0 than the honest 10."""
    for rule in (Meamed(f=1), Phocas(f=1)):
        assert aggregate(rule, [[0], [10], [-1]]).values.tolist() == [-0.5]


@pytest.mark.parametrize("rule", [Meamed, Phocas])
@given(matrices(), st.data())
def test_the_mean_around_a_centre_leaves_them_by_less_than_their_spread(rule, case, data):
    """At most f of the n - f kept values are liars', and none is farther from the centre than an honest one."""
    rows, f = case
    n = len(rows)
    values = exact(aggregate(rule(f=f), rows))
    for liars in data.draw(st.lists(st.sampled_from(list(combinations(range(n), f))), min_size=1, max_size=3)):
        honest = np.delete(rows.astype(int), liars, axis=0)
        for value, low, high in zip(values, honest.min(axis=0).tolist(), honest.max(axis=0).tolist(), strict=True):
            slack = Fraction((high - low) * f, n - f)
            assert low - slack <= value <= high + slack


def test_the_trimmed_mean_at_its_limit_is_the_median_and_at_zero_the_mean():
    rows = rng(1).integers(-127, 128, (9, 50))
    assert exact(aggregate(TrimmedMean(f=4), rows)) == exact(aggregate(Median(), rows))
    for rule in (TrimmedMean(f=0), Meamed(f=0), Phocas(f=0), MedianOfMeans(k=1)):
        assert exact(aggregate(rule, rows)) == exact(aggregate(Mean(), rows))


# Limits, parameters, diagnostics.


@pytest.mark.parametrize("rule", [TrimmedMean, Meamed, Phocas, SignMajorityVote, GroupedMedian, SRMedian])
@pytest.mark.parametrize("f", [1, 3, 10])
def test_beyond_its_limit_a_rule_raises(rule, f):
    with pytest.raises(BeyondLimitError, match=rf"f = {f} needs n >= 2f \+ 1, that is {2 * f + 1}; raise the quorum"):
        aggregate(rule(f=f), np.zeros((2 * f, 2)))
    assert aggregate(rule(f=f), np.zeros((2 * f + 1, 2))).values.tolist() == [0, 0]


@pytest.mark.parametrize(
    "factory",
    [
        TrimmedMean,
        Meamed,
        Phocas,
        SignMajorityVote,
        GroupedMedian,
        SRMedian,
        partial(MedianOfMeans, k=3),
        partial(RLR, theta=3),
    ],
)
@pytest.mark.parametrize("f", [-1, 1.5, "2", True])
def test_an_f_that_is_no_count_is_refused(factory, f):
    with pytest.raises(PipelineError, match="an integer from 0"):
        factory(f=f)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (partial(SignMajorityVote, step=0), "step is 0; it is in grid steps"),
        (partial(SignMajorityVote, step=128), r"in 1 \.\. 127"),
        (partial(SignMajorityVote, step=0.5), "step is 0.5"),
        (partial(RLR, theta=0), "theta is 0; it is a count of clients above f = 0"),
        (partial(RLR, theta=2, f=2), "above f = 2, so that the liars alone do not reach it"),
        (partial(RLR, theta=2.5), "theta is 2.5"),
        (MedianOfMeans, "needs k, the number of groups, or f"),
        (partial(MedianOfMeans, k=4, f=2), r"f = 2 liars spoil as many groups, so an integer from 2f \+ 1 = 5"),
        (partial(MedianOfMeans, k=0), "k is 0"),
        (partial(MedianOfMeans, k=2.0), "k is 2.0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(factory, message):
    with pytest.raises(PipelineError, match=message):
        factory()


def test_rlr_needs_its_threshold_reachable_by_the_honest():
    with pytest.raises(BeyondLimitError, match=r"rlr of 6 rows: theta = 3, f = 2 needs n >= theta \+ 2f, that is 7"):
        aggregate(RLR(theta=3, f=2), np.ones((6, 1)))
    agreed = [[5]] * 5 + [[-127]] * 2
    assert aggregate(RLR(theta=3, f=2), agreed).diagnostics.details == {"turned_coordinates": 0.0}


def test_groups_are_drawn_from_the_generator_and_hold_every_client_once():
    """FLPoison's bucketing loses half of the clients to a shuffle of views."""
    batch = UpdateBatch.from_rows(np.arange(-60, 61, dtype=np.int8)[:, None])
    rule = MedianOfMeans(k=7)
    first, _ = rule.apply(batch, None, rng=rng(1))
    again, _ = rule.apply(batch, None, rng=rng(1))
    other, _ = rule.apply(batch, None, rng=rng(2))
    assert np.array_equal(first.diagnostics.score, again.diagnostics.score)
    assert not np.array_equal(first.diagnostics.score, other.diagnostics.score)
    assert np.bincount(first.diagnostics.score.astype(int)).tolist() == [18, 18, 17, 17, 17, 17, 17]


@pytest.mark.parametrize(
    ("perm", "message"), [((0, 1, 1), "once each"), ((1, 2, 3), "once each"), ((0, 1), "of 2 for 3")]
)
def test_a_perm_that_loses_a_client_is_refused(perm, message):
    with pytest.raises(AggregationError, match=message):
        aggregate(MedianOfMeans(k=1, perm=perm), [[1], [2], [3]])


def test_f_declared_reaches_every_stage():
    names = ("trimmed-mean", "meamed", "phocas", "median-of-means", "grouped-median", "sr-median", "sign-majority-vote")
    for name in names:
        assert build_pipeline([{"name": name}], f_declared=3).min_clients == 7
    assert build_pipeline([{"name": "rlr", "theta": 4}], f_declared=3).min_clients == 10
    for name in ("trimmed-mean", "meamed", "phocas"):
        with pytest.raises(PipelineError, match=f"{name} needs f"):
            build_pipeline([{"name": name}])


def test_diagnostics_say_what_was_done():
    rows = [[1, 0], [2, 1], [9, -1]]
    assert aggregate(TrimmedMean(f=1), rows).diagnostics.details == {"values_kept": 1.0}
    assert aggregate(Meamed(f=1), rows).diagnostics.details == {"values_kept": 2.0}
    assert aggregate(SignMajorityVote(), rows).diagnostics.details == {"tied_coordinates": 1.0}
    assert aggregate(RLR(theta=3), rows).diagnostics.details == {"turned_coordinates": 1.0}
    assert aggregate(GroupedMedian(), rows).diagnostics.details == {"interpolated": 2.0}
    assert aggregate(SRMedian(), rows).diagnostics.details == {"limited": 0.0}
