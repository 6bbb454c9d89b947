"""The engine without frames is the coordinator's rounds: the same global-model bytes, outcomes and counts (P1)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from byzantiny.attacks import AttackWarning
from byzantiny.bodies.batch import NumpyBatch, load_batch
from byzantiny.experiment.accounts import minority_of
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.fleet.schedule import Schedule
from byzantiny_models.tasks import load_task

BASE = {"rounds": 6, "clients": [{"prefix": "dev", "count": 14}], "partition": {"alpha": 1.0, "min_samples": 4}}
TRIMMED = {"pipeline": [{"name": "nnm"}, {"name": "trimmed-mean"}], "f_declared": 3}
CASES = {
    "mean": {},
    "unbounded": {"round": {"l2_bound": "off"}, "training": {"epochs": 2}},
    "label-flip": {"attack": {"name": "label-flip", "byzantine": 4}, "defence": TRIMMED},
    "own": {"attack": {"name": "sign-flip", "byzantine": 3, "params": {"scale": 4.0}, "start_round": 3}},
    "colluding": {
        "attack": {"name": "sign-flip", "byzantine": 4, "params": {"scale": 9.0, "knowledge": "colluding"}},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 4},
        "round": {"l2_bound": 300},
    },
    "omniscient-cohorts": {
        "attack": {"name": "alie", "byzantine": 5, "params": {"z": 1.5}},
        "defence": {"pipeline": [{"name": "multi-krum"}], "f_declared": 2},
        "round": {"cohort": 9},
    },
    "adaptive-grid": {
        "attack": {"name": "ipm", "byzantine": 3, "params": {"epsilon": 0.5}},
        "defence": {"pipeline": [{"name": "centered-clipping", "tau": 100.0}], "f_declared": 3},
        "grid": {"adapt": True, "every_rounds": 1, "low_steps": 8},
    },
    "unrounded": {"attack": {"name": "directed-rounding", "byzantine": 4}, "round": {"l2_bound": 200}},
    "in-the-loop": {
        "attack": {"name": "agr-tailored", "byzantine": 3, "defence_known": True},
        "defence": {"pipeline": [{"name": "trimmed-mean"}], "f_declared": 3},
        "rounds": 2,
    },
    "backdoor": {"attack": {"name": "backdoor", "byzantine": 4}, "rounds": 2},
    "remembering": {"attack": {"name": "poisoned-fl", "byzantine": 4, "history": True}},
    "a-share-that-leaves": {
        "attack": {"name": "alie", "byzantine": 0.3, "params": {"z": 1.5}, "start_round": 2, "stop_round": 4},
        "defence": TRIMMED,
    },
    "drawn-anew": {
        "attack": {"name": "sign-flip", "byzantine": 3, "attackers": "resampled", "params": {"scale": 2.0}},
        "defence": TRIMMED,
    },
    "drawn-anew-together": {
        "attack": {
            "name": "ipm",
            "byzantine": 4,
            "attackers": "resampled",
            "params": {"epsilon": 0.5},
            "stop_round": 5,
        },
        "defence": {"pipeline": [{"name": "multi-krum"}], "f_declared": 2},
        "round": {"cohort": 9},
    },
    "zeroing-krum": {
        "attack": {"name": "steer-grid", "byzantine": 2},
        "defence": {"pipeline": [{"name": "zeroing"}, {"name": "krum"}], "f_declared": 2},
    },
}


def frames_and_process(run_in, path, table):
    found = run_in(table, path)
    run = parse_experiment(table).base
    return found, [run_inprocess(run, seed, load_task("digits")) for seed in run.seeds]


@pytest.mark.filterwarnings("ignore::byzantiny.attacks.AttackWarning")
@pytest.mark.parametrize("case", CASES)
def test_in_process_is_the_way_through_frames(run_in, tmp_path, case):
    frames, (process,) = frames_and_process(run_in, tmp_path / "run", BASE | CASES[case])
    rows = frames.rows()
    for name in ("model_sha256", "outcome", "reason", "accuracy", "accepted", "refused", "cohort", "shifts"):
        assert [row[name] for row in rows] == [row.to_dict()[name] for row in process.rows], name
    assert len({row["model_sha256"] for row in rows}) == len(rows)
    clients = [json.loads(line) for line in (frames.path / "arms/main/seed-1/clients.jsonl").read_text().splitlines()]
    for round_num, account in enumerate(process.accounts, 1):
        mine = [row for row in clients if row["round_num"] == round_num and row["verdict"] == "accepted"]
        assert account.honest == sum(not row["byzantine"] for row in mine)
        assert account.byzantine == sum(row["byzantine"] for row in mine)
        assert account.byzantine_kept == sum(bool(row["kept"]) for row in mine if row["byzantine"])
        assert account.honest_kept == sum(bool(row["kept"]) for row in mine if not row["byzantine"])


def test_a_streamed_round_of_many_clients_is_the_same_in_process(run_in, tmp_path):
    table = {
        "rounds": 2,
        "clients": [{"prefix": "d", "count": 520}],
        "partition": {"name": "iid"},
        "attack": {"name": "alie", "byzantine": 60},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 60},
    }
    frames, (process,) = frames_and_process(run_in, tmp_path / "run", table)
    assert [row["model_sha256"] for row in frames.rows()] == [row.model_sha256 for row in process.rows]


def test_numpy_trains_a_batch_as_the_native_library_does():
    run = parse_experiment(BASE | CASES["colluding"]).base
    by = [run_inprocess(run, 1, load_task("digits"), batch=batch) for batch in (NumpyBatch, load_batch("native"))]
    assert [row.model_sha256 for row in by[0].rows] == [row.model_sha256 for row in by[1].rows]
    assert [row.accuracy for row in by[0].rows] == [row.accuracy for row in by[1].rows]


def test_attackers_that_leave_are_honest_from_then_on():
    """Round 4 onwards is a run of its own: from the model that they left, with nobody lying."""
    attack = {"name": "sign-flip", "byzantine": 3, "params": {"scale": 4.0}}
    task, table = load_task("digits"), BASE | {"attack": attack}
    always, left, none = (
        [row.model_sha256 for row in run_inprocess(parse_experiment(each).base, 1, task).rows]
        for each in (table, BASE | {"attack": attack | {"stop_round": 3}}, BASE)
    )
    assert left[:3] == always[:3]
    assert left[3] not in (always[3], none[3])
    late = BASE | {"attack": attack | {"start_round": 7}}
    assert [row.model_sha256 for row in run_inprocess(parse_experiment(late).base, 1, task).rows] == none


def test_attackers_drawn_anew_are_as_many_each_round_and_not_the_same():
    attack = {"name": "sign-flip", "byzantine": 0.25, "attackers": "resampled"}
    done = run_inprocess(parse_experiment(BASE | {"attack": attack}).base, 1, load_task("digits"))
    assert [account.byzantine for account in done.accounts] == [3] * 6, "a quarter of 14, rounded down"
    schedule = Schedule(resampled=3, seed=1)
    pool = [f"dev-{number:02d}" for number in range(1, 15)]
    assert len({schedule.among(pool, number) for number in range(1, 7)}) > 3
    assert schedule.among(pool, 4) == schedule.among(list(reversed(pool)), 4)


def test_measuring_changes_no_model():
    run = parse_experiment(BASE | CASES["own"]).base
    plain, measured = (run_inprocess(run, 1, load_task("digits"), spread=spread) for spread in (False, True))
    assert [row.model_sha256 for row in plain.rows] == [row.model_sha256 for row in measured.rows]
    assert all(account.spread_steps > 0 for account in measured.accounts)
    assert {account.minority for account in measured.accounts} == {11 // 4}


def test_the_minority_are_the_clients_whose_labels_are_least_like_the_others():
    task = load_task("digits")
    cast = make_cast(parse_experiment(BASE | {"partition": {"alpha": 0.2, "min_samples": 4}}).base, 1, task)
    few = minority_of(cast, task.classes)
    from byzantiny_models import datasets

    labels = {role.client_id: datasets.unpack(role.dataset)[1] for role in cast.roles}
    pooled = np.bincount(np.concatenate(list(labels.values())), minlength=10) / sum(map(len, labels.values()))
    away = {k: np.abs(np.bincount(v, minlength=10) / len(v) - pooled).sum() for k, v in labels.items()}
    assert few == set(sorted(away, key=away.get)[-3:])


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"round": {"quorum": 5}}, "in process nobody comes first"), ({"link": {"drop": 0.1}}, "faults happen to frames")],
)
def test_what_only_frames_have_is_refused_by_name(changes, said):
    with pytest.raises(ConfigError, match=said):
        run_inprocess(parse_experiment(BASE | changes).base, 1, load_task("digits"))


def test_an_attack_that_is_none_still_warns():
    run = parse_experiment(BASE | {"rounds": 1, "attack": {"name": "alie", "byzantine": 1}}).base
    with pytest.warns(AttackWarning, match="z is 0"):
        run_inprocess(run, 1, load_task("digits"))


def test_a_ledger_in_memory_gives_the_same_run_and_leaves_no_ledger(run_in, tmp_path):
    table = BASE | CASES["omniscient-cohorts"]
    disk, memory = run_in(table, tmp_path / "disk"), run_in(table, tmp_path / "memory", in_memory=True)
    assert disk.models() == memory.models()
    names = {file.name for file in memory.folder().iterdir()}
    assert names == {"rounds.jsonl", "clients.jsonl", "final.json"}
    serial = table | {"clients": [{"count": 14, "transport": "mqtt"}]}
    with pytest.raises(ConfigError, match="for the memory transport alone"):
        run_in(serial, tmp_path / "refused", in_memory=True)
