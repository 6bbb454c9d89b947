"""Attack vectors that others computed (X3, X7), closed forms derived anew, and the defects of public implementations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import Bulyan, Krum, Median, TrimmedMean
from byzantiny.attacks import (
    AGRTailored,
    AttackContext,
    AttackWarning,
    FangKrum,
    FangTrimmed,
    Gaussian,
    Mimic,
    MinMax,
    MinSum,
    OptimalALIE,
    OptimalIPM,
    craft,
    geometry,
)
from byzantiny.attacks.search import maximise
from byzantiny.attacks.untargeted.fang_trimmed import beyond
from byzantiny.updates import UpdateBatch, quantize_rows

X3 = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
HONEST = np.array(
    [[10, -3, 7, 0, 25], [12, -5, 9, 1, 22], [9, -4, 6, -2, 27], [11, -2, 8, 3, 24], [13, -6, 10, -1, 21]]
)


def context(**fields):
    return AttackContext(**({"honest": HONEST, "n": 7, "f": 2, "rng": np.random.default_rng(0)} | fields))


MIN_MAX = {
    "unit": [8.68360116, -3.15767315, 6.3153463, 0.15788366, 18.78815524],
    "sign": [8.15902328, -1.15902328, 5.15902328, -2.64097672, 20.95902328],
    "std": [8.72123791, -6.27876209, 5.72123791, -2.57223373, 20.3591447],
}
MIN_SUM = {
    "max": {
        "unit": [9.0924496, -3.30634531, 6.61269062, 0.16531727, 19.67275459],
        "sign": [8.85152435, -1.85152435, 5.85152435, -1.94847565, 21.65152435],
        "std": [9.15225519, -5.84774481, 6.15225519, -2.04787858, 21.00996652],
    },
    "min": {
        "unit": [10.159583, -3.6943939, 7.3887877, 0.1847197, 21.981642],
        "sign": [10.05344, -3.05344, 7.05344, -0.7465599, 22.85344],
        "std": [10.185949, -4.81405, 7.18595, -0.79033494, 22.57081],
    },
}


@pytest.mark.parametrize("direction", ["unit", "sign", "std"])
def test_min_max_is_flpoison_s_and_ndss21_s(direction):
    """Run on X7[:5] with ddof 0; they stop bisecting at 1e-5."""
    rows = craft(MinMax(direction=direction, lattice=False), context())
    assert np.allclose(rows, [MIN_MAX[direction]] * 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("direction", "row"), [("unit", [1.61581975, 2.01977469, 2.42372962]), ("sign", [1, 2, 3]), ("std", [1, 2, 3])]
)
def test_min_max_of_three_rows(direction, row):
    rows = craft(MinMax(direction=direction, lattice=False), context(honest=X3, n=4, f=1))
    assert np.allclose(rows, [row], rtol=0, atol=1e-4)


@pytest.mark.parametrize("threshold", ["max", "min"])
@pytest.mark.parametrize("direction", ["unit", "sign", "std"])
def test_min_sum_is_flpoison_s_with_the_largest_sum_and_ndss21_s_with_the_smallest(direction, threshold):
    rows = craft(MinSum(direction=direction, threshold=threshold, lattice=False), context())
    assert np.allclose(rows, [MIN_SUM[threshold][direction]] * 2, rtol=0, atol=1e-4)


def test_min_sum_of_three_rows_and_its_degenerate_threshold():
    """X3: max gives [1.63137421, 2.03921777, 2.44706132]; with min there is no room beside the mean, and that is said."""
    seen = context(honest=X3, n=4, f=1)
    rows = craft(MinSum(lattice=False), seen)
    assert np.allclose(rows, [[1.63137421, 2.03921777, 2.44706132]], rtol=0, atol=1e-4)
    with pytest.warns(AttackWarning, match="no room beside the mean"):
        rows = craft(MinSum(threshold="min", lattice=False), seen)
    assert np.allclose(rows, [[4, 5, 6]])


@pytest.mark.parametrize("attack", [MinMax, MinSum])
@pytest.mark.parametrize("direction", ["unit", "sign", "std"])
def test_the_integer_row_keeps_the_radius_that_the_rounded_real_one_may_break(attack, direction):
    rng = np.random.default_rng(3)
    broken = 0
    for _ in range(12):
        honest = rng.integers(-3, 4, (6, 300))
        seen = context(honest=honest, n=8, f=2)
        real = attack(direction=direction, lattice=False)
        broken += not real.kept(seen, quantize_rows(craft(real, seen))).all()
        on_grid = attack(direction=direction)
        codes = craft(on_grid, seen)
        assert np.array_equal(codes, np.rint(codes))
        assert on_grid.kept(seen, quantize_rows(codes, np.random.default_rng(1))).all()
        way = geometry.direction("here", direction, honest.astype(float), 0)
        assert (codes[0] - honest.mean(axis=0)) @ way > 0, "it is an attack"
    assert broken, "if rounding never broke it, there would be nothing to search for"


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(2, 6), st.integers(1, 8)), elements=st.integers(-127, 127)),
    st.sampled_from([MinMax, MinSum]),
    st.sampled_from(["unit", "sign", "std"]),
)
def test_whatever_the_honest_send_the_codes_that_leave_keep_the_radius(honest, attack, direction):
    """The two constraints in plain integers, not by the attack's own measure; rows that leave no room warn, and keep it as well."""
    seen = context(honest=honest, n=len(honest) + 1, f=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttackWarning)
        row = craft(attack(direction=direction), seen)
    codes = quantize_rows(row)[0].astype(int)
    assert np.array_equal(codes, row[0])
    squared = ((codes - honest.astype(int)) ** 2).sum(axis=1)
    pairs = ((honest[:, None].astype(int) - honest[None].astype(int)) ** 2).sum(axis=2)
    assert squared.max() <= pairs.max() if attack is MinMax else squared.sum() <= pairs.sum(axis=1).max()


