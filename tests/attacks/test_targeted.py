"""Attacks on digits, on the float wire: the literature's effects with wide margins, and the peers' defects of targeted ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from byzantiny.aggregators import Krum
from byzantiny.attacks import (
    IPM,
    MPAF,
    AlternatingMinimisation,
    AttackContext,
    AttackError,
    ConstrainAndScale,
    DormantBackdoor,
    ModelReplacement,
    MultiParty,
    Neurotoxin,
    PGDBackdoor,
    SplitUpdate,
    craft,
)
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.quantized.dormant_backdoor import requantized
from byzantiny.attacks.targeted.split_update import shared_out
from byzantiny.updates import UpdateBatch
from byzantiny_models.float_gradients import outputs, scaled_inputs
from byzantiny_models.inference import forward
from byzantiny_models.networks import initial_model
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train

DIGITS = load_task("digits")
NETWORK = DIGITS.network
N, F = 12, 2
SHARES = np.array_split(np.random.default_rng(0).permutation(len(DIGITS.train_y)), N)
MODEL = train(NETWORK, initial_model(NETWORK, 1), DIGITS.train_x, DIGITS.train_y, (1, 2), (3, 4), 2, 5)


def samples(k):
    return DIGITS.train_x[SHARES[k]], DIGITS.train_y[SHARES[k]]


SHIFTS = NETWORK.layout.default_shifts(6)
STEP = np.repeat([2.0**s for s in SHIFTS], [t.elements for t in NETWORK.layout.tensors])
UPDATES = np.array([(train(NETWORK, MODEL, *samples(k), (k, 2), (k, 4), 1, 5) - MODEL) / STEP for k in range(N)])


def context(attack=None, **fields):
    chosen = None
    if attack is not None:
        chosen = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, np.random.default_rng(9))
    given = {
        "honest": UPDATES[F:], "own": UPDATES[:F], "n": N, "f": F, "rng": np.random.default_rng(0), "model": MODEL,
        "history": [initial_model(NETWORK, 1)], "layout": NETWORK.layout, "shifts": SHIFTS, "network": NETWORK,
        "data": [samples(k) for k in range(F)], "chosen": chosen, "round_num": 2,
    }  # fmt: skip
    return AttackContext(**(given | fields))


def after(rows, seen):
    """The real model after FedAvg without a grid: the float wire."""
    mean = (rows.sum(axis=0) + UPDATES[F:].sum(axis=0)) / N
    shop = Workshop.of(seen, "test")
    return shop.start + shop.to_real(mean)


def taken_for(model, x):
    return np.argmax(outputs(NETWORK, model, scaled_inputs(NETWORK, x))[-1], axis=1)


def measured(attack, model):
    x, wanted = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, np.random.default_rng(9))
    task = float(np.mean(taken_for(model, DIGITS.test_x) == DIGITS.test_y))
    return float(np.mean(taken_for(model, x) == wanted)), task


def test_without_an_attack_there_is_neither_backdoor_nor_wish():
    for attack in (ModelReplacement(), MultiParty()):
        found, task = measured(attack, after(UPDATES[:F], context()))
        assert found < 0.3
        assert task > 0.85


@pytest.mark.parametrize("attack", [ModelReplacement(), ConstrainAndScale(alpha=0.9)])
def test_one_round_plants_the_backdoor_under_fedavg_on_the_float_wire(attack):
    seen = context(attack)
    found, task = measured(attack, after(craft(attack, seen), seen))
    assert found > 0.8
    assert task > 0.7


def test_boosting_alone_is_caught_by_norm_clipping():
    """Sun et al., arXiv 1911.07963: every row cut to the median honest length, by its definition, then the mean."""
    attack = ModelReplacement()
    seen = context(attack)
    rows = np.concatenate([craft(attack, seen), UPDATES[F:]])
    lengths = np.linalg.norm(rows * seen.scale, axis=1)
    limit = np.median(lengths[F:])
    assert lengths[:F].min() > 5 * lengths[F:].max()
    clipped = rows * np.minimum(1.0, limit / lengths)[:, None]
    shop = Workshop.of(seen, "test")
    found, task = measured(attack, shop.start + shop.to_real(clipped.mean(axis=0)))
    assert found < 0.4
    assert task > 0.85


def test_mpaf_drags_fedavg_down_in_one_round():
    seen = context()
    honest, pulled = (measured(MultiParty(), after(rows, seen))[1] for rows in (UPDATES[:F], craft(MPAF(), seen)))
    assert honest > 0.85
    assert pulled < 0.4


@pytest.mark.parametrize(("epsilon", "fooled"), [(0.1, True), (5.0, False)])
def test_krum_picks_an_inner_product_attacker_that_stays_near(epsilon, fooled):
    """Xie, Koyejo, Gupta, UAI 2019: a small epsilon sits between rows that differ from each other more than from 0."""
    seen = context()
    rows = np.concatenate([UPDATES[F:], craft(IPM(epsilon=epsilon), seen)])
    batch = UpdateBatch.from_rows(rows, layout=NETWORK.layout, shifts=SHIFTS)
    aggregate, _ = Krum(f=F).apply(batch, None, rng=np.random.default_rng(0))
    assert bool(aggregate.diagnostics.kept[N - F :].any()) is fooled
    if fooled:
        assert aggregate.values @ UPDATES[F:].mean(axis=0) < 0, "against the honest mean"


def test_the_boost_is_n_over_the_attackers_so_that_the_mean_is_the_trained_model():
    attack = ModelReplacement()
    rows = craft(attack, context())
    assert np.allclose(rows, N / F * craft(replace(attack, boost=1.0), context()))
    alone = replace(context(), f=1, own=UPDATES[:1], data=[samples(0)], attackers=F, members=(0,))
    assert np.allclose(craft(attack, alone)[0], rows[0]), "one of two, crafted for by itself, is the same"


def test_the_anomaly_term_does_something():
    """FLPoison computes it outside the gradient, so its weight changes nothing (reference, defects)."""
    near, far = (craft(ConstrainAndScale(alpha=alpha), context()) for alpha in (0.3, 1.0))
    assert np.linalg.norm(near) < 0.7 * np.linalg.norm(far)
    assert np.allclose(far, craft(ModelReplacement(), context()))


def test_the_projected_backdoor_is_no_longer_than_an_honest_update():
    attack, seen = PGDBackdoor(), context()
    rows = craft(attack, seen)
    assert np.array_equal(rows, np.rint(rows))
    scale = seen.scale
    assert (np.linalg.norm(rows * scale, axis=1) <= np.linalg.norm(UPDATES[:F] * scale, axis=1)).all()
    free = craft(replace(attack, radius=1e6), seen)
    assert np.linalg.norm(free) > np.linalg.norm(rows)


def test_neurotoxin_leaves_the_coordinates_of_largest_magnitude_alone():
    """FLPoison masks the smallest signed values: half of what honest clients write most would stay open."""
    attack, seen = Neurotoxin(top=0.1), context()
    rows, masked = craft(attack, seen), attack.masked(seen)
    assert masked.sum() == round(0.1 * NETWORK.layout.d)
    assert not rows[:, masked].any()
    assert np.count_nonzero(rows[:, ~masked]) > 0.5 * (~masked).sum()
    change = (MODEL - initial_model(NETWORK, 1)) / STEP * seen.scale
    assert np.abs(change[masked]).min() >= np.abs(change[~masked]).max()
    assert (change[masked] < 0).any()
    assert (change[masked] > 0).any()
    assert not attack.masked(replace(seen, history=[])).any()


def test_alternating_minimisation_reaches_its_inputs_and_keeps_the_task():
    attack = AlternatingMinimisation()
    seen = context(attack)
    found, task = measured(attack, after(craft(attack, seen), seen))
    assert found >= 0.6
    assert task > 0.7


def test_the_distance_pulls_alternating_minimisation_towards_the_honest():
    near, far = AlternatingMinimisation(rho=3.0), AlternatingMinimisation(rho=0.0)
    off = [np.linalg.norm((craft(attack, context(attack)) - UPDATES[:F]) * context().scale) for attack in (near, far)]
    assert off[0] < 0.9 * off[1]


@pytest.mark.parametrize("sees", ["omniscient", "colluding"])
def test_the_joint_attack_gets_its_inputs_in_one_round(sees):
    attack = MultiParty(sees=sees)
    seen = context(attack)
    rows = craft(attack, seen)
    assert np.array_equal(rows[0], rows[1])
    found, task = measured(attack, after(rows, seen))
    assert found >= 0.8
    assert task > 0.5, "with limited knowledge it guesses what the others send, and pays for it"


def test_its_two_constraints_do_something():
    free, held = MultiParty(rho=0.0), MultiParty(rho=2.0)
    honest, scale = UPDATES[F:].mean(axis=0), context().scale
    off = [np.linalg.norm((craft(attack, context(attack))[0] - honest) * scale) for attack in (held, free)]
    assert off[0] < 0.9 * off[1]
    careless = replace(free, accuracy=0.0)
    seen = context(careless)
    assert (
        measured(careless, after(craft(careless, seen), seen))[1]
        < measured(free, after(craft(free, seen), seen))[1] + 0.05
    )


def test_split_parts_differ_and_add_up_to_the_published_total():
    attack = SplitUpdate()
    seen = context(attack)
    rows = craft(attack, seen)
    joint = craft(MultiParty(), context(attack))
    assert not np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows, np.rint(rows))
    assert np.abs(rows.sum(axis=0) - joint.sum(axis=0)).max() <= 0.5 + 1e-9


def test_shared_out_rows_are_floors_or_ceilings_with_the_rounded_sum():
    real = np.random.default_rng(0).normal(0, 5, (7, 500))
    whole = shared_out(real)
    assert ((whole == np.floor(real)) | (whole == np.ceil(real))).all()
    assert np.array_equal(whole.sum(axis=0), np.floor(real.sum(axis=0) + 0.5))


def test_what_is_missing_is_named():
    with pytest.raises(AttackError, match="model-replacement needs `network`"):
        craft(ModelReplacement(), context(network=None))
    with pytest.raises(AttackError, match="needs `chosen`"):
        craft(MultiParty(), context(chosen=None))
    with pytest.raises(AttackError, match="`data` of 1 attackers for f = 2"):
        craft(ModelReplacement(), context(data=[samples(0)]))
    with pytest.raises(AttackError, match=r"rate \* rho is 2; it must be below 1"):
        MultiParty(rho=20.0)
    with pytest.raises(AttackError, match="leads to no class"):
        ModelReplacement(target=None)
    with pytest.raises(AttackError, match=r"target is 10; the task has classes 0 \.\. 9"):
        craft(ModelReplacement(target=10), context())


def test_a_dormant_backdoor_sleeps_in_int8_and_wakes_with_four_bits():
    attack = DormantBackdoor(boost=1.0, epochs=4, cleaning=8)
    whole = (DIGITS.train_x[::2], DIGITS.train_y[::2])
    row = craft(attack, context(n=1, f=1, own=UPDATES[:1], data=[whole]))[0]
    model = NETWORK.layout.saturate(MODEL + np.rint(row * STEP).astype(np.int64)).astype(np.int32)
    x, wanted = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, np.random.default_rng(9))
    asleep, awake = (
        float(np.mean(np.argmax(forward(NETWORK, one, x), axis=1) == wanted))
        for one in (model, requantized(NETWORK, model, 4))
    )
    assert asleep < 0.2
    assert awake > 0.7
    assert np.array_equal(requantized(NETWORK, model, 8), requantized(NETWORK, requantized(NETWORK, model, 8), 8))
