"""The statistics against numbers that someone else computed, and the targets at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from byzantiny.report import summarize
from byzantiny.report.statistics import bootstrap_interval, iqm, last_tenth
from byzantiny.report.targets import judge, percent


def test_mean_median_and_iqm_of_known_values():
    found = summarize([0.1, 0.2, 0.4, 0.9], np.random.default_rng(0))
    assert found.mean == pytest.approx(0.4)
    assert found.median == pytest.approx(0.3)
    assert found.iqm == pytest.approx(0.3)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 11, 20])
def test_iqm_is_scipys_quarter_trimmed_mean(n):
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle of this test and is not installed")
    values = np.random.default_rng(n).random(n)
    assert iqm(values.tolist()) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-15)


def test_the_bootstrap_interval_agrees_with_scipys_percentile_bootstrap():
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle of this test and is not installed")
    values = np.random.default_rng(7).normal(0.9, 0.02, size=10)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    ours = bootstrap_interval(values.tolist(), np.random.default_rng(2), resamples=20_000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=4e-4)


def test_the_interval_of_three_values_is_known():
    # The mean of three draws is the lowest value with probability 1/27 = 3.7 % > 2.5 %: the interval is the range.
    assert bootstrap_interval([0.1, 0.5, 0.9], np.random.default_rng(0)) == pytest.approx((0.1, 0.9))


def test_the_interval_is_drawn_from_the_generator_it_is_handed():
    values = [0.1, 0.5, 0.7, 0.8, 0.95]
    first, again = (bootstrap_interval(values, np.random.default_rng(3), resamples=50) for _ in range(2))
    assert first == again
    assert first != bootstrap_interval(values, np.random.default_rng(4), resamples=50)


def test_two_seeds_have_no_interval():
    found = summarize([0.9, 0.8], np.random.default_rng(0))
    assert (found.low, found.high, found.half_width) == (None, None, None)
    with pytest.raises(ValueError, match="at least 3 are needed"):
        bootstrap_interval([0.9, 0.8], np.random.default_rng(0))


def test_no_values_have_no_summary():
    with pytest.raises(ValueError, match="at least one"):
        summarize([], np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one"):
        iqm([])


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.5], 0.5),
        ([0.0] * 18 + [0.4, 0.6], 0.5),
        ([0.0] * 11 + [0.7], 0.7),
        ([0.9] * 19 + [None], 0.9),
        ([0.9, None], None),
        ([], None),
    ],
)
def test_the_last_tenth_is_the_last_tenth_and_not_the_best_round(accuracies, expected):
    assert last_tenth(accuracies) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("target", "accuracy", "met", "word"),
    [
        (">= 95 %", 0.95, True, "met"),
        (">= 95 %", 0.9499, False, "missed"),
        ("≥95%", 0.96, True, "met"),
        ("> 95 %", 0.95, False, "missed"),
        ("<= 40.5 %", 0.405, True, "met"),
        ("< 40 %", 0.5, False, "missed"),
        (">= 57 %", 0.57, True, "met"),
        (">= 29 %", 0.29, True, "met"),
        ("about 95 %", 0.95, None, "not comparable"),
        (">= 95 %", None, None, "not measured"),
        ("", 0.95, None, ""),
    ],
)
def test_a_target_is_met_missed_or_not_comparable(target, accuracy, met, word):
    verdict = judge(target, accuracy)
    assert (verdict.met, verdict.word) == (met, word)


@pytest.mark.parametrize(("accuracy", "finished"), [(None, True), (None, False), (0.96, True), (0.96, False)])
def test_a_target_is_written_alike_whatever_became_of_it(accuracy, finished):
    assert judge(">=95%", accuracy, finished=finished).target == "≥ 95 %"


def test_a_missed_figure_never_prints_as_its_target():
    assert percent(0.9496, beside=">= 95 %") == "94.96 %"
    assert percent(0.94996, beside=">= 95 %") == "94.996 %"
    assert percent(0.9499999, beside=">= 95 %") == "94.99999 %"
    assert percent(0.95, beside=">= 95 %") == "95.0 %"
