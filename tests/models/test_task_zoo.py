"""Every task: its card is true, its data are fixed, its int8 features are those of the documented formula."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.synthetic import imu_gestures
from byzantiny_models.tasks import TASKS, Task, TaskSource, load_task
from byzantiny_models.tasks.features import centred, ranged, scaled
from byzantiny_models.training import train

HERE = ("digits", "breast-cancer", "wine", "imu-gestures", "machine-anomaly")
"""The tasks that need no files."""


@pytest.mark.parametrize("name", HERE)
def test_the_card_says_what_is_loaded(name):
    info, task = TASKS[name].info, load_task(name)
    assert (task.name, task.metric, task.network.name) == (info.name, info.metric, info.networks[0])
    assert (task.train_keys is not None) == bool(info.key)
    assert task.origin.says
    assert task.origin.parameters, "the library's version, or what the generator was told"
    if name in ("digits", "breast-cancer", "wine"):
        assert f"{len(task.train_y):,} to train, {len(task.test_y):,} to test" in info.samples


@pytest.mark.parametrize("name", TASKS)
def test_every_network_of_a_card_is_in_the_zoo_and_of_its_metric(name):
    info = TASKS[name].info
    heads = {NETWORKS[network].head for network in info.networks}
    assert heads == {"squared-error" if info.metric == "auc" else "softmax"}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("breast-cancer", "bccf69a3af66ebf6"),
        ("wine", "d3e3aae23bf55fac"),
        ("imu-gestures", "a554bb3793f73068"),
        ("machine-anomaly", "d0ad1da2be52f124"),
    ],
)
def test_the_data_of_a_task_are_pinned(name, digest):
    """They are integers all the way: another NumPy or processor gives the same bytes."""
    task = load_task(name)
    parts = (task.train_x, task.train_y, task.test_x, task.test_y)
    assert hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16] == digest


@pytest.mark.parametrize(
    ("name", "epochs", "least"),
    [("breast-cancer", 10, 0.95), ("wine", 20, 0.95), ("imu-gestures", 5, 0.9), ("machine-anomaly", 5, 0.9)],
)
def test_a_task_can_be_learned_in_int8_from_one_pool(name, epochs, least):
    task = load_task(name)
    keys = (derive_key(1, "one", 1, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING))
    model = train(task.network, initial_model(task.network, 1), task.train_x, task.train_y, *keys, epochs, 5)
    assert score(task, forward(task.network, model, task.test_x)) >= least


def test_digits_can_be_given_to_a_convolution_on_the_same_samples():
    dense, cnn = load_task("digits"), load_task("digits", network="cnn-8x8")
    assert cnn.network.name == "cnn-8x8"
    assert np.array_equal(dense.train_x, cnn.train_x)


def test_devices_of_the_generated_tasks_are_natural_keys_and_none_is_in_both_parts():
    task = load_task("imu-gestures", params={"devices": 3, "windows": 10, "test_devices": 2})
    assert sorted(set(task.train_keys)) == ["imu-001", "imu-002", "imu-003"]
    assert task.train_keys.count("imu-002") == 10
    assert np.bincount(task.train_y).tolist() == [6] * 5
    more = load_task("imu-gestures", params={"devices": 4, "windows": 10, "test_devices": 2})
    assert np.array_equal(more.test_x, task.test_x), "the test set does not depend on how many train"


def test_gestures_keep_bias_and_gravity_only_where_they_are_not_centred():
    params = {"devices": 2, "windows": 10, "test_devices": 1}
    centre, raw = (load_task("imu-gestures", params={**params, "centre": flag}) for flag in (True, False))
    windows = centre.train_x.reshape(-1, 128, 3).astype(int)
    assert np.abs(windows.sum(axis=1)).max() <= 128 * 64, "saturation alone moves a mean"
    still = windows[raw.train_y == 0]
    assert np.abs(still.sum(axis=1)).max() <= 64, "the mean is within half a step of 0"
    assert np.abs(raw.train_x.reshape(-1, 128, 3)[raw.train_y == 0].mean(axis=1)).max() > 8, "gravity is 16 steps"


def test_faults_are_in_the_test_set_only_and_are_every_second_frame():
    task = load_task("machine-anomaly")
    assert set(task.train_y.tolist()) == {0}
    assert task.class_names == ("normal", "faulty")
    assert np.bincount(task.test_y).tolist() == [240, 240]


def test_a_centred_window_is_the_rounded_value_less_the_rounded_mean():
    x = imu_gestures(np.random.default_rng(3), 2, 5).x
    whole = [[int(np.floor(float(v) * 64 + 0.5)) for v in row] for row in x.reshape(-1, 384)]
    expected = []
    for row in whole:
        means = [(2 * sum(row[c::3]) + 128) // 256 for c in range(3)]
        expected.append([min(127, max(-128, value - means[i % 3])) for i, value in enumerate(row)])
    assert centred(x, 64).tolist() == expected


def test_scaling_saturates_at_both_ends_whatever_the_value():
    values = np.array([[3e38, -3e38, 0.0, 1e-40]], np.float32)
    assert scaled(values, 64).tolist() == [[127, -128, 0, 0]]
    assert centred(values.reshape(1, 2, 2), 64).tolist()[0][0] in (127, 0)


def test_a_column_that_does_not_vary_and_the_padding_are_zero():
    train = np.array([[1.0, 7.0], [3.0, 7.0]])
    assert ranged(train, np.array([[2.0, 9.0]]), 4).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"name": "digits", "network": "cnn-28x28"},
            "network 'cnn-28x28' is not one that task digits can use: mlp-64-32-10",
        ),
        ({"name": "digits", "params": {"seed": 1}}, "task digits has no parameter 'seed'; it has none"),
        ({"name": "imu-gestures", "params": {"device": 1}}, "no parameter 'device'; it has devices, windows"),
        ({"name": "imu-gestures", "params": {"devices": 0}}, "devices is 0; it is an integer in 1 .. 400"),
        ({"name": "imu-gestures", "params": {"devices": True}}, "devices is True; it is an integer"),
        ({"name": "imu-gestures", "params": {"centre": 1}}, "centre is 1; it is true or false"),
        ({"name": "machine-anomaly", "params": {"fault_strength": 1.5}}, "fault_strength is 1.5; it is an integer"),
    ],
)
def test_what_a_task_cannot_use_is_refused_by_name(arguments, said):
    with pytest.raises(InvalidValueError) as error:
        load_task(**arguments)
    assert said in str(error.value)


def test_a_task_that_is_not_what_its_card_says_is_refused(monkeypatch):
    digits = load_task("digits")
    wine = TaskSource(replace(TASKS["digits"].info, name="grapes"), lambda network: digits)
    monkeypatch.setitem(TASKS, "grapes", wine)
    with pytest.raises(InvalidValueError, match="its card says 'grapes' and 'accuracy'"):
        load_task("grapes")
    broken = TaskSource(replace(TASKS["digits"].info, name="grapes"), lambda network: int("x"))
    monkeypatch.setitem(TASKS, "grapes", broken)
    with pytest.raises(InvalidValueError, match=r"task grapes cannot be made: invalid literal.*check its parameters"):
        load_task("grapes")


X, Y = np.zeros((4, 64), np.int8), np.array([0, 1, 2, 3], np.uint8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": 11}, "11 classes; mlp-64-32-10 tells 10 apart"),
        ({"classes": 3}, "training label 3 is not below its 3 classes"),
        ({"train_x": X.astype(np.int16)}, "need int8"),
        ({"test_x": np.zeros((4, 63), np.int8)}, "test samples of 63 features; mlp-64-32-10 takes 64"),
        ({"test_y": Y[:3]}, "y of shape (3,)"),
        ({"test_x": X[:0], "test_y": Y[:0]}, "at least 1"),
        ({"train_keys": ("a",)}, "1 keys for 4 training samples"),
        ({"class_names": ("a", "b")}, "2 class names for 10 classes"),
    ],
)
def test_a_task_whose_parts_disagree_is_refused(change, said):
    parts = {"train_x": X.copy(), "train_y": Y.copy(), "test_x": X.copy(), "test_y": Y.copy(), "classes": 10}
    with pytest.raises(InvalidValueError) as error:
        Task("t", NETWORKS["mlp-64-32-10"], **{**parts, **change})
    assert said in str(error.value)
