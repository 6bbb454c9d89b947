"""The literature's effects, on a wire of floats: without box, rounding and bound, attacks do what was published of them.

Margins are wide on purpose. What the int8 wire makes of the same attacks is a finding, not a test: docs/float-and-int8.md.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.opening import Opening
from byzantiny.experiment.wires import Wire, run_on
from byzantiny_models.tasks import load_task

DIGITS = load_task("digits")
FLOAT = Wire("float", box=False, rounding="none")
CLIENTS = 20
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def experiment(rounds, rule="mean", bound="off", f=0, **attack):
    return parse_experiment(
        {
            "rounds": rounds,
            "training": {"epochs": 2},
            "clients": [{"count": CLIENTS}],
            "round": {"l2_bound": bound},
            "defence": {"pipeline": [{"name": rule}], "f_declared": f if rule == "krum" else 0},
            "attack": {"byzantine": f, "start_round": 2, **attack} if f else {},
        }
    ).base


@cache
def converged(seed):
    """A model that honest clients have trained for thirty rounds; on the int8 wire, where that takes no time."""
    return Opening(DIGITS, run_on(Wire(), experiment(30), seed, DIGITS)[0].model)


def rounds_of(seed, rounds, wire=FLOAT, watch=None, **options):
    done, _, _ = run_on(wire, experiment(rounds, **options), seed, DIGITS, opening=converged(seed), watch=watch)
    return done


@cache
def honest_norm(seed):
    """The median length of ten honest updates: those that a sign flip turns around."""
    rows = []
    rounds_of(seed, 2, f=10, name="sign-flip", watch=lambda crafted: rows.extend(np.linalg.norm(crafted, axis=1)))
    return round(float(np.median(rows)))


@SEEDS
def test_model_replacement_plants_a_backdoor_in_one_round_of_averaging(seed):
    """Bagdasaryan et al., AISTATS 2020: one attacker of twenty, once, late."""
    honest, attacked = rounds_of(seed, 2, f=1, name="model-replacement").rows
    assert honest.asr < 0.05
    assert attacked.asr > 0.8
    assert attacked.accuracy > honest.accuracy - 0.1


@SEEDS
def test_boosting_alone_is_caught_by_clipping_to_an_honest_norm(seed):
    rows = rounds_of(seed, 8, f=1, name="model-replacement", bound=honest_norm(seed)).rows
    assert max(row.asr for row in rows) < 0.2
    assert rows[-1].accuracy > 0.9


@SEEDS
def test_one_fake_client_in_twenty_drags_averaging_down(seed):
    """Cao and Gong, CVPR Workshops 2022: MPAF."""
    rows = rounds_of(seed, 5, f=1, name="mpaf", params={"scale": 100.0}).rows
    assert rows[0].accuracy > 0.9
    assert rows[-1].accuracy < 0.4


@SEEDS
def test_a_small_step_against_the_mean_makes_krum_pick_an_attacker(seed):
    """Xie, Koyejo, Gupta, UAI 2019: with a small epsilon the attackers' equal rows are nearest to the most others."""
    done = rounds_of(seed, 9, rule="krum", f=8, name="ipm", params={"epsilon": 0.1})
    picked = [account.byzantine_kept for account in done.accounts[1:]]
    assert np.mean(picked) > 0.7
    far = rounds_of(seed, 9, rule="krum", f=8, name="ipm", params={"epsilon": 20.0})
    assert np.mean([account.byzantine_kept for account in far.accounts[1:]]) < 0.3


@SEEDS
def test_the_box_alone_undoes_the_one_shot_backdoor_and_the_rounding_alone_does_not(seed):
    """The one effect of the int8 wire that is large enough for a test; the tables take it apart."""
    boxed = rounds_of(seed, 2, Wire("float", box=True, rounding="none"), f=1, name="model-replacement").rows[-1]
    rounded = rounds_of(seed, 2, Wire("float", box=False, rounding="sr"), f=1, name="model-replacement").rows[-1]
    assert boxed.asr < 0.2
    assert rounded.asr > 0.8
