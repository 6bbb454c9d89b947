"""Declared kappas against numbers of the paper, against search and against chance: no measured one is above its declared."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.aggregators import AGGREGATORS
from byzantiny.aggregators import kappas as k
from byzantiny.federation import build_pipeline
from byzantiny.robustness.defences import PIPELINES, Scale, aggregate, parse_defence
from byzantiny.robustness.kappa import declared_kappa, measure_kappa, subset_kappa, subset_masks
from byzantiny.updates import BeyondLimitError

SLOW = {"caf", "smea", "geometric-median"}
DEFENCES = [*AGGREGATORS, *PIPELINES, "bucketing:s=3+trimmed-mean", "nnm+median", "arc+median"]
COHORTS = [(12, 2), (11, 2), (13, 3)]


def study(name, n, f):
    """The pipeline, the function that applies it to integer rows, and the sets S it is judged by."""
    pipeline = built(name, n, f)
    assert pipeline is not None
    # Clipped codes would be rounded; the theory is about rows that are not.
    codes = not any(stage.name == "arc" for stage in pipeline.stages)

    def apply(rows):
        return aggregate(pipeline, rows.astype(np.int8) if codes else rows)

    members = subset_masks(n, f)
    return pipeline, apply, members[members[:, f] == 1] if name == "monna" else members


@functools.cache
def built(name, n, f):
    """The pipeline, None where it needs more clients: a pipeline looks for entry points, which takes its time."""
    try:
        return parse_defence(name).build(Scale(n, f, 2, 20.0))
    except BeyondLimitError:
        return None


def accepted(name, n, f):
    return built(name, n, f) is not None


CASES = [
    (name, n, f)
    for name in DEFENCES
    for n, f in (COHORTS if name not in SLOW else COHORTS[1:2])
    if accepted(name, n, f)
]


def test_only_what_needs_more_clients_is_left_out():
    refused = {(name, n, f) for name in DEFENCES for n, f in COHORTS if not accepted(name, n, f)}
    assert refused == {
        ("bulyan", 13, 3),
        ("bucketing:s=3+trimmed-mean", 12, 2),
        ("bucketing:s=3+trimmed-mean", 11, 2),
        ("bucketing:s=3+trimmed-mean", 13, 3),
    }


def test_who_declares_a_kappa():
    """All rules but CAF; pipelines whose stages pass one on. Static clips do not, nor do buckets of unequal size."""
    without = {name for name, n, f in CASES if declared_kappa(built(name, n, f), n, f) is None and n == 12}
    assert without == {"norm-clip+mean"}
    assert declared_kappa(built("caf", 11, 2), 11, 2) is None
    unbounded = {name for name, n, f in CASES if declared_kappa(built(name, n, f), n, f) == math.inf}
    in_steps = {"grouped-median", "sr-median", "sign-majority-vote", "centered-clipping"}
    assert unbounded == in_steps | {"mean", "weighted-mean", "rlr", "cge"}


@pytest.mark.parametrize(("name", "n", "f"), CASES)
def test_no_measured_kappa_is_above_the_declared_one(name, n, f):
    pipeline, apply, members = study(name, n, f)
    declared = declared_kappa(pipeline, n, f)
    budget = 0 if name in SLOW else 50
    found = measure_kappa(apply, n, f, np.random.default_rng(n), evaluations=budget, members=members)
    again = subset_kappa(apply(found.rows), found.rows, f, members)
    assert again == found.value, "the rows that come with a measured kappa give it"
    assert declared is None or found.value <= declared * (1 + 1e-9)
    # Theorem of Allouah et al. 2023: n - 2f rows at 0, f at 1 and f at 0 leave no rule below f / (n - 2f).
    assert found.value >= f / (n - 2 * f) - 1e-9


@pytest.mark.parametrize("name", ["median", "trimmed-mean"])
@pytest.mark.parametrize(("n", "f"), [(12, 2), (11, 2), (14, 3), (9, 4)])
def test_the_kappas_that_are_called_attained_are(name, n, f):
    pipeline, apply, members = study(name, n, f)
    declared = declared_kappa(pipeline, n, f)
    found = measure_kappa(apply, n, f, np.random.default_rng(0), evaluations=0, members=members)
    assert found.value == pytest.approx(declared, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), f=st.integers(0, 3), d=st.integers(1, 3))
def test_whatever_the_rows_no_set_is_left_farther_than_declared(data, f, d):
    name = data.draw(st.sampled_from([name for name in DEFENCES if name not in SLOW]))
    n = data.draw(st.integers(2 * f + 3, 4 * f + 6))
    if not accepted(name, n, f):
        return
    pipeline, apply, members = study(name, n, f)
    declared = declared_kappa(pipeline, n, f)
    limit = data.draw(st.sampled_from([1, 3, 127]))
    rows = np.array(
        data.draw(st.lists(st.lists(st.integers(-limit, limit), min_size=d, max_size=d), min_size=n, max_size=n)), float
    )
    if declared is not None:
        # A mean of buckets' means is off by bits of a float64: 1e-32 of V where 0 is declared.
        assert subset_kappa(apply(rows), rows, f, members) <= declared * (1 + 1e-9) + 1e-24


def test_the_declared_ones_are_below_the_papers():
    """Allouah et al. 2023, table 1: trimmed mean, geometric median, median; and the lower bound f / (n - 2f)."""
    for n in range(5, 40):
        for f in range(1, (n - 3) // 2 + 1):
            r = f / (n - 2 * f)
            assert k.trimmed_mean(n, f) == pytest.approx(r)
            assert k.trimmed_mean(n, f) <= 6 * r * (1 + r)
            assert k.median(n, f) <= 4 * (1 + r) ** 2
            assert k.geometric_median(n, f) == pytest.approx(4 * (1 + r) ** 2)
            assert k.smea(n, f) <= 4 * f / (n - f) * (1 + r) ** 2 + 1e-12


def test_without_liars_the_rules_that_are_the_mean_then_have_kappa_zero():
    for name, rule in AGGREGATORS.items():
        card = rule.info.kappa
        if card is not None and "mean" in rule.info.keeps and math.isfinite(card.of(9, 0)):
            assert card.of(9, 0) == 0, name


def test_nearest_neighbour_mixing_has_the_papers_bound():
    """8 f / (n - f) (kappa + 1), Allouah et al. 2023, lemma 1."""
    pipeline = build_pipeline([{"name": "nnm"}, {"name": "median"}], f_declared=3)
    assert declared_kappa(pipeline, 15, 3) == pytest.approx(8 * 3 / 12 * (k.median(15, 3) + 1))


@pytest.mark.parametrize(
    "stages",
    [
        [{"name": "norm-clip", "bound": 9}, {"name": "median"}],
        [{"name": "multi-krum", "m": 2}],
        [{"name": "median-of-means", "k": 9}],
        [{"name": "bucketing", "s": 2}, {"name": "median"}],
        [{"name": "caf"}],
    ],
)
def test_where_nothing_is_proved_nothing_is_declared(stages):
    """A static clip, parameters that are not the default, buckets of unequal size (n = 15), and CAF."""
    assert declared_kappa(build_pipeline(stages, f_declared=2), 15, 2) is None


def test_the_ratio_is_exact_and_infinite_where_agreeing_rows_are_missed():
    rows, members = np.array([[0.0], [0.0], [3.0], [9.0]]), subset_masks(4, 1)
    assert members.shape == (4, 4)
    # S = {0, 0, 3}: mean 1, V = 2; {0, 3, 9}: mean 4, V = 14; {0, 0, 9}: mean 3, V = 18, twice {0, 3, 9}.
    assert subset_kappa(np.array([3.0]), rows, 1, members) == 2.0
    rows[2] = 0.0
    assert subset_kappa(np.array([0.5]), rows, 1, members) == math.inf
    assert subset_kappa(np.array([0.003]), rows, 1, members) < 1, "within 1/256 of a step is no error"
