"""The attacks of the literature against numbers that others computed, and against their own constraints on the grid."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import AGGREGATORS, Krum
from byzantiny.attacks import ATTACKS, AttackContext, AttackError, craft
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.search import maximise
from byzantiny.preaggregators import NNM
from byzantiny.updates import UpdateBatch, quantize_rows
from byzantiny_models.networks import NETWORKS, initial_model

X3 = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
X7 = np.array(
    [
        [10, -3, 7, 0, 25],
        [12, -5, 9, 1, 22],
        [9, -4, 6, -2, 27],
        [11, -2, 8, 3, 24],
        [13, -6, 10, -1, 21],
        [-40, 60, -80, 100, -120],
        [-38, 63, -77, 97, -118],
    ]
)
HONEST = X7[:5]


def context(**fields):
    return AttackContext(**({"honest": HONEST, "n": 7, "f": 2, "rng": np.random.default_rng(0)} | fields))


# (attack, direction, threshold, honest rows, expected): FLPoison (= NDSS21 for Min-Max) and NDSS21's code, run on these rows
NDSS = [
    ("min-max", "unit", None, X3, [1.61581975, 2.01977469, 2.42372962]),
    ("min-max", "sign", None, X3, [1.0000076, 2.0000076, 3.0000076]),
    ("min-max", "std", None, X3, [1.00004, 2.00004, 3.00004]),
    ("min-max", "unit", None, HONEST, [8.68360116, -3.15767315, 6.3153463, 0.15788366, 18.78815524]),
    ("min-max", "sign", None, HONEST, [8.15902328, -1.15902328, 5.15902328, -2.64097672, 20.95902328]),
    ("min-max", "std", None, HONEST, [8.72123791, -6.27876209, 5.72123791, -2.57223373, 20.3591447]),
    ("min-sum", "unit", "max", X3, [1.63137421, 2.03921777, 2.44706132]),
    ("min-sum", "unit", "max", HONEST, [9.0924496, -3.30634531, 6.61269062, 0.16531727, 19.67275459]),
    ("min-sum", "sign", "max", HONEST, [8.85152435, -1.85152435, 5.85152435, -1.94847565, 21.65152435]),
    ("min-sum", "std", "max", HONEST, [9.15225519, -5.84774481, 6.15225519, -2.04787858, 21.00996652]),
    ("min-sum", "unit", "min", X3, [4, 5, 6]),
    ("min-sum", "unit", "min", HONEST, [10.159583, -3.6943939, 7.3887877, 0.1847197, 21.981642]),
    ("min-sum", "sign", "min", HONEST, [10.05344, -3.05344, 7.05344, -0.7465599, 22.85344]),
    ("min-sum", "std", "min", HONEST, [10.185949, -4.81405, 7.18595, -0.79033494, 22.57081]),
]


@pytest.mark.parametrize(("name", "direction", "threshold", "honest", "expected"), NDSS)
def test_min_max_and_min_sum_are_the_authors(name, direction, threshold, honest, expected):
    """They stop their search 1e-5 short of the root in gamma, which is up to 4e-5 of a coordinate here."""
    choice = {} if threshold is None else {"threshold": threshold}
    attack = ATTACKS[name](direction=direction, lattice=False, **choice)
    n, f = len(honest) + 2, 2
    assert np.allclose(craft(attack, context(honest=honest, n=n, f=f)), [expected] * f, rtol=0, atol=6e-5)


def test_the_peers_two_deviations_are_a_parameter():
    """FLPoison divides by m, NDSS21's torch by m - 1: the direction is as long, so gamma makes up for it."""
    one, two = (craft(ATTACKS["min-max"](direction="std", lattice=False, ddof=ddof), context()) for ddof in (0, 1))
    assert np.allclose(one, two, rtol=0, atol=1e-9)


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(2, 6), st.integers(1, 8)), elements=st.integers(-127, 127)),
    st.sampled_from(["min-max", "min-sum"]),
    st.sampled_from(["unit", "sign", "std"]),
)
def test_what_is_sent_keeps_the_constraint_after_rounding(honest, name, direction):
    attack = ATTACKS[name](direction=direction)
    asked = context(honest=honest, n=len(honest) + 1, f=1)
    row = craft(attack, asked)
    codes = quantize_rows(row)
    assert np.array_equal(codes, row)
    squared = ((codes[0].astype(int) - honest.astype(int)) ** 2).sum(axis=1)
    pairs = ((honest[:, None].astype(int) - honest[None].astype(int)) ** 2).sum(axis=2)
    assert squared.max() <= pairs.max() if name == "min-max" else squared.sum() <= pairs.sum(axis=1).max()
    assert attack.kept(asked, codes).all()


