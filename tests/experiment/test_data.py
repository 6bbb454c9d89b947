"""An experiment's data: found beside its file, pinned by hash, held to it ever after; partitions by key and by drift."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from byzantiny.coordinator import Suspended
from byzantiny.experiment import rundir
from byzantiny.experiment.cast import draw_drifts, make_cast, split
from byzantiny.experiment.config import ConfigError, load_experiment, parse_experiment
from byzantiny.experiment.data import load_data
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ArmStarted, RoundClosed, ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny.experiment.rundir import RunError
from byzantiny.experiment.shares import find_shares
from byzantiny_models import datasets
from byzantiny_models.drift import Drift
from byzantiny_models.tasks import load_task

IMU = {"task": "imu-gestures", "data": {"params": {"devices": 6, "windows": 20, "test_devices": 2}}}
MACHINE = {"task": "machine-anomaly", "data": {"params": {"machines": 6, "frames": 20, "test_machines": 3}}}


@pytest.fixture
def recorded(formats, tmp_path):
    """A folder of recordings, and the experiment that names it relative to itself."""
    formats.device_recordings(tmp_path / "lab" / "boards")
    (tmp_path / "lab" / "e.toml").write_text(
        'task = "recordings"\nrounds = 3\ndata = { path = "boards" }\npartition = { name = "natural" }\n'
        "clients = [{ count = 2 }]\n"
    )
    return tmp_path / "lab"


def run(experiment, path, **engine):
    rundir.create(path.parent, path.name, experiment)
    Engine(ignore, **engine).run(experiment, path)
    return json.loads((path / "manifest.json").read_text())


# Where the data are


def test_the_path_of_the_data_is_relative_to_the_experiment_file(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_experiment(recorded / "e.toml").base.data.path == str(recorded / "boards")
    assert load_experiment(recorded.relative_to(tmp_path) / "e.toml").base.data.path == str(recorded / "boards")


def test_the_path_of_an_override_is_relative_to_the_working_directory(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = load_experiment(recorded / "e.toml", {"data.path": "lab/boards"})
    assert given.base.data.path == str(recorded / "boards")


def test_where_the_data_lie_is_no_part_of_what_the_experiment_is(recorded):
    here = load_experiment(recorded / "e.toml")
    there = load_experiment(recorded / "e.toml", {"data.path": "/elsewhere"})
    other = load_experiment(recorded / "e.toml", {"data.params": {"step": 32}})
    assert here.sha256 == there.sha256
    assert here.sha256 != other.sha256


def test_an_arm_may_not_have_data_or_a_network_of_its_own():
    for key, value in (("data", {"path": "x"}), ("network", "cnn-8x8")):
        with pytest.raises(ConfigError, match=f"`{key}` is shared by all arms"):
            parse_experiment({"arms": {"a": {key: value}}})


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown task `imu-gesture`; did you mean `imu-gestures`"):
        load_data(parse_experiment({"task": "imu-gesture"}).base)


# What a run is held to


def test_the_manifest_has_the_hash_of_every_file_and_what_the_task_was_told(recorded, tmp_path):
    manifest = run(load_experiment(recorded / "e.toml"), tmp_path / "run")
    data = manifest["data"]
    assert data["path"] == str(recorded / "boards")
    assert [source["name"] for source in data["sources"]][:2] == ["recordings.csv", "board-1-rest.csv"]
    assert all(len(source["sha256"]) == 64 for source in data["sources"])
    assert data["parameters"]["test_devices"] == "board-3"
    assert manifest["class_names"] == ["rest", "wave"]
    assert (manifest["task"]["metric"], manifest["task"]["partition"]) == ("accuracy", "natural")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.write_text(f.read_text().replace("0.980", "0.981", 1)), "board-2-wave.csv of .* SHA-256"),
        (lambda f: f.with_name("recordings.csv").write_text("file,device,label\nboard-1-rest.csv,board-1,rest\n"
                                                            "board-3-rest.csv,board-3,rest\n"), "none now"),
    ],
)  # fmt: skip
def test_resume_and_reproduce_refuse_data_that_changed_by_the_name_of_the_file(recorded, tmp_path, change, said):
    experiment, path = load_experiment(recorded / "e.toml"), tmp_path / "run"
    rundir.create(path.parent, path.name, experiment)
    closed = []
    with pytest.raises(Suspended):
        Engine(
            lambda event: closed.append(event) if isinstance(event, RoundClosed) else None,
            stop=lambda: len(closed) >= 1,
        ).run(experiment, path)
    change(recorded / "boards" / "board-2-wave.csv")
    for again in (lambda: Engine(ignore).run(rundir.load_config(path), path), lambda: reproduce(path, ignore)):
        with pytest.raises(RunError, match=said) as error:
            again()
        assert "restore the file, or start a new run" in str(error.value)


def test_data_that_moved_are_found_again_where_the_run_directory_is_told(recorded, tmp_path):
    path = tmp_path / "run"
    run(load_experiment(recorded / "e.toml"), path)
    shutil.move(recorded / "boards", tmp_path / "moved")
    with pytest.raises(Exception, match="boards does not exist"):
        reproduce(path, ignore)
    table = json.loads((path / "experiment.json").read_text())
    table["data"]["path"] = str(tmp_path / "moved")
    (path / "experiment.json").write_text(json.dumps(table))
    assert reproduce(path, ignore).identical


def test_a_finished_run_needs_its_data_no_more(recorded, tmp_path):
    path = tmp_path / "run"
    run(load_experiment(recorded / "e.toml"), path)
    shutil.rmtree(recorded / "boards")
    assert Engine(ignore).run(rundir.load_config(path), path)[0].rounds == 3


def test_a_library_that_changed_its_samples_is_noticed_too(tmp_path, digits):
    experiment, path = parse_experiment({"rounds": 1}), tmp_path / "run"
    run(experiment, path)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["task"]["dataset_sha256"] = "0" * 64
    manifest["data"]["parameters"]["scikit-learn"] = "0.1"
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"dataset_sha256 000000000000\.\. then.*scikit-learn 0\.1 then"):
        reproduce(path, ignore)


# Who holds what


def test_a_natural_partition_cuts_no_device(tmp_path):
    table = parse_experiment({**IMU, "clients": [{"count": 3}], "partition": {"name": "natural"}}).base
    task = load_data(table)
    owners = [{task.train_keys[i] for i in part} for part in split(table, 1, task)]
    assert [len(held) for held in owners] == [2, 2, 2]
    assert not owners[0] & owners[1] | owners[1] & owners[2] | owners[0] & owners[2]
    assert find_shares(table, 1, task).keys == (2, 2, 2)


def test_a_natural_partition_of_a_task_without_keys_is_refused(digits):
    run = parse_experiment({"partition": {"name": "natural"}}).base
    with pytest.raises(ConfigError, match=r"nobody knows who recorded the samples of task digits; choose another"):
        split(run, 1, load_data(run))


def drifted(count, **partition):
    return parse_experiment({"clients": [{"count": count}], "partition": {"name": "drift", **partition}}).base


def test_drift_deals_samples_at_random_and_moves_each_client_s_by_its_own_integers(digits):
    table, task = drifted(5), load_task("digits")
    parts, drifts = split(table, 1, task), draw_drifts(table, 1)
    assert len(set(drifts.values())) == 5
    for role, part in zip(make_cast(table, 1, task).roles, parts, strict=True):
        x, y, _ = datasets.unpack(role.dataset)
        drift = drifts[role.client_id]
        moved = ((128 + drift.gain_128ths) * task.train_x[part].astype(int) + 64 >> 7) + drift.bias_steps
        assert np.array_equal(x, np.clip(moved, -128, 127))
        assert np.array_equal(y, task.train_y[part])


def test_what_a_run_measures_on_a_client_s_own_samples_are_the_drifted_ones(digits):
    table, task = drifted(4), load_task("digits")
    cast = make_cast(table, 1, task)
    for role in cast.roles:
        assert np.array_equal(cast.task.train_x[role.share], datasets.unpack(role.dataset)[0])
    assert np.array_equal(cast.task.test_x, task.test_x)
    assert make_cast(parse_experiment({"clients": [{"count": 4}]}).base, 1, task).task is task


def test_a_client_s_drift_is_its_own_whoever_else_there_is(digits):
    few, many = draw_drifts(drifted(3), 1), draw_drifts(drifted(9), 1)
    assert {client: many[client] for client in few} == few
    assert draw_drifts(drifted(3), 2) != few
    assert set(draw_drifts(drifted(3, bias_steps=0, gain_128ths=0), 1).values()) == {Drift(0, 0)}


def test_the_partition_s_hash_covers_the_drift_and_nothing_else_moved(digits):
    task = load_task("digits")
    alike = make_cast(parse_experiment({"clients": [{"count": 3}], "partition": {"name": "iid"}}).base, 1, task)
    assert make_cast(drifted(3), 1, task).partition_sha256 != alike.partition_sha256
    assert drifted(3).partition.in_force() == {"partition": "drift", "bias_steps": 16, "gain_128ths": 16}


def test_the_record_of_shares_adds_up(digits):
    table = parse_experiment({"clients": [{"count": 4}], "attack": {"name": "sign-flip", "byzantine": ["dev-02"]}}).base
    record = find_shares(table, 1, load_task("digits")).record()
    assert sum(row["samples"] for row in record["clients"]) == 1437
    assert all(sum(row["counts"]) == row["samples"] for row in record["clients"])
    assert [row["client_id"] for row in record["clients"] if row["byzantine"]] == ["dev-02"]
    counts = np.array([row["counts"] for row in record["clients"]]).sum(axis=0)
    assert np.array_equal(counts, np.bincount(load_task("digits").train_y))


# Anomalies, from the sound to the report


def test_a_run_on_anomalies_is_one_model_on_every_body_and_is_measured_by_auc(run_in, tmp_path):
    table = {**MACHINE, "rounds": 3, "partition": {"name": "natural"}}
    attack = {"attack": {"name": "sign-flip", "byzantine": 1}, "defence": {"pipeline": [{"name": "median"}]}}
    native, numpy = (
        run_in({**table, **attack, "clients": [{"count": 4, "body": body}]}, tmp_path / body)
        for body in ("native", "numpy")
    )
    assert native.models() == numpy.models()
    assert [event.metric for event in native.events if isinstance(event, ArmStarted)] == ["auc"]
    shares = [row["accuracy"] for row in native.rows()]
    assert all((2 * 30 * 30 * share) == pytest.approx(round(2 * 30 * 30 * share), abs=1e-9) for share in shares), (
        "an AUC of 30 and 30 frames is a count of 1,800 halves"
    )
    assert reproduce(native.path, ignore).identical


@pytest.mark.usefixtures("unicorn")
def test_anomalies_on_an_emulated_board_give_the_same_model(run_in, tmp_path):
    table = {**MACHINE, "rounds": 1, "partition": {"name": "natural"}}
    one, two = (
        run_in({**table, "clients": [{"count": 2, "body": body}]}, tmp_path / body)
        for body in ("native", "unicorn-m4f")
    )
    assert one.models() == two.models()


def test_gestures_run_by_device_on_both_hosts_with_one_model(run_in, tmp_path):
    table = {**IMU, "rounds": 1, "partition": {"name": "natural"}}
    one, two = (
        run_in({**table, "clients": [{"count": 6, "body": body}]}, tmp_path / body) for body in ("native", "numpy")
    )
    assert one.models() == two.models()


def test_a_task_of_fewer_classes_than_its_network_runs_on_the_device_s_data_set(run):
    outcome = run({"task": "breast-cancer", "rounds": 3, "training": {"epochs": 2}, "clients": [{"count": 3}]})
    assert outcome.finals[0].accuracy >= 0.9


def test_the_network_of_a_task_can_be_chosen(run):
    outcome = run({"network": "cnn-8x8", "rounds": 1, "clients": [{"count": 3}]})
    assert json.loads((outcome.path / "manifest.json").read_text())["task"]["network"] == "cnn-8x8"
