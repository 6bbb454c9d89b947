"""Metrics and statistics against numbers worked out by hand and against SciPy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.scores import metrics
from byzantiny.scores.records import Cell, Result, Series
from byzantiny.scores.statistics import ScoresError, estimate, iqm, kendall_tau, split_half_tau
from byzantiny.scores.tables import score


def result(accuracy=(0.5,), run="r", **fields):
    n = len(accuracy)
    counts = {
        name: fields.pop(name, [0] * n)
        for name in ("accepted", "honest", "honest_kept", "minority", "minority_kept", "byzantine", "byzantine_kept")
    }
    series = Series(
        accuracy=list(accuracy), asr=fields.pop("asr", [None] * n), spread_steps=[None] * n,
        aggregated=fields.pop("aggregated", [True] * n), **counts,
    )  # fmt: skip
    plain = {"status": "done", "engine": "inprocess", "config": {}, "wire": {}, "version": "0", "chance": 0.1}
    return Result(run=run, series=series, **plain | fields)


def test_rates_are_over_rounds_with_an_aggregate():
    r = result(
        [0.1] * 3, aggregated=[True, False, True], honest=[8, 8, 8], honest_kept=[6, 0, 8], minority=[2, 2, 2],
        minority_kept=[1, 0, 2], byzantine=[2, 2, 2], byzantine_kept=[0, 0, 1],
    )  # fmt: skip
    assert metrics.denial_rate(r) == pytest.approx(1 / 3)
    assert metrics.rejection_rate(r) == pytest.approx(2 / 16)
    assert metrics.rejection_rate(r, "minority") == pytest.approx(1 / 4)
    assert metrics.detection(r) == (pytest.approx(3 / 5), pytest.approx(3 / 4))


def test_detection_counts_from_the_attacks_first_round_and_says_nothing_of_nothing():
    r = result([0.1] * 2, honest=[4, 4], honest_kept=[0, 4], byzantine=[2, 2], byzantine_kept=[2, 0], attack_start=2)
    assert metrics.detection(r) == (1.0, 1.0)
    quiet = result([0.1], honest=[4], honest_kept=[4])
    assert metrics.detection(quiet) == (None, None)


def test_a_lifespan_ends_with_the_last_round_above_the_floor_and_a_half():
    r = result([0.9] * 8, asr=[1.0, 1.0, 0.9, 0.4, 0.8, 0.7, 0.2, None])
    assert metrics.lifespan(r, 2, floor=0.1) == 4
    assert metrics.lifespan(r, 2, floor=0.35) == 1
    assert metrics.lifespan(r, 6, floor=0.1) == 0
    assert metrics.lifespan(result([0.9]), 0) is None


def test_a_run_that_is_no_better_than_the_commonest_class_diverged():
    assert metrics.diverged(result([0.9, 0.1])) is True
    assert metrics.diverged(result([0.1, 0.9])) is False


def test_the_interquartile_mean_is_that_of_its_definition():
    assert iqm([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]) == (3.0 + 4.0 + 5.0 + 6.0) / 4
    assert iqm(list(map(float, range(10)))) == sum(range(2, 8)) / 6


def test_an_interval_needs_three_seeds_is_repeatable_and_holds_of_equal_numbers():
    assert estimate([]) is None
    assert estimate([0.1, 0.3]).to_dict() == {"value": pytest.approx(0.2), "low": None, "high": None, "n": 2}
    assert estimate([0.5] * 4).to_dict() == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 4}
    values = np.random.default_rng(0).normal(0.8, 0.05, 30).tolist()
    assert estimate(values) == estimate(values)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [estimate(rng.normal(0.0, 1.0, 30).tolist(), resamples=500) for _ in range(120)]
    assert 0.85 <= np.mean([each.low <= 0.0 <= each.high for each in found]) <= 1.0


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8, unique=True), st.randoms())
def test_tau_is_the_share_of_agreeing_pairs_less_that_of_the_others(values, random):
    other = list(values)
    random.shuffle(other)
    pairs = [(i, j) for i in range(len(values)) for j in range(i)]
    agree = sum(math.copysign(1, (values[i] - values[j]) * (other[i] - other[j]) or 1e-300) for i, j in pairs)
    signs = [np.sign(values[i] - values[j]) * np.sign(other[i] - other[j]) for i, j in pairs]
    assert kendall_tau(values, other) == pytest.approx(sum(signs) / len(pairs))
    assert abs(agree) <= len(pairs)


def test_tau_of_a_constant_says_nothing_and_of_other_things_is_refused():
    assert kendall_tau([1.0, 1.0], [1.0, 2.0]) is None
    with pytest.raises(ScoresError, match="of the same things"):
        kendall_tau([1.0], [1.0, 2.0])


def test_the_ceiling_is_one_without_noise_low_with_it_and_none_of_few_seeds():
    rng = np.random.default_rng(0)
    clear = np.arange(6.0)[:, None] + rng.normal(0, 0.01, (6, 10))
    blurred = np.arange(6.0)[:, None] * 0.001 + rng.normal(0, 1.0, (6, 10))
    assert split_half_tau(clear.tolist()) == pytest.approx(1.0)
    assert abs(split_half_tau(blurred.tolist())) < 0.6
    assert split_half_tau(clear[:, :3].tolist()) is None


def cell(attack, seed, *, defence="d", wire="int8", f=2, declared=2, tuning=False):
    run = f"{defence}-{wire}-{attack}-{seed}-{f}-{declared}"
    return Cell(
        task="t", alpha=None, wire=wire, defence=defence, attack=attack, f=f, f_declared=declared, seed=seed,
        tuning=tuning, run=run,
    )  # fmt: skip


def test_the_worst_attack_is_chosen_on_tuning_seeds_and_scored_on_the_others():
    """On the tuning seed A is worse, on the scored ones B happens to be: A it is, with its own scores."""
    accuracy = {
        ("A", 9): 0.2,
        ("B", 9): 0.4,
        ("A", 1): 0.6,
        ("B", 1): 0.1,
        ("none", 1): 0.9,
        ("A", 2): 0.7,
        ("B", 2): 0.1,
        ("none", 2): 0.8,
    }
    cells = [cell(attack, seed, tuning=seed == 9) for attack, seed in accuracy]
    results = {c.run: result([accuracy[c.attack, c.seed]], run=c.run) for c in cells}
    scores = score(cells, results)
    (row,) = scores["defences"]
    assert (row["worst_attack"], row["chosen_on_tuning_seeds"]) == ("A", True)
    assert row["worst"]["value"] == pytest.approx(0.65)
    attacked = next(each for each in scores["attacks"] if each["attack"] == "A")
    assert attacked["impact"] == pytest.approx((0.3 + 0.1) / 2), "paired by seed"


def test_caution_costs_what_declaring_f_takes_when_nobody_lies():
    accuracy = {(0, 0): 0.9, (2, 2): 0.7, (0, 2): 0.8}
    cells = [cell("none", 1, f=f, declared=declared) for f, declared in accuracy]
    results = {c.run: result([accuracy[c.f, c.f_declared]], run=c.run) for c in cells}
    costs = {(r["f"], r["f_declared"]): r["cost_of_caution"] for r in score(cells, results)["defences"]}
    assert costs == {(0, 0): None, (2, 2): pytest.approx(0.2), (0, 2): pytest.approx(0.1)}


def test_rankings_stand_beside_their_noise_ceiling():
    cells, results = [], {}
    for wire, order in (("float+box", (0.5, 0.6, 0.7)), ("int8", (0.7, 0.6, 0.5))):
        for defence, base in zip("abc", order, strict=True):
            for seed in range(1, 7):
                cells.append(cell("A", seed, defence=defence, wire=wire))
                results[cells[-1].run] = result([base + 0.001 * seed], run=cells[-1].run)
    rows = {row["wire"]: row for row in score(cells, results)["rankings"]}
    assert (rows["int8"]["tau"], rows["int8"]["ceiling"]) == (pytest.approx(-1.0), pytest.approx(1.0))
    assert rows["float+box"]["tau"] == pytest.approx(1.0)


def test_failed_and_missing_runs_are_counted_and_scored_nowhere():
    cells = [cell("none", 1), cell("A", 1), cell("A", 2)]
    failed = Result(
        run=cells[1].run, status="failed", error="E: no", engine="inprocess", config={}, wire={}, version="0"
    )
    scores = score(cells, {cells[0].run: result([0.9], run=cells[0].run), cells[1].run: failed})
    assert (scores["cells"], scores["done"]) == (3, 1)
    assert scores["failed"] == [{"cell": "d against A, f 2, int8, t, seed 1", "error": "E: no"}]
    assert [row["attack"] for row in scores["attacks"]] == ["none"]
