"""An adaptive grid in whole experiments: what is offered and recorded, resumed and reproduced; liars on real relays."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from byzantiny.coordinator import Suspended
from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import RoundClosed, ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny.experiment.resolve import check_pipeline, make_federation, make_plan
from byzantiny.federation import Scales, measure
from byzantiny.ledger import Ledger
from byzantiny.wire.codec import decode_offer
from byzantiny_models.networks import NETWORKS

LAYOUT = NETWORKS["mlp-64-32-10"].layout
COARSE = {
    "rounds": 9, "keep_updates": True,
    "training": {"shift": 10, "epochs": 1}, "grid": {"adapt": True, "every_rounds": 2},
    "round": {"l2_bound": 50},
    "clients": [{"prefix": "dev", "count": 24}],
    "defence": {"pipeline": [{"name": "median"}], "f_declared": 7},
}  # fmt: skip


def offers(folder):
    """The offers of a run by round, as they were made."""
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        made = [decode_offer(body) for body in ledger.known_offers().values()]
    return {offer.round_num: offer for offer in made}


def test_a_grid_that_is_too_coarse_is_refined_and_every_round_says_on_which_it_was(run):
    outcome = run(COARSE)
    rows, made = outcome.rows(), offers(outcome.folder())
    assert [tuple(row["shifts"]) for row in rows] == [made[number].shifts for number in range(1, 10)]
    assert rows[0]["shifts"] == rows[1]["shifts"] == [10, 8, 10, 7]
    assert rows[2]["shifts"][0] == 9
    assert rows[-1]["shifts"][0] == 6, "four steps in eight rounds"
    manifest = rundir.load_manifest(outcome.path)
    assert manifest.tensors == [tensor.name for tensor in LAYOUT.tensors]
    assert manifest.grid == {"adapt": True, "every_rounds": 2, "low_steps": 4, "high_steps": 32}


def test_the_announced_bound_keeps_its_real_length_and_norms_keep_one_unit(run):
    outcome = run(COARSE)
    finest_first = min(LAYOUT.exponents((10, 8, 10, 7)))
    made = offers(outcome.folder())
    for offer in made.values():
        finest = min(LAYOUT.exponents(offer.shifts))
        assert offer.l2_bound == 50 << finest_first - finest
    assert made[9].l2_bound == 800
    longest = [max(row["norm_steps"] for row in outcome.rows("clients") if row["round_num"] == n) for n in (2, 9)]
    assert longest[1] < longest[0] < 50, "in steps of round 1, in which updates become shorter; not in ever finer ones"
    with Ledger.open(outcome.folder() / "ledger.sqlite") as ledger:
        squared = max(update.squared_norm for update in ledger.accepted(9))
    assert longest[1] == pytest.approx(squared**0.5 / 16, abs=1e-3), "four steps finer"


def test_without_adaptation_nothing_is_new(run):
    fixed = {key: value for key, value in COARSE.items() if key != "grid"}
    outcome = run(fixed | {"rounds": 3})
    assert [row["shifts"] for row in outcome.rows()] == [[], [], []]
    assert {offer.shifts for offer in offers(outcome.folder()).values()} == {(10, 8, 10, 7)}
    assert outcome.models() == run(fixed | {"rounds": 3, "grid": {"adapt": False, "every_rounds": 1}}, "off").models()


@pytest.mark.parametrize("after", [2, 5])
def test_a_resumed_run_goes_on_on_the_same_grid(run, tmp_path, after):
    whole = run(COARSE)
    experiment = parse_experiment(COARSE)
    path = rundir.create(tmp_path, "cut", experiment)
    closed = []

    def listen(event):
        closed.extend([event] if isinstance(event, RoundClosed) else [])

    with pytest.raises(Suspended):
        Engine(listen, stop=lambda: len(closed) >= after).run(experiment, path)
    Engine(ignore).run(rundir.load_config(path), path)
    rows = [(row["shifts"], row["model_sha256"]) for row in type(whole)(path, experiment, [], []).rows()]
    assert rows == [(row["shifts"], row["model_sha256"]) for row in whole.rows()]


def test_an_adapted_run_reproduces_identically_and_on_any_body(run):
    """Most of the clients take part in a round, over a bad link; replayed without it, and in NumPy."""
    table = COARSE | {
        "round": {"l2_bound": 50, "cohort": 20, "deadline_s": 0.4}, "link": {"drop": 0.1},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 5},
        "attack": {"name": "steer-grid", "byzantine": 5, "params": {"towards": "both", "period": 1}},
    }  # fmt: skip
    outcome = run(table)
    assert len({tuple(row["shifts"]) for row in outcome.rows()}) > 2
    assert reproduce(outcome.path, ignore).sentence.startswith("identical: 9 rounds")
    quiet = {key: value for key, value in table.items() if key != "link"} | {"rounds": 5}
    numpy = run(quiet | {"clients": [{"prefix": "dev", "count": 24, "body": "numpy"}]}, "numpy")
    assert numpy.models() == run(quiet, "native").models()


@pytest.mark.parametrize("towards", ["coarse", "fine", "both"])
def test_seven_of_fifteen_relays_cannot_steer_the_grid(run, towards):
    """Every move was asked for by an honest client in each round of its streak; what eight honest ones ask is done."""
    table = COARSE | {
        "rounds": 12, "clients": [{"prefix": "dev", "count": 24}], "training": {"shift": 8, "epochs": 1},
        "round": {"cohort": 15, "l2_bound": 200},
        "attack": {"name": "steer-grid", "byzantine": 7, "params": {"towards": towards, "period": 2}},
    }  # fmt: skip
    outcome = run(table)
    base = outcome.experiment.base
    policy = make_federation(base, LAYOUT).grid
    liars = {row["client_id"] for row in outcome.rows("clients") if row["byzantine"]}
    made = offers(outcome.folder())
    ballots = []
    with Ledger.open(outcome.folder() / "ledger.sqlite") as ledger:
        for number in range(1, 13):
            sent = [u.codes for u in ledger.accepted(number) if u.client_id not in liars]
            assert len(sent) >= 8
            ballots.append(policy.votes(Scales.stack([measure(codes, LAYOUT) for codes in sent], LAYOUT)))
    moves = 0
    for number in range(2, 13):
        change = np.subtract(made[number].shifts, made[number - 1].shifts)
        streak = ballots[max(0, number - 3) : number - 1]
        for t, way in enumerate(change):
            assert way in (-1, 0, 1)
            if way:
                moves += 1
                assert len(streak) == 2
                assert all(np.any(ballot[:, t] == way) for ballot in streak)
    assert moves > 3, "the grid was too coarse, and no liar could keep it so"


def test_a_round_without_an_aggregate_moves_nothing(run):
    """The median needs 11 clients; in some rounds the link loses too many."""
    lossy = COARSE | {
        "link": {"drop": 0.2}, "round": {"deadline_s": 0.25, "l2_bound": 50}, "grid": {"adapt": True, "every_rounds": 1},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 5},
    }  # fmt: skip
    rows = run(lossy).rows()
    assert {row["outcome"] for row in rows} == {"aggregated", "no-aggregate"}
    for before, after in pairwise(rows):
        assert (after["shifts"] == before["shifts"]) == (before["outcome"] == "no-aggregate")


def test_the_study_s_runs_are_the_engine_s(run):
    path = Path(__file__).parents[2] / "benchmarks" / "study_grid.py"
    spec = importlib.util.spec_from_file_location("study_grid", path)
    study = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = study  # dataclasses look their module up by name
    spec.loader.exec_module(study)
    table = study.experiment(10, "sr-median", "in turn", adapt=True, rounds=5)
    outcome, simulated = run(table), study.simulate(table, 1)
    assert simulated.models == outcome.models()
    assert [list(shifts) for shifts in simulated.shifts] == [row["shifts"] for row in outcome.rows()]
    assert outcome.rows()[-1]["accuracy"] == pytest.approx(simulated.accuracy)


def test_lengths_in_steps_are_those_of_the_first_grid():
    table = {"defence": {"pipeline": [{"name": "norm-clip", "bound": 90}, {"name": "centered-clipping", "tau": 5.0}]}}
    for adapt in (False, True):
        federation = make_federation(parse_experiment(table | {"grid": {"adapt": adapt}}).base, LAYOUT)
        assert [rule.finest for rule in federation.pipeline.rules] == [-8, -8]
    plan = make_plan(parse_experiment({}).base, "main", 1, LAYOUT)
    assert min(LAYOUT.exponents(plan.shifts)) == -8


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"every_rounds": 0}, "`grid.every_rounds`"),
        ({"low_steps": 63}, "`grid.low_steps`"),
        ({"high_steps": 128}, "`grid.high_steps`"),
        ({"low_steps": 20}, "grid.high_steps = 32 is below 2 low_steps + 3 = 43"),
        ({"adaptive": True}, "unknown key `grid.adaptive`; did you mean `adapt`?"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(grid, said):
    with pytest.raises(ConfigError) as refused:
        parse_experiment({"grid": grid})
    assert said in str(refused.value)


def test_a_quorum_that_could_never_say_anything_about_the_grid_is_refused_before_the_run():
    table = {"clients": [{"count": 12}], "grid": {"adapt": True}, "defence": {"f_declared": 6}}
    run = parse_experiment(table).base
    with pytest.raises(ConfigError, match="fewer than 13 clients, 2 f_declared"):
        check_pipeline("main", run, LAYOUT)
    check_pipeline("main", parse_experiment(table | {"grid": {}}).base, LAYOUT)
