"""Experiments on any task: from the user's files to a round's score, and what is refused when the files change."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import load_experiment, parse_experiment
from byzantiny.experiment.data import open_task
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny.experiment.rundir import RunError
from byzantiny.experiment.shares import hash_shares, share_out
from byzantiny_models import datasets
from byzantiny_models.errors import PartitionError
from byzantiny_models.tasks import TASKS, load_task

OWN = [name for name, source in TASKS.items() if source.takes_files]
MIXED = [{"prefix": "dev", "count": 2}, {"prefix": "np", "count": 2, "body": "numpy"}]


@pytest.mark.parametrize("task", OWN)
def test_a_task_of_the_user_s_files_learns_and_is_pinned_file_by_file(task, own_data, run):
    partition = {"name": "natural" if TASKS[task].key else "iid", "min_samples": 1}
    table = {"task": task, "data": str(own_data(task)), "rounds": 2, "clients": MIXED, "partition": partition}
    outcome = run(table | {"training": {"epochs": 2}})
    accuracies = [row["accuracy"] for row in outcome.rows()]
    assert accuracies[-1] > 1 / len(load_task(task, own_data(task, "again")).class_names)
    assert [row["accepted"] for row in outcome.rows()] == [4, 4]
    manifest = rundir.load_manifest(outcome.path)
    assert len(manifest.sources) > 0
    assert all(len(source["sha256"]) == 64 for source in manifest.sources)
    assert manifest.task["metric"] == "accuracy"


def test_numpy_and_native_bodies_train_the_anomaly_task_to_the_same_bytes_and_the_score_is_an_auc(run):
    table = {"task": "machine-anomaly", "rounds": 3, "training": {"lr_shift": 6}, "partition": {"name": "natural"}}
    outcomes = [run(table | {"clients": [{"count": 4, "body": body}]}, f"{body}/same") for body in ("numpy", "native")]
    assert outcomes[0].models() == outcomes[1].models()
    row = outcomes[0].rows()[-1]
    assert row["accuracy"] > 0.7  # an untrained one is near 0.5 or below
    assert rundir.load_manifest(outcomes[0].path).task["metric"] == "auc"


def test_the_path_is_relative_to_the_experiment_s_folder_whatever_the_working_directory(
    own_data, tmp_path, monkeypatch
):
    own_data("recordings", "mine")
    (tmp_path / "e.toml").write_text('task = "recordings"\ndata = "mine"\n')
    monkeypatch.chdir("/")
    experiment = load_experiment(tmp_path / "e.toml")
    assert experiment.base.data == str(tmp_path / "mine")
    assert open_task(experiment).name == "recordings"


def test_data_that_move_are_the_same_experiment():
    one, two = (parse_experiment({"task": "mnist", "data": path}) for path in ("/one", "/two"))
    assert one.sha256 == two.sha256
    assert one.base.data != two.base.data


@pytest.fixture
def recorded(own_data, run):
    """A run on recordings, its last file missing as if it had been killed, and the folder of its data."""
    folder = own_data("recordings")
    outcome = run({"task": "recordings", "data": str(folder), "rounds": 1, "clients": [{"count": 2}]})
    (outcome.folder() / "final.json").unlink()
    manifest = json.loads((outcome.path / "manifest.json").read_text())
    (outcome.path / "manifest.json").write_text(json.dumps(manifest | {"finished": False}))
    return outcome, folder


def resume(path, listener):
    Engine(listener).run(rundir.load_config(path), path)


def rewrite(folder):
    file = folder / "b1-wave.csv"
    file.write_text(file.read_text().replace("1", "2", 1))


def another_index(folder):
    (folder / "b9-rest.csv").write_bytes((folder / "b1-rest.csv").read_bytes())
    with (folder / "recordings.csv").open("a") as index:
        index.write("b9-rest.csv,board-9,rest\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rewrite, r"'b1-wave.csv' has \d+ bytes of SHA-256 \w{16}\.\., the run began with .*restore that file"),
        (another_index, r"'recordings.csv' has \d+ bytes"),
    ],
)
@pytest.mark.parametrize("again", [resume, reproduce])
def test_data_that_changed_are_refused_by_the_file_s_name(recorded, change, said, again):
    outcome, folder = recorded
    change(folder)
    with pytest.raises(RunError, match=said):
        again(outcome.path, ignore)


def test_data_that_moved_are_found_where_the_run_directory_is_told(recorded, tmp_path):
    outcome, folder = recorded
    shutil.move(folder, tmp_path / "elsewhere")
    with pytest.raises(Exception, match="which does not exist; set it to the folder"):
        reproduce(outcome.path, ignore)
    config = outcome.path / "experiment.json"
    config.write_text(config.read_text().replace(str(folder), str(tmp_path / "elsewhere")))
    assert reproduce(outcome.path, ignore).identical


def test_samples_that_a_library_makes_otherwise_are_refused_with_its_version(run, monkeypatch):
    outcome = run({"rounds": 1, "clients": [{"count": 2}]})
    task = load_task("digits")
    other = type(task)(
        task.name, task.network, np.roll(task.train_x, 1, axis=0), task.train_y, task.test_x, task.test_y, 10
    )
    monkeypatch.setattr("byzantiny.experiment.data.open_task", lambda _: other)
    with pytest.raises(RunError, match=r"the samples hash to .*\(byzantiny .*numpy .*scikit-learn "):
        reproduce(outcome.path, ignore)


# Partitions


def arm(partition, task="imu-gestures", count=8):
    return parse_experiment({"task": task, "partition": partition, "clients": [{"count": count}]}).base


def test_a_natural_client_holds_whole_devices_and_every_device_is_held():
    task = load_task("imu-gestures")
    shares = share_out(arm({"name": "natural"}), 1, task)
    held = [{task.train_keys[i] for i in share.indices} for share in shares]
    assert [len(keys) for keys in held] == [3] * 8
    assert set.union(*held) == set(task.train_keys)
    assert sum(len(share.indices) for share in shares) == len(task.train_y)


def test_a_task_without_keys_has_no_natural_partition():
    with pytest.raises(PartitionError, match=r"nobody says who recorded the samples of digits.*imu-gestures"):
        share_out(arm({"name": "natural"}, "digits"), 1, load_task("digits"))


def test_more_clients_than_devices_are_refused():
    with pytest.raises(PartitionError, match="25 clients for 24 natural keys"):
        share_out(arm({"name": "natural"}, count=25), 1, load_task("imu-gestures"))


def test_drift_is_iid_through_a_sensor_of_each_client_s_own():
    task = load_task("digits")
    drift, iid = (share_out(arm({"name": name}, "digits"), 1, task) for name in ("drift", "iid"))
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(drift, iid, strict=True))
    assert len({(share.drift.bias_steps, share.drift.gain_64ths) for share in drift}) > 4
    for share, plain in zip(drift, iid, strict=True):
        assert np.array_equal(share.of(task)[0], share.drift(plain.of(task)[0]))
        assert np.array_equal(share.of(task)[1], plain.of(task)[1])


def test_a_fleet_that_grows_changes_no_device_s_drift():
    task = load_task("digits")
    few, many = (share_out(arm({"name": "drift"}, "digits", count), 1, task) for count in (4, 20))
    assert [share.drift for share in few] == [share.drift for share in many[:4]]


def test_what_drifted_is_what_the_device_holds_and_the_partition_s_hash_says_so():
    task = load_task("digits")
    run = arm({"name": "drift", "bias_steps": 40}, "digits")
    shares = share_out(run, 1, task)
    cast = make_cast(run, 1, task)
    assert [datasets.unpack(role.dataset)[0].tolist() for role in cast.roles] == [
        s.of(task)[0].tolist() for s in shares
    ]
    hashes = {
        make_cast(arm(p, "digits"), 1, task).partition_sha256
        for p in ({"name": "drift"}, {"name": "drift", "gain_64ths": 0}, {"name": "iid"})
    }
    assert len(hashes | {hash_shares(shares)}) == 4


def test_no_drift_at_all_trains_the_models_of_iid(run):
    table = {"rounds": 1, "clients": [{"count": 3}]}
    still = {"name": "drift", "bias_steps": 0, "gain_64ths": 0}
    assert run(table | {"partition": still}, "a").models() == run(table | {"partition": {"name": "iid"}}, "b").models()
