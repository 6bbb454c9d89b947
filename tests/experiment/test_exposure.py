"""Liars in a sampled cohort: against SciPy's hypergeometric, every draw of a small fleet, and draws by chance."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.coordinator.plan import draw_cohort
from byzantiny.experiment import rundir
from byzantiny.experiment.cast import byzantine_ids
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import Notice
from byzantiny.experiment.exposure import Draw, doubts, fit
from byzantiny.experiment.resolve import make_plan
from byzantiny_models.networks import NETWORKS


@st.composite
def draws(draw):
    fleet = draw(st.integers(1, 300))
    return Draw(fleet, draw(st.integers(0, fleet)), draw(st.integers(1, fleet)), draw(st.integers(1, 1000)))


@given(draws(), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_the_liars_of_a_cohort_are_hypergeometric(draw, f):
    stats = pytest.importorskip("scipy.stats", reason="the comparison needs SciPy")
    theirs = stats.hypergeom(draw.fleet, draw.liars, draw.cohort)
    assert draw.above(f) == pytest.approx(float(theirs.sf(f)), rel=1e-8, abs=1e-13)
    assert draw.chances.sum() == pytest.approx(1.0, abs=1e-10)
    assert draw.mean == pytest.approx(float((draw.chances * np.arange(draw.cohort + 1)).sum()), abs=1e-9)


def test_every_cohort_of_a_small_fleet_is_counted():
    fleet, liars, cohort = 9, 3, 4
    found = [sum(member < liars for member in chosen) for chosen in itertools.combinations(range(fleet), cohort)]
    draw = Draw(fleet, liars, cohort)
    for f in range(cohort):
        assert draw.above(f) == pytest.approx(sum(k > f for k in found) / comb(fleet, cohort), abs=1e-14)


@given(draws(), st.floats(0.01, 0.9), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_who_drops_out_is_a_binomial_mixture(draw, dropout, n):
    stats = pytest.importorskip("scipy.stats", reason="the comparison needs SciPy")
    draw = Draw(draw.fleet, draw.liars, draw.cohort, 1, dropout)
    k = np.arange(draw.cohort + 1)
    come = stats.binom(draw.cohort - k, 1.0 - dropout).cdf(n - k - 1)
    theirs = float((stats.hypergeom(draw.fleet, draw.liars, draw.cohort).pmf(k) * np.where(n > k, come, 0.0)).sum())
    assert draw.fewer(n) == pytest.approx(theirs, rel=1e-7, abs=1e-12)


def test_without_dropout_all_come():
    draw = Draw(20, 5, 8)
    assert (draw.fewer(8), draw.fewer(9)) == (0.0, 1.0)


@given(draws(), st.sampled_from([0.001, 0.01, 0.2]))
@settings(max_examples=80, deadline=None)
def test_the_smallest_f_declared_is_safe_and_one_less_is_not(draw, level):
    declared = draw.declared(level)
    assert draw.over_run(draw.above(declared)) <= level
    assert declared == 0 or draw.over_run(draw.above(declared - 1)) > level


def test_the_smallest_safe_cohort_is_safe_and_no_smaller_one_is():
    draw, level = Draw(60, 6, 30, 40, 0.05), 0.01
    found = fit(draw, lambda f: 2 * f + 3, level)
    for cohort in range(1, found.cohort + 1):
        other = Draw(60, 6, cohort, 40, 0.05)
        declared = other.declared(level)
        safe = 2 * declared + 3 <= cohort and other.over_run(other.fewer(2 * declared + 3)) <= level
        assert safe == (cohort == found.cohort)
        assert cohort < found.cohort or declared == found.cohort_declared


def test_the_coordinators_own_cohorts_have_as_many_liars_as_the_formula_says():
    table = {"rounds": 400, "clients": [{"count": 40}], "attack": {"name": "sign-flip", "byzantine": 8}}
    run = parse_experiment(table | {"round": {"cohort": 10}}).base
    liars, plan = set(byzantine_ids(run, 1)), make_plan(run, "", 1, NETWORKS["mlp-64-32-10"].layout)
    found = [len(liars & set(draw_cohort(plan, number))) for number in range(1, 401)]
    for f in range(5):
        expected = Draw(40, 8, 10).above(f)
        spread = 4 * (expected * (1 - expected) / 400) ** 0.5
        assert abs(np.mean(np.array(found) > f) - expected) <= spread


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0, 0, 1), "fleet = 0"),
        ((10, 11, 5), "liars = 11 is not possible here; give 0 to 10"),
        ((10, 2, 11), "cohort = 11"),
        ((10, 2, 5, 0), "rounds = 0"),
        ((10, 2, 5, 1, 1.0), "dropout = 1.0"),
        ((10, 2, 5, 1, float("nan")), "dropout = nan"),
    ],
)
def test_numbers_that_do_not_fit_are_named(numbers, said):
    with pytest.raises(ConfigError, match=said):
        Draw(*numbers)


def experiment(**more):
    return parse_experiment(
        {
            "rounds": 1,
            "clients": [{"count": 12, "body": "numpy"}],
            "attack": {"name": "sign-flip", "byzantine": 4},
            "defence": {"pipeline": [{"name": "median"}], "f_declared": 2},
            "evaluation": {"deployed": False, "per_client": False, "bits": []},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "4 of the 12 clients lie"),
        ({"round": {"cohort": 8}}, "a cohort of 8 of 12 clients"),
        ({"defence": {"pipeline": [{"name": "median"}], "f_declared": 4}}, None),
        ({"defence": {"pipeline": [{"name": "mean"}]}}, None),
        ({"attack": {}}, None),
    ],
)
def test_a_run_says_before_its_first_round_that_it_is_told_too_little(more, said, tmp_path, digits):
    heard = []
    asked = experiment(**more)
    Engine(heard.append, in_memory=True).run(asked, rundir.create(tmp_path, "run", asked))
    notices = [event.text for event in heard if isinstance(event, Notice) and "f_declared" in event.text]
    assert len(notices) == (said is not None)
    assert not notices or said in notices[0]


def test_arms_that_share_a_doubt_say_it_once(tmp_path, digits):
    arms = {"a": {}, "b": {"attack": {"params": {"scale": 2.0}}}}
    heard = []
    asked = experiment(arms=arms)
    Engine(heard.append, in_memory=True).run(asked, rundir.create(tmp_path, "run", asked))
    (said,) = [event.text for event in heard if isinstance(event, Notice)]
    assert said.startswith("a, b: f_declared = 2")


def test_a_share_of_the_fleet_is_a_number_of_clients():
    assert [experiment(attack={"name": "sign-flip", "byzantine": share}).base.liars for share in (0.01, 0.3, 0.99)] == [
        1,
        3,
        11,
    ]
    assert doubts(experiment(attack={"name": "sign-flip", "byzantine": 0.2}).base) == []
