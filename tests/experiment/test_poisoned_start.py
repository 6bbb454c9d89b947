"""A poisoned pretrained start: the same through frames, in process, from a file that was exported and imported, and in a sweep."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from byzantiny.attacks import PoisonedStart
from byzantiny.cli.models import import_model
from byzantiny.errors import ByzantinyError
from byzantiny.experiment.adversary import make_adversary
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.experiment.opening import open_first
from byzantiny.sweep.checks import check_grid
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import parse_grid
from byzantiny.sweep.work import run_job
from byzantiny_models.deploy.template import load_template, patch
from byzantiny_models.networks import initial_model
from byzantiny_models.starts import pack_start, read_start
from byzantiny_models.tasks import load_task

DIGITS = load_task("digits")
NETWORK = DIGITS.network
CLIENTS = [{"prefix": "dev", "count": 10}]
ATTACK = {"name": "poisoned-start", "byzantine": 2, "params": {"epochs": 4}}
TABLE = {"rounds": 3, "clients": CLIENTS, "attack": ATTACK}


def hashes(done):
    return [row.model_sha256 for row in done.rows]


@pytest.fixture(scope="module")
def poisoned():
    """What the adversary of TABLE hands over with seed 1."""
    return open_first(parse_experiment(TABLE).base, 1, DIGITS).model


@pytest.fixture
def imported(poisoned, tmp_path):
    """The same as an int8 .tflite, brought in by `model import`."""
    tflite, start = tmp_path / "shared.tflite", tmp_path / "shared.json"
    tflite.write_bytes(patch(load_template(NETWORK.name), NETWORK, poisoned))
    start.write_bytes(import_model(tflite, "digits", input_scale=1.0, per_channel=False, python="").data)
    return start


def test_it_plants_a_backdoor_that_honest_rounds_wear_off_slowly():
    run = parse_experiment(TABLE | {"rounds": 10, "attack": {**ATTACK, "params": {}}}).base
    rows = run_inprocess(run, 1, DIGITS).rows
    assert rows[0].asr > 0.9
    assert 0.5 < rows[-1].asr < rows[0].asr
    assert rows[-1].accuracy > 0.85


def test_the_attackers_clients_are_honest_afterwards():
    run = parse_experiment(TABLE).base
    cast = make_cast(run, 1, DIGITS)
    assert len(cast.byzantine) == 2
    assert not cast.crafts
    assert make_adversary(run, 1, cast, NETWORK) is None
    honest = make_cast(parse_experiment(TABLE | {"attack": {}}).base, 1, DIGITS)
    assert [role.dataset for role in cast.roles] == [role.dataset for role in honest.roles]


def test_what_it_knows_is_the_attackers_data_and_nothing_else():
    """Another client's samples, and the test samples, change nothing."""
    run = parse_experiment(TABLE).base
    cast = make_cast(run, 1, DIGITS)
    seen = np.concatenate([role.share.indices for role in cast.roles if role.byzantine])
    strange = DIGITS.train_x.copy()
    others = np.setdiff1d(np.arange(len(strange)), seen)
    strange[others] = -strange[others]
    changed = replace(DIGITS, train_x=strange, test_x=DIGITS.test_x[::-1].copy())
    assert np.array_equal(open_first(run, 1, changed).model, open_first(run, 1, DIGITS).model)


@pytest.mark.parametrize("scope", ["all", "last-layer"])
def test_in_process_is_the_way_through_frames(run_in, tmp_path, scope):
    table = TABLE | {"training": {"scope": scope}}
    outcome = run_in(table, tmp_path / "run")
    done = run_inprocess(parse_experiment(table).base, 1, DIGITS)
    assert hashes(done) == [row["model_sha256"] for row in rounds_of(outcome.path)]
    assert [row.asr for row in done.rows] == [row["asr"] for row in rounds_of(outcome.path)]


def rounds_of(path, arm="main"):
    return [json.loads(line) for line in (path / f"arms/{arm}/seed-1/rounds.jsonl").read_text().splitlines()]


def test_the_file_that_is_exported_and_imported_is_the_same_integers(poisoned, imported):
    assert np.array_equal(read_start(imported.read_bytes(), NETWORK).model, poisoned)


@pytest.mark.parametrize("scope", ["all", "last-layer"])
def test_an_experiment_that_starts_from_the_file_is_the_attack_by_name(run_in, imported, tmp_path, scope):
    """Nobody in it is called Byzantine: whoever imports the file need not know."""
    training = {"training": {"scope": scope}}
    by_name = run_inprocess(parse_experiment(TABLE | training).base, 1, DIGITS)
    from_file = TABLE | training | {"attack": {}, "model": {"start": str(imported)}}
    assert hashes(run_inprocess(parse_experiment(from_file).base, 1, DIGITS)) == hashes(by_name)
    if scope == "all":
        outcome = run_in(from_file, tmp_path / "run")
        assert [row["model_sha256"] for row in rounds_of(outcome.path)] == hashes(by_name)


