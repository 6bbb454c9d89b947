"""The search against exact formulas, against exhaustion, and against the asymptotics of Huber."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.federation import load_zoos
from byzantiny.robustness.bias import bias_curve
from byzantiny.robustness.defences import Scale, aggregate, parse_defence
from byzantiny.robustness.honest import Model, draw_clients, honest_part
from byzantiny.robustness.search import AGAINST, BIAS, COORDINATE, MONOTONE, shape_of, worst_lies
from byzantiny.updates import AggregationError

ZOOS = load_zoos()


def worst(name, model, f, aim=BIAS, **options):
    honest = honest_part(draw_clients(model), f)
    pipeline = parse_defence(name, ZOOS).build(Scale(model.n, f, model.d, model.spread))

    def apply(lies):
        return aggregate(pipeline, np.concatenate([lies, honest.codes]))

    return worst_lies(apply, honest, f, aim, shape_of(pipeline), np.random.default_rng(0), **options), honest, pipeline


def test_the_bias_of_the_mean_is_what_saturation_makes_of_it():
    for f in (1, 3, 7):
        found, honest, _ = worst("mean", Model(n=15, d=40, spread=6.0), f)
        total = honest.codes.astype(int).sum(axis=0)
        ends = [(total + side * 127 * f) / 15 - honest.mean for side in (1, -1)]
        assert found.exact
        assert found.gain == pytest.approx(np.maximum(ends[0] ** 2, ends[1] ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("f", [0, 50, 100, 200, 300])
def test_the_bias_of_the_median_is_huber_s(f):
    """PHI^-1(1 / (2 (1 - eps))), Huber 1964: 0.07, 0.14, 0.32, 0.57 deviations at eps = .05, .1, .2, .3."""
    model = Model(n=1000, d=120, spread=25.0, signal=0.01)
    found, honest, _ = worst("median", model, f)
    expected = NormalDist().inv_cdf(1 / (2 * (1 - f / 1000)))
    # The median of 1000 is itself 1.25 / sqrt(1000) deviations off, squared, and the worse side of two is taken.
    noise = 1.2533 / np.sqrt(1000 - f)
    measured = np.sqrt(found.gain) / honest.length
    assert found.exact
    assert expected - 0.01 <= measured <= np.hypot(expected, noise) + 0.02


@pytest.mark.parametrize("name", ["sr-median", "meamed", "phocas", "rlr", "median", "trimmed-mean", "grouped-median"])
@pytest.mark.parametrize(("n", "f", "spread"), [(7, 2, 0.4), (8, 2, 3.0), (9, 2, 20.0), (10, 3, 1.0)])
def test_by_coordinate_nothing_is_worse_than_what_is_found(name, n, f, spread):
    """Every multiset of codes that f liars can send, a column each: one call tries them all."""
    model = Model(n=n, d=3, spread=spread)
    found, honest, pipeline = worst(name, model, f)
    step = 1 if f == 2 else 9
    codes = sorted(
        {-127, 127, *range(-127, 128, step), *(int(c) + k for c in np.unique(honest.codes) for k in (-1, 0, 1))}
    )
    every = np.array(list(combinations_with_replacement([c for c in codes if abs(c) <= 127], f)), dtype=np.int8).T
    for j in range(model.d):
        column = np.repeat(honest.codes[:, j : j + 1], every.shape[1], axis=1)
        values = aggregate(pipeline, np.concatenate([every, column]))
        exhausted = float(((values - honest.mean[j]) ** 2).max())
        reached = (float(found.values[j]) - honest.mean[j]) ** 2
        assert reached >= exhausted - 1e-9, f"{name}: coordinate {j} reaches {reached}, exhaustion {exhausted}"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_rules_that_are_called_monotone_never_fall_when_a_value_rises(data):
    name = data.draw(st.sampled_from(sorted(MONOTONE)))
    n, limit = data.draw(st.integers(3, 9)), data.draw(st.sampled_from([2, 127]))
    values = data.draw(st.lists(st.integers(-limit, limit), min_size=n, max_size=n))
    who, higher = data.draw(st.integers(0, n - 1)), data.draw(st.integers(-limit, limit))
    rows = np.array([values, values], dtype=np.int8).T
    rows[who, 1] = max(higher, values[who])
    pipeline = parse_defence(name, ZOOS).build(Scale(n, (n - 1) // 2 if name != "median-of-means" else 1, 2, 4.0))
    low, high = aggregate(pipeline, rows)
    assert high >= low - 1e-12, name


@pytest.mark.parametrize("name", sorted(COORDINATE))
def test_the_rules_that_are_called_by_coordinate_are(name):
    rng = np.random.default_rng(3)
    rows = rng.integers(-3, 4, (9, 6)).astype(np.int8)
    pipeline = parse_defence(name, ZOOS).build(Scale(9, 2, 6, 4.0))
    together = aggregate(pipeline, rows)
    alone = [float(aggregate(pipeline, np.ascontiguousarray(rows[:, j : j + 1]))[0]) for j in range(6)]
    assert together.tolist() == alone


def test_what_is_classified_is_in_the_zoo_and_what_is_not_is_searched_by_rows():
    assert ZOOS["aggregator"].keys() >= COORDINATE
    shapes = {
        name: shape_of(parse_defence(name, ZOOS).build(Scale(20, 2, 4, 4.0)))
        for name in ("krum", "nnm+median", "bucketing+median", "bucketing+meamed", "sr-median")
    }
    assert shapes == {
        "krum": "rows",
        "nnm+median": "rows",
        "bucketing+median": "monotone",
        "bucketing+meamed": "coordinate",
        "sr-median": "coordinate",
    }


@pytest.mark.parametrize("name", ["krum", "multi-krum", "nnm+trimmed-mean", "cge"])
def test_the_search_by_rows_beats_the_attacks_it_begins_with(name):
    model = Model(n=13, d=16)
    first, _, _ = worst(name, model, 3, evaluations=0)
    later, honest, pipeline = worst(name, model, 3, evaluations=150)
    assert later.gain >= first.gain > 0
    again = aggregate(pipeline, np.concatenate([later.lies, honest.codes]))
    assert np.array_equal(again, later.values), "the lies that come with a result give it"
    assert later.lies.dtype == np.int8
    assert later.lies.shape == (3, 16)


def test_krum_picks_the_negated_half_mean():
    """What breaks it, on its page: in high dimension a lie near the mean is nearer to all than they to each other."""
    found, honest, _ = worst("krum", Model(n=13, d=200, spread=10.0), 3, AGAINST, evaluations=0)
    assert float(found.values @ honest.mean) < 0


def test_a_curve_is_a_function_of_the_seed():
    defence = parse_defence("nnm+krum", ZOOS)
    first, again, other = (
        bias_curve(defence, Model(n=7, d=4, seed=seed), evaluations=20, f_step=2).record() for seed in (1, 1, 2)
    )
    assert first == again
    assert other != first


def test_the_bias_does_not_shrink_with_more_liars_for_rules_that_are_exact():
    for name in ("mean", "median", "trimmed-mean", "grouped-median"):
        biases = [point.bias for point in bias_curve(parse_defence(name, ZOOS), Model(n=21, d=200)).points]
        assert all(later > earlier - 0.01 for earlier, later in pairwise(biases)), name


def test_breakdowns_of_the_mean_and_of_a_rule_that_refuses():
    mean = bias_curve(parse_defence("mean", ZOOS), Model(n=10, d=50))
    assert mean.sign_flip_breakdown == mean.any_breakdown == 0.1
    assert mean.limit == 4
    bulyan = bias_curve(parse_defence("bulyan", ZOOS), Model(n=10, d=10), evaluations=0)
    assert [point.f for point in bulyan.points] == [0, 1, 2]
    assert bulyan.limit == 1
    assert "needs 11 clients; there are 10" in bulyan.points[-1].refused
    assert bulyan.record()["points"][2]["bias"] is None


def test_a_defence_that_never_works_raises():
    with pytest.raises(AggregationError, match="needs 11 clients; there are 9"):
        bias_curve(parse_defence("bulyan:f=2", ZOOS), Model(n=9, d=4))


def test_the_aims():
    values, mean = np.array([1.0, -2.0]), np.array([2.0, 2.0])
    assert BIAS.gain(values, mean).tolist() == [1.0, 16.0]
    assert AGAINST.gain(values, mean).tolist() == [-2.0, 4.0]