def test_rounding_the_real_solution_would_break_the_constraint():
    """Why the lattice is searched: of 200 draws many real solutions leave the radius when they are rounded."""
    rng, broken = np.random.default_rng(3), 0
    attack = ATTACKS["min-max"](lattice=False, direction="sign")
    for _ in range(200):
        asked = context(honest=rng.integers(-3, 4, (5, 20)))
        broken += not attack.kept(asked, quantize_rows(craft(attack, asked))).all()
    assert broken > 40


def test_fang_s_bounds_are_those_of_blades_test():
    """Blades test_adaptive_attack.py; its code widens by b + 1 for b = 2, which is b = 3 of the paper's formula."""
    rows = np.array([[-4, -7, 1, 3], [-1, -4, 2, -1], [0.1, -2, 3, 3], [3, -1, 4, 3]])
    low, high = ATTACKS["fang-trim"](b=3.0).bounds(rows)
    assert np.allclose(low, [3, -1, 1 / 3, -3])
    assert np.allclose(high, [9, -1 / 3, 1, -1])
    crafted = craft(ATTACKS["fang-trim"](b=3.0), context(honest=rows, n=5, f=1))
    assert ((low <= crafted) & (crafted <= high)).all()


def test_both_sides_of_fang_s_attack_have_their_own_condition():
    """NDSS21's code masks both with `deviation > 0`; there a negative coordinate is left alone."""
    low, high = ATTACKS["fang-trim"]().bounds(HONEST.astype(float))
    assert (high[1] > HONEST[:, 1].max()) or (low[1] >= HONEST[:, 1].max())
    assert high[0] <= HONEST[:, 0].min()


def test_partial_knowledge_draws_between_three_and_four_deviations():
    rows = craft(ATTACKS["fang-trim"](knowledge="colluding"), context(honest=None, own=HONEST, f=5))
    middle, std = HONEST.mean(axis=0), HONEST.std(axis=0)
    away = np.abs(rows - middle) / std
    assert ((away >= 3 - 1e-9) & (away <= 4 + 1e-9)).all()
    assert (np.sign(rows - middle) == -np.sign(middle)).all()


def test_fang_s_krum_attack_gets_krum_to_pick_an_attacker():
    rng = np.random.default_rng(5)
    honest = np.rint(rng.normal(1, 6, (10, 40)))
    row = craft(ATTACKS["fang-krum"](), context(honest=honest, n=14, f=4))
    codes = quantize_rows(np.concatenate([honest, row]))
    aggregate, _ = Krum(f=4).apply(UpdateBatch.from_rows(codes), None, np.random.default_rng(0))
    assert aggregate.diagnostics.kept[10:].any()
    assert (np.sign(row) == -np.sign(honest.mean(axis=0))).all()


def test_fang_s_krum_attack_refuses_where_the_paper_has_no_bound():
    with pytest.raises(AttackError, match=r"fang-krum with n = 5, f = 2: the bound needs n > 2f \+ 1"):
        craft(ATTACKS["fang-krum"](), context(n=5))