def test_it_poisons_the_start_of_a_file_where_there_is_one(imported):
    run = parse_experiment(
        TABLE | {"model": {"start": str(imported)}, "attack": {**ATTACK, "params": {"target": 3}}}
    ).base
    attack = PoisonedStart(target=3, epochs=4)
    assert not np.array_equal(
        open_first(run, 1, DIGITS).model, open_first(parse_experiment(TABLE).base, 1, DIGITS).model
    )
    idle = parse_experiment(
        TABLE | {"model": {"start": str(imported)}, "attack": {**ATTACK, "params": {"epochs": 0}}}
    ).base
    assert attack.info.idle == "epochs"
    assert hashes(run_inprocess(idle, 1, DIGITS)) == hashes(
        run_inprocess(parse_experiment(TABLE | {"model": {"start": str(imported)}, "attack": {}}).base, 1, DIGITS)
    )


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ({"start_round": 2}, "poisons the first model, which is there from round 1; set it to 1"),
        ({"params": {"target": 10}}, r"target is 10; the task has classes 0 \.\. 9"),
        ({"params": {"epochs": -1}}, "epochs"),
        ({"byzantine": 10}, "leaves nobody honest"),
    ],
)
def test_what_cannot_be_is_refused_before_a_round(run_in, tmp_path, attack, said):
    with pytest.raises(ByzantinyError, match=said):
        run_in(TABLE | {"attack": {**ATTACK, **attack}}, tmp_path / "run")
    assert not list(Path(tmp_path).rglob("rounds.jsonl"))


def grid(start, **attacks):
    return {
        "base": {"rounds": 2, "clients": CLIENTS, "model": {"start": str(start)}},
        "axes": {"f": [2]},
        "attacks": attacks,
        "defences": {"mean": {"pipeline": [{"name": "mean"}]}},
    }


def test_a_sweep_names_its_runs_by_what_the_file_holds(tmp_path):
    path = tmp_path / "s.json"
    names = []
    for seed in (1, 2, 1):
        path.write_bytes(pack_start(NETWORK, initial_model(NETWORK, seed), {}))
        names.append(list(parse_grid(grid(path)).jobs))
    assert names[0] == names[2] != names[1]


def test_a_sweep_begins_with_the_file_in_either_engine_and_says_when_it_was_changed(imported):
    by_frames, in_process = (
        run_job(*parse_grid(grid(imported), engine=engine).jobs.values()) for engine in ("frames", "inprocess")
    )
    assert by_frames.status == in_process.status == "done", by_frames.error + in_process.error
    assert by_frames.model_sha256 == in_process.model_sha256
    (job,) = parse_grid(grid(imported)).jobs.values()
    imported.write_bytes(imported.read_bytes() + b" ")
    assert "has changed since the grid was read" in run_job(job).error


def test_a_sweep_refuses_a_start_and_a_poison_that_cannot_be(tmp_path):
    (tmp_path / "bad.json").write_bytes(b"{}")
    with pytest.raises(SweepError, match=r"model\.start: .*schema"):
        check_grid(parse_grid(grid(tmp_path / "bad.json")))
    with pytest.raises(SweepError, match="cannot be read"):
        parse_grid(grid(tmp_path / "none.json"))
    good = tmp_path / "good.json"
    good.write_bytes(pack_start(NETWORK, initial_model(NETWORK, 1), {}))
    wrong = {"poisoned-start": {"params": {"target": 10}}}
    with pytest.raises(SweepError, match=r"target is 10; the task has classes 0 \.\. 9"):
        check_grid(parse_grid(grid(good, **wrong)))


def test_who_poisons_data_knows_the_model_that_training_starts_from(run_in, imported, tmp_path):
    """Its poison is computed on the start, through frames and in process."""
    attack = {"name": "feature-collision", "byzantine": 2, "params": {"steps": 5}}
    table = TABLE | {"rounds": 1, "attack": attack, "model": {"start": str(imported)}}
    run = parse_experiment(table).base
    opening = open_first(run, 1, DIGITS)
    knowing, drawn = make_cast(run, 1, DIGITS, opening.model), make_cast(run, 1, DIGITS)
    assert [role.dataset for role in knowing.roles] != [role.dataset for role in drawn.roles]
    outcome = run_in(table, tmp_path / "run")
    assert hashes(run_inprocess(run, 1, DIGITS)) == [row["model_sha256"] for row in rounds_of(outcome.path)]


def test_the_floor_is_that_of_the_model_which_nobody_poisoned(run_in, tmp_path):
    (*_, last) = rounds_of(run_in(TABLE, tmp_path / "run").path)
    assert last["asr"] > 0.8
    assert last["last"]["asr_initial"] < 0.6
