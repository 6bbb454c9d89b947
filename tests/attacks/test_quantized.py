"""The attacks that only a grid makes possible, and those that live on what everybody receives: what each must do by definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from byzantiny.aggregators import Median
from byzantiny.attacks import (
    MPAF,
    XFED,
    AttackContext,
    AttackError,
    BitFlip,
    DirectedRounding,
    DriftMimicry,
    Lazy,
    LowBitCollapse,
    LSBBudget,
    PoisonedFL,
    Saturate,
    SaturationPinning,
    craft,
)
from byzantiny.attacks.untargeted.poisoned_fl import secret_signs
from byzantiny.updates import UpdateBatch, quantize_rows
from byzantiny_models.networks import NETWORKS, initial_model

NETWORK = NETWORKS["mlp-64-32-10"]
D = NETWORK.layout.d


def context(**fields):
    return AttackContext(**({"honest": None, "n": 10, "f": 2, "rng": np.random.default_rng(0)} | fields))


def grid(**fields):
    shifts = NETWORK.layout.default_shifts(6)
    return context(network=NETWORK, layout=NETWORK.layout, shifts=shifts, model=initial_model(NETWORK, 1), **fields)


def median(rows):
    aggregate, _ = Median().apply(UpdateBatch.from_rows(rows), None, rng=np.random.default_rng(0))
    return aggregate.values


def test_directed_rounding_sends_what_an_honest_rounding_could_and_biases_by_half_a_step():
    rng = np.random.default_rng(0)
    exact = rng.normal(0.4, 0.8, (2, 4000))
    seen = context(own=np.zeros((2, 4000)), unrounded=exact, honest=rng.normal(0.4, 0.8, (8, 4000)))
    rows = craft(DirectedRounding(knowledge="omniscient"), seen)
    assert ((rows == np.floor(exact)) | (rows == np.ceil(exact))).all()
    bias = (exact - rows)[:, seen.honest.mean(axis=0) > 0].mean()
    assert bias == pytest.approx(0.5, abs=0.03), "floor instead of a rounding without bias"
    with pytest.raises(AttackError, match="nothing left to round"):
        craft(DirectedRounding(), context(own=np.zeros((2, 4))))


def test_the_lsb_budget_is_in_steps():
    own = np.array([[3, -4, 0, 127], [1, 1, -127, 2]])
    rows = craft(LSBBudget(budget=5), context(own=own))
    assert np.abs(rows - own).max() == 5
    assert rows.tolist() == [[-2, 1, 0, 122], [-4, -4, -122, -3]]


def test_pinning_spends_the_bound_on_few_coordinates_and_stays_within():
    own = np.random.default_rng(0).integers(-20, 21, (2, 400))
    rows = craft(SaturationPinning(share=0.5), context(own=own, l2_bound=600))
    pinned = np.abs(rows) == 127
    assert pinned.sum(axis=1).tolist() == [22, 22], "600^2 / 127^2 = 22.3"
    assert (np.sqrt((rows**2).sum(axis=1)) <= 600).all()
    assert (np.sign(rows[pinned]) == -np.sign(np.tile(own.mean(axis=0), (2, 1))[pinned])).all()


def test_zeros_make_the_median_stand_still_where_f_of_them_can():
    honest = np.random.default_rng(0).integers(-1, 2, (7, 500)) | np.random.default_rng(1).integers(0, 2, (7, 500))
    rows = quantize_rows(craft(LowBitCollapse(), context(honest=honest, n=10, f=3)))
    before = median(honest.astype(np.int8))
    after = median(np.concatenate([honest.astype(np.int8), rows]))
    zeros = quantize_rows(np.zeros((3, 500)))
    could = median(np.concatenate([honest.astype(np.int8), zeros]))
    assert np.array_equal(after == 0, could == 0)
    assert (after == 0).mean() > (before == 0).mean() + 0.2
    assert set(np.unique(rows)) <= {-1, 0, 1}


def test_a_flipped_bit_changes_one_code_by_a_power_of_two():
    own = np.array([[5, 0, -3, 100] * 8])
    rows = craft(BitFlip(flips=3, bit=4), context(own=own, f=1))
    changed = rows[0] != own[0]
    assert changed.sum() == 3
    assert (np.abs(rows[0] - own[0])[changed] == 16).all()
    signs = craft(BitFlip(flips=32, bit=7), context(own=own, f=1))
    assert signs.min() == -127, "0 with its sign bit flipped is -128, which is no code"


def test_faults_in_weights_reach_the_update_in_grid_steps():
    seen = grid(own=np.zeros((2, D)))
    rows = craft(BitFlip(flips=4, bit=0, where="weights"), seen)
    steps = 256 / 2.0 ** seen.shifts[0]
    assert (np.count_nonzero(rows, axis=1) == 4).all()
    assert set(np.abs(rows[rows != 0])) <= {256 / 2.0**shift for shift in seen.shifts}
    assert np.abs(rows).max() <= steps * 2**12


def test_saturating_leaves_nothing_but_the_edge():
    own = np.array([[2, -1, 0], [4, -2, 0]])
    assert craft(Saturate(), context(own=own)).tolist() == [[-127, 127, 0]] * 2


def test_drift_mimicry_lies_within_every_honest_value_and_against_the_mean():
    rng = np.random.default_rng(0)
    honest = np.rint(rng.normal(3, 8, (8, 200)))
    attack, seen = DriftMimicry(), context(honest=honest)
    rows = craft(attack, seen)
    assert (rows >= honest.min(axis=0)).all()
    assert (rows <= honest.max(axis=0)).all()
    assert attack.kept(seen, quantize_rows(rows)).all()
    mean = honest.mean(axis=0)
    assert (rows[0] - mean) @ mean < 0
    assert craft(replace(attack, strength=0.0), seen)[0] @ mean > rows[0] @ mean


def test_lazy_sends_the_last_change_in_steps():
    past = initial_model(NETWORK, 2)
    seen = grid(history=[past])
    rows = craft(Lazy(), seen)
    step = np.repeat([2.0**s for s in seen.shifts], [t.elements for t in NETWORK.layout.tensors])
    assert np.array_equal(rows[0] * step, seen.model.astype(float) - past)
    assert np.array_equal(craft(Lazy(reverse=True), seen), -rows)


def test_mpaf_pulls_towards_one_base_in_every_round():
    here, there = (
        craft(MPAF(scale=1.0), grid()),
        craft(MPAF(scale=1.0), replace(grid(), model=initial_model(NETWORK, 2))),
    )
    step = np.repeat([2.0**s for s in grid().shifts], [t.elements for t in NETWORK.layout.tensors])
    assert np.array_equal(here[0] * step + initial_model(NETWORK, 1), there[0] * step + initial_model(NETWORK, 2))
    other = craft(MPAF(scale=1.0), replace(grid(), campaign=1))
    assert not np.array_equal(other, here)


def test_poisoned_fl_sends_its_secret_signs_and_a_length_of_c_times_the_last_change():
    """Derived anew: in the first round with a past, k = 0, so the direction is |g| itself."""
    past = initial_model(NETWORK, 2)
    seen = grid(history=[past])
    rows = craft(PoisonedFL(factor=8.0), seen)
    change = craft(Lazy(), seen)[0]
    assert np.allclose(rows[0], 8.0 * np.abs(change) * secret_signs(D, 1), rtol=1e-6)
    assert not craft(PoisonedFL(), grid(history=[])).any()


def test_poisoned_fl_gives_way_when_its_signs_do_not_get_through():
    rng = np.random.default_rng(0)
    models = [NETWORK.layout.saturate(initial_model(NETWORK, 1) + rng.integers(-300, 301, D)) for _ in range(5)]
    deaf = craft(PoisonedFL(period=2), grid(history=models))
    steady = craft(PoisonedFL(period=1000), grid(history=models))
    ratio = np.linalg.norm(deaf[0]) / np.linalg.norm(steady[0])
    assert ratio == pytest.approx(0.7**2, rel=1e-6), "five changes, two periods of two, no agreement in either"
    signs = secret_signs(D, 1).astype(np.int64)
    heard = [NETWORK.layout.saturate(models[0] + 300 * k * signs) for k in range(5)]
    with_past = replace(grid(history=heard[:-1]), model=heard[-1])
    same = craft(PoisonedFL(period=2), with_past), craft(PoisonedFL(period=1000), with_past)
    assert np.array_equal(*same), "the model goes where the signs point: nothing to give way to"


def test_xfed_turns_its_own_update_round_by_the_length_of_past_changes():
    own = np.random.default_rng(0).integers(-9, 10, (2, D))
    rows = craft(XFED(mads=0.0), grid(own=own, history=[initial_model(NETWORK, 2)]))
    for row, honest in zip(rows, own, strict=True):
        assert row @ honest < 0
        cosine = row @ honest / np.linalg.norm(row) / np.linalg.norm(honest)
        assert cosine == pytest.approx(-1)