def test_fang_s_intervals_are_blades_():
    """Blades test_adaptive_attack: lower [3, -1, 1/3, -3], upper [9, -1/3, 1, -1]; its numbers are those of a factor of 3."""
    updates = np.array([[-4, -7, 1, 3], [-1, -4, 2, -1], [0.1, -2, 3, 3], [3, -1, 4, 3]])
    low, high = beyond(updates, 3.0)
    assert np.allclose(low, [3, -1, 1 / 3, -3])
    assert np.allclose(high, [9, -1 / 3, 1, -1])


def test_fang_goes_beyond_the_honest_values_on_both_sides():
    """NDSS21's code masks both branches with `deviation > 0`: half of the coordinates are then not attacked."""
    seen = context()
    rows = craft(FangTrimmed(), seen)
    sign = np.sign(HONEST.mean(axis=0))
    assert (sign < 0).any()
    assert (rows[:, sign > 0] <= HONEST.min(axis=0)[sign > 0]).all()
    assert (rows[:, sign < 0] >= HONEST.max(axis=0)[sign < 0]).all()
    partial = craft(FangTrimmed(knowledge="colluding"), context(honest=None, own=HONEST[:3], f=3))
    middle, spread = HONEST[:3].mean(axis=0), HONEST[:3].std(axis=0)
    away = (middle - partial) * np.sign(middle)
    assert ((away >= 3 * spread - 1e-9) & (away <= 4 * spread + 1e-9)).all()


def test_fang_makes_krum_pick_an_attacker_and_one_step_more_would_not():
    rng = np.random.default_rng(0)
    honest = np.rint(2 + rng.normal(0, 12, (9, 40)))
    rows = craft(FangKrum(), context(honest=honest, n=12, f=3))
    codes = np.concatenate([quantize_rows(honest), quantize_rows(rows)])
    assert picked(codes, 3) >= 9
    assert rows.sum() < 0, "against the honest direction"
    farther = np.concatenate([quantize_rows(honest), quantize_rows(8 * rows)])
    assert picked(farther, 3) < 9


def picked(codes, f):
    aggregate, _ = Krum(f=f).apply(UpdateBatch.from_rows(codes), None, rng=np.random.default_rng(0))
    return int(np.flatnonzero(aggregate.diagnostics.kept)[0])


def test_the_line_search_does_at_least_the_harm_of_byzfl_s():
    """ByzFL, X3 behind NNM(1), Clipping(2), TrMean(1): factors .687194767 (IPM) and 2.97328372 (ALIE), 20 evaluations."""

    def defence(row):
        rows = np.vstack([X3, row])
        distances = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
        mixed = np.array([rows[np.argsort(d, kind="stable")[:3]].mean(axis=0) for d in distances])
        mixed = mixed * np.minimum(1, 2 / np.linalg.norm(mixed, axis=1, keepdims=True))
        return float(np.linalg.norm(np.sort(mixed, axis=0)[1:3].mean(axis=0) - X3.mean(axis=0)))

    mean, std = X3.mean(axis=0), X3.std(axis=0, ddof=1)
    assert np.allclose(-0.687194767 * mean, [-2.74877907, -3.43597384, -4.1231686], atol=1e-6)
    assert np.allclose(mean + 2.97328372 * std, [12.91985116, 13.91985116, 14.91985116], atol=1e-6)
    for along, theirs in ((lambda t: -t * mean, 0.687194767), (lambda t: mean + t * std, 2.97328372)):
        search = byzfl_search(lambda t, along=along: defence(along(t)))
        assert np.isclose(search, theirs, rtol=1e-8, atol=0), "what stands for ByzFL's search below is ByzFL's"
        ours = maximise(lambda t, along=along: defence(along(t)))
        assert defence(along(ours)) >= defence(along(theirs))