def test_the_line_search_finds_byzfl_s_strengths():
    """ByzFL docstrings of its two optimised attacks, on X3 against NNM, clipping at 2 and the trimmed mean, f = 1."""
    middle, std = X3.mean(axis=0), X3.std(axis=0, ddof=1)

    def moved(row):
        batch = UpdateBatch.from_rows(np.concatenate([X3, row[None]]).astype(np.float64))
        mixed = NNM(f=1).apply(batch, None, np.random.default_rng(0))[0].rows
        clipped = mixed * np.minimum(1, 2.0 / np.linalg.norm(mixed, axis=1))[:, None]
        rule = AGGREGATORS["trimmed-mean"](f=1)
        found = rule.apply(UpdateBatch.from_rows(clipped), None, np.random.default_rng(0))[0].values
        return float(np.linalg.norm(found - middle))

    epsilon = maximise(lambda e: moved(-e * middle))
    z = maximise(lambda z: moved(middle + z * std))
    assert np.allclose(-epsilon * middle, [-2.74877907, -3.43597384, -4.1231686], rtol=0, atol=1e-6)
    assert np.allclose(middle + z * std, [12.91985116, 13.91985116, 14.91985116], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["optimal-alie", "optimal-ipm", "agr-tailored"])
def test_an_attack_in_the_loop_moves_the_defence_at_least_as_far_as_its_fixed_cousins(name):
    rng = np.random.default_rng(11)
    honest = np.rint(rng.normal(6, 5, (10, 30)))
    for rule in (AGGREGATORS["median"](f=3), AGGREGATORS["trimmed-mean"](f=3)):
        asked = context(honest=honest, n=13, f=3, defence=rule)

        def harm(rows, rule=rule):
            codes = quantize_rows(np.concatenate([honest, rows]))
            return np.linalg.norm(rule.apply(UpdateBatch.from_rows(codes), None, rng)[0].values - honest.mean(axis=0))

        best = harm(craft(ATTACKS[name](), asked, defence_known=True))
        cousin = {"optimal-alie": ATTACKS["alie"](z=0.5), "optimal-ipm": ATTACKS["ipm"](epsilon=0.1)}
        fixed = craft(cousin.get(name, ATTACKS["min-sum"](lattice=False)), asked)
        for weaker in (np.tile(honest.mean(axis=0), (3, 1)), fixed):
            assert best >= harm(weaker)
    with pytest.raises(AttackError, match=f"{name} needs `defence`"):
        craft(ATTACKS[name](), asked)


def test_mpaf_s_rows_lead_from_the_model_to_the_base():
    network = NETWORKS["mlp-64-32-10"]
    shifts = network.layout.default_shifts(6)
    model = initial_model(network, 1)
    asked = context(honest=None, model=model, layout=network.layout, shifts=shifts, network=network, campaign=1)
    row = craft(ATTACKS["mpaf"](scale=1.0), asked)[0]
    step = np.repeat(np.ldexp(1.0, np.array(shifts)), [t.elements for t in network.layout.tensors])
    base = model + row * step
    assert np.array_equal(base, np.rint(base))
    assert not np.array_equal(base, model)
    again = craft(ATTACKS["mpaf"](scale=1.0), replace(asked, model=base.astype(np.int32)))
    assert not again.any()  # the base pulls no further


def test_poisoned_fl_keeps_its_signs_over_the_rounds_and_grows_with_the_models_steps():
    network = NETWORKS["mlp-64-32-10"]
    rng = np.random.default_rng(2)
    models = [np.zeros(network.layout.d, np.int32)]
    attack, signs, lengths = ATTACKS["poisoned-fl"](), [], []
    for t in range(1, 6):
        models.append(models[-1] + rng.integers(-200 * t, 201 * t, network.layout.d).astype(np.int32))
        asked = context(
            honest=None, model=models[-1], history=models[:-1], layout=network.layout,
            shifts=network.layout.default_shifts(6), campaign=9,
        )  # fmt: skip
        row = craft(attack, asked)[0]
        signs.append(np.sign(row))
        lengths.append(np.linalg.norm(row))
        moved = (models[-1] - models[-2]) / asked.step("test")
        assert math.isclose(lengths[-1], 8.0 * np.linalg.norm(moved), rel_tol=1e-9)
    both = [np.where(a * b != 0, a == b, True).all() for a, b in pairwise(signs)]
    assert all(both)
    assert lengths == sorted(lengths)


