"""Run directories: what they hold, how a run goes on, and what `reproduce` says of it."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import pytest

from byzantiny.coordinator import Suspended
from byzantiny.experiment import rundir
from byzantiny.experiment.cast import byzantine_ids, make_cast
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ArmFinished, ArmStarted, RoundClosed, ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny.experiment.resolve import stages_of, trial_round
from byzantiny.experiment.rundir import RunError
from byzantiny.federation import Federation, build_pipeline
from byzantiny.ledger import Ledger
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks import load_task

SMALL = {"rounds": 3, "clients": [{"prefix": "dev", "count": 24}]}
TWO_ARMS = SMALL | {
    "seeds": [1, 2],
    "arms": {"clean": {}, "median": {"defence": {"pipeline": [{"name": "median"}], "f_declared": 2}}},
}
TIMES = {"created_utc", "wall_s", "server_ms", "evaluation_ms"}


def files(path):
    """Every JSON file of a run by name, without times; what is in the ledgers is in the exported rows."""
    return {str(file.relative_to(path)): without_times(file) for file in sorted(path.rglob("*.json*"))}


def without_times(file):
    texts = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    return [{key: value for key, value in json.loads(text).items() if key not in TIMES} for text in texts]


class StopAfter:
    """Stops a run after so many closed rounds; a listener and a `stop` in one."""

    def __init__(self, rounds):
        self.left = rounds

    def __call__(self, event=None):
        if isinstance(event, RoundClosed):
            self.left -= 1
        return self.left <= 0


def suspend(table, path, after):
    experiment = parse_experiment(table)
    rundir.create(path.parent, path.name, experiment)
    stop = StopAfter(after)
    with pytest.raises(Suspended):
        Engine(stop, stop=stop).run(experiment, path)
    return experiment


# What a run directory holds


def test_two_runs_of_an_experiment_leave_the_same_files_but_for_times(run):
    one, two = (run(TWO_ARMS, f"{number}/same-name") for number in (1, 2))
    assert set(files(one.path)) == {
        "experiment.json", "manifest.json",
        *(f"arms/{arm}/seed-{seed}/{name}" for arm in ("clean", "median") for seed in (1, 2)
          for name in ("rounds.jsonl", "clients.jsonl", "final.json")),
    }  # fmt: skip
    assert files(one.path) == files(two.path)


def test_the_manifest_says_what_ran(run):
    outcome = run(TWO_ARMS | {"attack": {"name": "sign-flip", "byzantine": 2}}, command=("byzantiny", "run"))
    manifest = rundir.load_manifest(outcome.path)
    assert manifest.finished
    assert manifest.run_id == "run"
    assert manifest.config_sha256 == outcome.experiment.sha256
    assert manifest.command == ["byzantiny", "run"]
    assert sum(int(client["samples"]) for client in manifest.clients) == manifest.task["train_samples"]
    liars = byzantine_ids(outcome.experiment.base, 1)
    assert [c["client_id"] for c in manifest.clients if c["byzantine"]] == liars
    assert all(arm.byzantine == liars for arm in manifest.arms)
    assert manifest.arms[1].defence == ["norm-clip(bound=800)", "median"]


def test_events_tell_every_arm_and_round_once(run):
    outcome = run(TWO_ARMS)
    started = [
        (event.arm, event.seed, event.index, event.count) for event in outcome.events if isinstance(event, ArmStarted)
    ]
    assert started == [("clean", 1, 1, 4), ("median", 1, 2, 4), ("clean", 2, 3, 4), ("median", 2, 4, 4)]
    closed = [(event.arm, event.seed, event.round_num) for event in outcome.events if isinstance(event, RoundClosed)]
    assert closed == [(arm, seed, number) for arm, seed, *_ in started for number in (1, 2, 3)]
    assert len([event for event in outcome.events if isinstance(event, ArmFinished)]) == 4


def test_a_run_directory_is_created_once(tmp_path):
    experiment = parse_experiment(SMALL)
    rundir.create(tmp_path, "run", experiment)
    with pytest.raises(RunError, match="byzantiny resume"):
        rundir.create(tmp_path, "run", experiment)
    assert rundir.load_config(tmp_path / "run").sha256 == experiment.sha256
    with pytest.raises(RunError, match="is not a run directory"):
        rundir.load_config(tmp_path)
    with pytest.raises(RunError, match="never began a round"):
        rundir.load_manifest(tmp_path / "run")


def test_an_export_repeats_what_the_ledger_holds(run):
    outcome = run(SMALL)
    folder = outcome.folder()
    before = {name: (folder / name).read_bytes() for name in ("rounds.jsonl", "clients.jsonl", "final.json")}
    for name in before:
        (folder / name).unlink()
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        rounds, clients = rundir.export(folder, ledger)
        rundir.finish(folder, rounds)
        rundir.export(folder, ledger)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert (len(rounds), len(clients)) == (3, 3 * 24)
    assert not list(folder.glob("*.tmp"))


# Going on


@pytest.mark.parametrize("after", [1, 3, 4, 11])
def test_a_resumed_run_is_the_uninterrupted_one(run, tmp_path, after):
    whole = run(TWO_ARMS, "whole/run")
    path = tmp_path / "cut" / "run"
    experiment = suspend(TWO_ARMS, path, after)
    assert not rundir.load_manifest(path).finished
    Engine(ignore).run(rundir.load_config(path), path)
    assert experiment.sha256 == whole.experiment.sha256
    assert rundir.load_manifest(path).finished
    now, before = files(path), files(whole.path)
    # The session of a new process greets and announces again, so bytes and boot ids may differ; models may not.
    for name, rows in before.items():
        if name.endswith("rounds.jsonl"):
            assert [r["model_sha256"] for r in now[name]] == [r["model_sha256"] for r in rows]
            assert [(r["outcome"], r["accepted"], r["accuracy"]) for r in now[name]] == [
                (r["outcome"], r["accepted"], r["accuracy"]) for r in rows
            ]
    assert now.keys() == before.keys()


def test_resuming_a_finished_run_changes_nothing(run):
    outcome = run(TWO_ARMS, command=("byzantiny", "run", "x.toml"))
    before = files(outcome.path)
    created = rundir.load_manifest(outcome.path).created_utc
    events = []
    finals = Engine(events.append, command=("byzantiny", "resume")).run(rundir.load_config(outcome.path), outcome.path)
    assert finals == outcome.finals
    assert files(outcome.path) == before
    assert rundir.load_manifest(outcome.path).created_utc == created
    assert not [event for event in events if isinstance(event, RoundClosed)]


# Reproducing


def test_a_run_reproduces_identically(run):
    attacked = TWO_ARMS | {"attack": {"name": "sign-flip", "byzantine": 3}, "round": {"cohort": 12}}
    outcome = reproduce(run(attacked).path, ignore)
    assert outcome.identical
    assert outcome.rounds == 12
    assert outcome.sentence == "identical: 12 rounds, every global model the same bytes, every score the same number"


def test_a_run_with_losses_reproduces_without_them(run):
    """Clients that did not answer in time are not in the replayed cohort, and there is no bad link to lose others."""
    lossy = SMALL | {"rounds": 4, "round": {"deadline_s": 0.3}, "arms": {"lossy": {"link": {"drop": 0.5}}, "clean": {}}}
    outcome = run(lossy)
    accepted = [row["accepted"] for row in outcome.rows(arm="lossy")]
    assert min(accepted) < 24, "the link is meant to cost somebody a round"
    assert reproduce(outcome.path, ignore).sentence.startswith("identical: 8 rounds")


def test_reproduce_names_the_first_round_that_differs(run):
    outcome = run(TWO_ARMS)
    for round_num in (2, 3):
        with sqlite3.connect(outcome.folder("median", 2) / "ledger.sqlite") as db:
            (text,) = db.execute(
                "SELECT row FROM metric WHERE round_num = ? AND client_id = ''", (round_num,)
            ).fetchone()
            row = json.loads(text) | {"model_sha256": "0" * 64}
            db.execute("UPDATE metric SET row = ? WHERE round_num = ? AND client_id = ''", (json.dumps(row), round_num))
        db.close()
    verdict = reproduce(outcome.path, ignore)
    assert not verdict.identical
    assert verdict.sentence == "different: median, seed 2, round 2"
    assert verdict.rounds == 10, "what was the same before"


def test_reproduce_notices_a_client_taken_out_of_the_record(run):
    outcome = run(SMALL)
    with sqlite3.connect(outcome.folder() / "ledger.sqlite") as db:
        db.execute("DELETE FROM metric WHERE round_num = 3 AND client_id = 'dev-07'")
    db.close()
    assert reproduce(outcome.path, ignore).sentence == "different: main, seed 1, round 3"


@pytest.mark.parametrize(("after", "rounds"), [(2, 2), (3, 3), (4, 4)])
def test_a_suspended_run_reproduces_as_far_as_it_came(digits, tmp_path, after, rounds):
    """Also where the second arm has begun and closed no round yet."""
    path = tmp_path / "run"
    suspend(TWO_ARMS, path, after)
    outcome = reproduce(path, ignore)
    assert (outcome.identical, outcome.rounds) == (True, rounds)


def test_a_run_without_a_closed_round_cannot_be_compared(digits, tmp_path):
    path = tmp_path / "run"
    suspend(SMALL, path, 0)
    with pytest.raises(RunError, match="no closed round"):
        reproduce(path, ignore)
    rundir.create(tmp_path, "empty", parse_experiment(SMALL))
    with pytest.raises(RunError, match="no closed round"):
        reproduce(tmp_path / "empty", ignore)


# Refused before the first round


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"defence": {"pipeline": [{"name": "median"}], "f_declared": 12}}, "a quorum of 24 is below the 25 clients"),
        (
            {"round": {"quorum": 4}, "defence": {"pipeline": [{"name": "median"}], "f_declared": 2}},
            "quorum of 4 is below the 5",
        ),
        ({"attack": {"name": "sign-flop", "byzantine": 1}}, "did you mean `sign-flip`"),
        ({"attack": {"name": "sign-flip", "byzantine": 1, "params": {"scael": 2}}}, "did you mean `scale`"),
        ({"attack": {"name": "sign-flip", "byzantine": 1, "params": {"scale": -1}}}, "must be finite and above 0"),
        (
            {"attack": {"name": "alie", "byzantine": 2, "knowledge": "own"}},
            "alie needs to be omniscient, the experiment grants 'own'; set attack.knowledge = 'omniscient'",
        ),
        (
            {"attack": {"name": "ipm", "byzantine": 1, "knowledge": "own", "params": {"knowledge": "colluding"}}},
            "ipm needs to be colluding, the experiment grants 'own'",
        ),
        (
            {"attack": {"name": "alie", "byzantine": 1, "params": {"knowledge": "colluding"}}},
            "alie fails on a trial round of made-up updates: alie: 1 known updates have no deviation",
        ),
        ({"attack": {"name": "sign-flip", "byzantine": 24}}, "24 of 24 clients leaves nobody honest"),
        ({"attack": {"name": "label-flip", "byzantine": 1, "start_round": 2}}, "acts from round 1; set it to 1"),
        ({"attack": {"name": "label-flip", "byzantine": 1, "stop_round": 2}}, "acts from round 1; leave it out"),
        ({"attack": {"name": "label-flip", "byzantine": 1, "attackers": "resampled"}}, 'set it to "fixed"'),
        ({"defence": {"pipeline": [{"name": "medain"}]}}, "did you mean 'median'"),
        (
            {"defence": {"pipeline": [{"name": "nnm"}, {"name": "sr-median"}], "f_declared": 2}},
            "a trial round of 24 made-up updates: sr-median counts codes on the grid",
        ),
        (
            {"defence": {"pipeline": [{"name": "top-coordinates", "k": 9000}, {"name": "mean"}]}},
            "k = 9000 of 2410 coordinates",
        ),
        ({"defence": {"pipeline": [{"name": "smea"}], "f_declared": 8}}, "735471 subsets, the cap is 50000"),
        ({"defence": {"pipeline": [{"name": "monna", "trusted": "dev-99", "f": 2}]}}, "client 'dev-99' has no row"),
        (
            {"defence": {"pipeline": [{"name": "weighted-mean", "weights": {"dev-01": 3}}]}},
            "no weight for .*, no default, no claim",
        ),
        ({"partition": {"min_samples": 1000}}, "lower n or min_samples"),
    ],
)
def test_what_cannot_work_is_refused_before_any_arm_has_a_round(digits, tmp_path, changes, said):
    """The mistake is in the second arm; the first is not run for nothing."""
    experiment = parse_experiment(SMALL | {"arms": {"fine": {}, "wrong": changes}})
    path = rundir.create(tmp_path, "run", experiment)
    with pytest.raises(Exception, match=said.replace("(", r"\(")) as caught:
        Engine(ignore).run(experiment, path)
    assert "\n" not in str(caught.value)
    assert not (path / "arms").exists()


def test_unknown_tasks_and_bodies_name_the_nearest(digits, tmp_path):
    for changes, said in (({"task": "digit"}, "did you mean `digits`"), ({"clients": [{"body": "nativ"}]}, "`native`")):
        experiment = parse_experiment(SMALL | changes)
        path = rundir.create(tmp_path, f"run-{len(said)}", experiment)
        with pytest.raises(Exception, match=said):
            Engine(ignore).run(experiment, path)


def test_a_silent_run_has_no_accuracy_above_that_of_its_initial_model(run):
    outcome = run(SMALL | {"link": {"drop": 0.999}, "round": {"deadline_s": 1.0}})
    rows = outcome.rows()
    assert {row["outcome"] for row in rows} == {"no-aggregate"}
    assert len({row["model_sha256"] for row in rows}) == 1
    assert outcome.finals[0].no_aggregate == 3
    assert reproduce(outcome.path, ignore).identical


# Who plays what


def test_a_data_attack_reaches_the_data_of_the_liars_and_of_nobody_else(digits):
    attacked = parse_experiment(SMALL | {"attack": {"name": "label-flip", "byzantine": ["dev-02", "dev-05"]}}).base
    clean = parse_experiment(SMALL).base
    task = load_task("digits")
    pairs = zip(make_cast(attacked, 1, task).roles, make_cast(clean, 1, task).roles, strict=True)
    for role, honest in pairs:
        x, y, classes = datasets.unpack(role.dataset)
        honest_x, honest_y, _ = datasets.unpack(honest.dataset)
        assert (x == honest_x).all()
        if role.client_id in ("dev-02", "dev-05"):
            assert role.byzantine
            assert (y == classes - 1 - honest_y).all()
        else:
            assert role.dataset == honest.dataset


@pytest.mark.parametrize("body", ["native", "unicorn-m4f"])
def test_a_poisoned_data_set_is_what_the_device_says_it_holds(run, request, body):
    if body.startswith("unicorn"):
        request.getfixturevalue("unicorn")
    table = {
        "rounds": 2,
        "clients": [{"prefix": "e", "body": body, "payload_bytes": 240}, {"prefix": "n", "count": 35, "body": "numpy"}],
        "attack": {"name": "label-flip", "byzantine": ["e-01", "n-03"]},
    }
    outcome = run(table)
    numpy = run(table | {"clients": [{"prefix": "e", "body": "numpy"}, table["clients"][1]]}, "numpy")
    honest = run(table | {"attack": {}}, "honest")
    assert outcome.models() == numpy.models() != honest.models()
    roles = {role.client_id: role for role in make_cast(outcome.experiment.base, 1, load_task("digits")).roles}
    with Ledger.open(outcome.folder() / "ledger.sqlite") as ledger:
        for client_id, hello in ledger.devices().items():
            assert hello["data_sha256"] == hashlib.sha256(roles[client_id].dataset).hexdigest()


def test_liars_given_as_a_number_are_drawn_from_the_seed():
    run = parse_experiment(SMALL | {"attack": {"name": "sign-flip", "byzantine": 3}}).base
    drawn = [byzantine_ids(run, seed) for seed in range(1, 9)]
    assert drawn == [byzantine_ids(run, seed) for seed in range(1, 9)]
    assert all(len(set(ids)) == 3 and ids == sorted(ids) for ids in drawn)
    assert len({tuple(ids) for ids in drawn}) > 4


@pytest.mark.parametrize(
    ("partition", "facts"),
    [
        ({"name": "iid"}, {"partition": "iid"}),
        ({"name": "shards"}, {"partition": "shards", "shards_per_client": 2}),
        ({"name": "quantity", "alpha": 1.0}, {"partition": "quantity", "alpha": 1.0}),
        ({"name": "gamma-similarity", "gamma": 0.2}, {"partition": "gamma-similarity", "gamma": 0.2}),
    ],
)
def test_every_partition_of_an_experiment_holds_every_sample_once(partition, facts):
    experiment, task = parse_experiment({"partition": partition, "clients": [{"count": 9}]}), load_task("digits")
    cast = make_cast(experiment.base, 1, task)
    assert sum(len(datasets.unpack(role.dataset)[1]) for role in cast.roles) == len(task.train_y)
    assert experiment.base.partition.in_force() == facts


def test_the_partition_and_the_secrets_are_of_the_seed_not_of_the_arm(digits):
    experiment = parse_experiment(TWO_ARMS)
    task = load_task("digits")
    clean, median = (make_cast(experiment.arms[arm], 1, task) for arm in ("clean", "median"))
    other = make_cast(experiment.arms["clean"], 2, task)
    assert clean.partition_sha256 == median.partition_sha256 != other.partition_sha256
    assert [r.secret for r in clean.roles] == [r.secret for r in median.roles] != [r.secret for r in other.roles]


def test_the_re_clip_comes_behind_screens_and_before_all_else(monkeypatch):
    """In front of a screen no pipeline could be built."""
    monkeypatch.setattr("byzantiny.experiment.resolve.load_screening", lambda: {"longest": object})

    def stages(*names):
        run = parse_experiment(SMALL | {"defence": {"pipeline": [{"name": name} for name in names]}}).base
        return [stage["name"] for stage in stages_of(run, 2410)]

    assert stages("longest", "nnm", "median") == ["longest", "norm-clip", "nnm", "median"]
    assert stages("median") == ["norm-clip", "median"]
    assert stages("longest", "norm-clip", "median") == ["longest", "norm-clip", "median"]


def test_a_trial_round_refuses_only_what_no_cohort_could_do():
    """Cohorts of 6 of 24 clients: a trusted client is in some of them, one that does not exist in none."""
    run = parse_experiment(SMALL | {"round": {"cohort": 6}}).base
    layout = next(iter(NETWORKS.values())).layout
    trusting = {"name": "monna", "trusted": run.client_ids()[13], "f": 2}
    for name, refused in ((run.client_ids()[13], False), ("dev-99", True)):
        federation = Federation(layout, build_pipeline([trusting | {"trusted": name}]))
        error = trial_round(federation, layout.default_shifts(7), run.client_ids(), 6)
        assert (error is not None) == refused