@pytest.mark.parametrize("rule", [Krum(f=3), Bulyan(f=3)], ids=lambda rule: rule.name)
def test_the_search_is_not_caught_on_the_plateau_where_a_rule_picks_an_honest_row(rule):
    """Against a scan of 120 factors. ByzFL's schedule, written down here, ends on the plateau."""
    rng = np.random.default_rng(1)
    ours, theirs = [], []
    for _ in range(12):
        middle = rng.normal(0, rng.uniform(1, 12), 40)
        honest = np.rint(middle + rng.normal(0, rng.uniform(1, 12), (12, 40)))
        mean, std = honest.mean(axis=0), honest.std(axis=0, ddof=1)

        def harm(z, honest=honest, mean=mean, std=std):
            codes = quantize_rows(np.vstack([honest, np.tile(mean + z * std, (3, 1))]))
            aggregate, _ = rule.apply(UpdateBatch.from_rows(codes), None, rng=np.random.default_rng(0))
            return float(np.linalg.norm(aggregate.values - mean))

        reachable = max(harm(z) for z in [*np.linspace(0, 4, 81), *np.linspace(4, 80, 39)])
        ours.append(harm(maximise(harm)) / reachable)
        theirs.append(harm(byzfl_search(harm)) / reachable)
    assert np.mean(ours) > 0.95
    assert np.mean(theirs) < 0.75


def byzfl_search(value):
    """20 evaluations, first step 10, doubled while it helps, then times .8 each; always upwards from the best."""
    best, most, step, growing = 0.0, value(0.0), 10.0, True
    for _ in range(19):
        found = value(best + step)
        better = found > most
        if better:
            best, most = best + step, found
        growing = growing and better
        step *= 2 if growing else 0.8
    return best


def test_a_search_evaluates_as_often_as_it_was_told():
    for evaluations in (1, 2, 5, 9, 10, 32):
        for shape in (lambda x: -abs(x - 3), lambda x: x, lambda x: 0.0, lambda x: -x):
            looks = []
            maximise(lambda x, shape=shape, looks=looks: looks.append(x) or shape(x), evaluations)
            assert len(looks) == evaluations
            assert min(looks) == 0


@pytest.mark.parametrize("attack", [OptimalALIE(), OptimalIPM(), AGRTailored()])
@pytest.mark.parametrize("rule", [Median(), TrimmedMean(f=2), Krum(f=2)], ids=lambda rule: rule.name)
def test_an_attack_with_the_defence_in_the_loop_harms_more_than_the_mean_would(attack, rule):
    rng = np.random.default_rng(1)
    honest = np.rint(6 + rng.normal(0, 10, (7, 60)))
    rows = craft(attack, context(honest=honest, n=9, f=2, defence=rule), defence_known=True)

    def moved(rows):
        batch = UpdateBatch.from_rows(np.concatenate([quantize_rows(honest), quantize_rows(rows)]))
        aggregate, _ = rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(0))
        return np.linalg.norm(aggregate.values - honest.mean(axis=0))

    assert moved(rows) > moved(np.tile(honest.mean(axis=0), (2, 1)))


def test_gaussian_is_byzpy_s():
    """ByzPy GaussianAttack(mu=0, sigma=1, seed=0), d = 3: `np.random.default_rng(0).normal(0, 1, 3)`."""
    rows = craft(Gaussian(sigma=1.0), context(own=np.zeros((1, 3)), f=1))
    assert np.array_equal(rows[0], np.random.default_rng(0).normal(0, 1, 3))


def test_mimic_copies_an_honest_client_only():
    """ByzPy Mimic(epsilon=1) returns honest[1]; FLPoison's choice 0 may be an attacker: here the honest rows alone are seen."""
    assert craft(Mimic(client=1), context()).tolist() == [HONEST[1].tolist()] * 2
    spread = craft(Mimic(choose="spread"), context())
    assert spread[0].tolist() in HONEST.tolist()