def test_mimic_sends_what_byzfl_s_and_byzpy_s_do():
    """ByzFL Mimic(0) on X3: [1,2,3]; ByzPy Mimic(epsilon=1): honest[1]."""
    assert craft(ATTACKS["mimic"](victim=0), context(honest=X3, n=4, f=1)).tolist() == [[1, 2, 3]]
    assert craft(ATTACKS["mimic"](victim=1), context()).tolist() == [HONEST[1].tolist()] * 2
    with pytest.raises(AttackError, match="victim 5 of 5 honest updates"):
        craft(ATTACKS["mimic"](victim=5), context())


def test_gaussian_is_byzpy_s_draw():
    """ByzPy Gaussian(0, 1, seed 0), d = 3: `np.random.default_rng(0).normal(0, 1, 3)`."""
    row = craft(ATTACKS["gaussian"](sigma=1.0), context(own=np.zeros((1, 3)), n=4, f=1))[0]
    assert row.tolist() == np.random.default_rng(0).normal(0, 1, 3).tolist()


def test_directed_rounding_stays_within_what_an_honest_rounding_could_emit_and_turns_a_median():
    rng = np.random.default_rng(4)
    true = rng.uniform(0.05, 0.95, 500)
    honest = (rng.random((9, 500)) < true).astype(np.int8)
    own = (rng.random((4, 500)) < true).astype(np.int8)
    asked = context(honest=None, own=own, n=13, f=4)
    codes = quantize_rows(craft(ATTACKS["directed-rounding"](), asked))
    assert (np.abs(codes.astype(int) - own) <= 1).all()
    assert ATTACKS["directed-rounding"]().kept(asked, codes).all()
    median = AGGREGATORS["median"](f=4)
    clean, _ = median.apply(UpdateBatch.from_rows(np.concatenate([honest, own])), None, rng)
    turned, _ = median.apply(UpdateBatch.from_rows(np.concatenate([honest, codes])), None, rng)
    assert turned.values.sum() < 0.7 * clean.values.sum()


def test_low_bit_collapse_stops_the_median_wherever_f_votes_can():
    rng = np.random.default_rng(6)
    honest = rng.choice(np.array([-1, 0, 1, 1], dtype=np.int8), (9, 400))
    row = craft(ATTACKS["low-bit-collapse"](), context(honest=honest, n=13, f=4))
    codes = np.concatenate([honest, quantize_rows(row)])
    median = AGGREGATORS["median"](f=4).apply(UpdateBatch.from_rows(codes), None, rng)[0].values
    for j in np.flatnonzero(median):
        could = (np.sort([*honest[:, j].tolist(), *[lie] * 4])[6] == 0 for lie in (-127, 0, 127))
        assert not any(could)


def test_saturation_pinning_uses_the_bound_and_keeps_it():
    rng = np.random.default_rng(8)
    own = rng.integers(-20, 21, (3, 300))
    asked = context(honest=None, own=own, n=9, f=3, l2_bound=600)
    rows = craft(ATTACKS["saturation-pinning"](share=1.0), asked)
    assert (np.linalg.norm(rows, axis=1) <= 600).all()
    assert (np.count_nonzero(np.abs(rows) == 127, axis=1) >= 15).all()


def test_a_row_on_the_grid_is_within_the_bound_and_in_its_direction():
    rng = np.random.default_rng(9)
    for _ in range(50):
        row = rng.normal(0, 40, 60)
        codes = on_grid(context(l2_bound=100), row)
        assert np.linalg.norm(codes) <= 100
        assert codes @ row / np.linalg.norm(codes) / np.linalg.norm(row) > 0.98


def test_drift_mimicry_is_no_odder_than_an_honest_client():
    rng = np.random.default_rng(10)
    honest = np.rint(rng.normal(rng.normal(0, 4, 50), 5, (9, 50)))
    for quantile in (0.5, 1.0):
        attack = ATTACKS["drift-mimicry"](quantile=quantile)
        asked = context(honest=honest, n=11, f=2)
        codes = quantize_rows(craft(attack, asked))
        assert attack.kept(asked, codes).all()
        middle = honest.mean(axis=0)
        assert codes[0] @ middle <= max(row @ middle for row in honest)
        assert (codes >= honest.min(axis=0)).all()
        assert (codes <= honest.max(axis=0)).all()
