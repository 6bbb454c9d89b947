"""Tasks by name: what their cards say is what they load, what a user's files become, and what is refused how."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import TASKS, load_task
from byzantiny_models.tasks.scaling import moved, ranged, to_int8
from byzantiny_models.training import train

OWN = [name for name, source in TASKS.items() if source.takes_files]
THERE = [name for name, source in TASKS.items() if not source.takes_files]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_loads_what_its_card_says(name, own_data):
    source = TASKS[name]
    task = load_task(name, own_data(name) if source.takes_files else None)
    assert (task.name, task.network.name, task.metric) == (name, source.network, source.metric)
    assert (task.train_keys is not None) == bool(source.key)
    assert all((source.data, source.samples, source.features))
    assert len(task.origin.sources) == (4 if "mnist" in name and name != "femnist" else len(task.origin.sources))
    assert bool(task.origin.sources) == source.takes_files
    assert task.train_x.shape[1] == task.network.features


@pytest.mark.parametrize("name", THERE)
def test_the_number_of_samples_on_the_card_is_the_number_there_is(name):
    task = load_task(name)
    said = [int(word.replace(",", "")) for word in TASKS[name].samples.split() if word[0].isdigit()]
    assert {len(task.train_y), len(task.test_y)} <= set(said)
    if task.train_keys is not None:
        assert len(set(task.train_keys)) in said
    assert load_task(name) is task


def test_tasks_of_this_package_are_pinned():
    """A platform that makes another sample would show here, and in every model after it."""

    def digest(name):
        task = load_task(name)
        parts = (task.train_x, task.train_y, task.test_x, task.test_y)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    assert digest("imu-gestures") == "2cd8d46adec80680"
    assert digest("breast-cancer") == "bccf69a3af66ebf6"
    assert digest("wine") == "d3e3aae23bf55fac"
    assert digest("machine-anomaly") == "ff405ca29dba6e90"


def test_the_devices_that_test_never_train():
    for name in ("imu-gestures", "machine-anomaly"):
        task = load_task(name)
        train = {row.tobytes() for row in task.train_x}
        assert not train & {row.tobytes() for row in task.test_x}


def test_the_anomaly_task_trains_on_normal_frames_alone_and_tests_on_half_faulty_ones():
    task = load_task("machine-anomaly")
    assert set(task.train_y) == {0}
    assert task.test_y.mean() == 0.5
    assert task.class_names == ("normal", "faulty")


def test_images_are_halved_and_emnist_turned(own_data):
    plain, turned = (load_task(name, own_data(name, name)) for name in ("fashion-mnist", "emnist-digits"))
    assert plain.train_x.min() >= 0
    assert plain.train_x.max() == 125  # the patch is 250
    assert np.array_equal(plain.train_x.reshape(-1, 28, 28).transpose(0, 2, 1), turned.train_x.reshape(-1, 28, 28))
    assert turned.origin.sources[0].name.startswith("emnist-digits-")


def test_the_letters_of_emnist_count_from_zero_and_a_label_of_zero_is_none(own_data):
    folder = own_data("emnist-letters")
    task = load_task("emnist-letters", folder)
    assert task.train_y[:3].tolist() == [0, 1, 2]
    assert (task.classes, task.class_names[0], task.network.name) == (26, "a", "cnn-28x28-62")
    for file in folder.glob("*-labels-*"):
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-1] + b"\0"))
    assert "(labels from 1): label -1 of sample 79 is outside 0 .. 25" in refusal("emnist-letters", folder)


@pytest.mark.parametrize(("name", "measured"), [("breast-cancer", 30), ("wine", 13)])
def test_measurements_fill_their_range_and_what_is_left_of_the_network_is_zero(name, measured):
    task = load_task(name)
    assert set(task.train_x[:, :measured].min(axis=0).tolist()) == {-64}
    assert set(task.train_x[:, :measured].max(axis=0).tolist()) == {64}
    assert not task.train_x[:, measured:].any()
    assert not task.test_x[:, measured:].any()


@pytest.mark.parametrize(("name", "epochs"), [("breast-cancer", 10), ("wine", 20)])
def test_measurements_can_be_learned_in_int8(name, epochs):
    task = load_task(name)
    keys = (derive_key(1, "one", 1, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING))
    model = train(task.network, initial_model(task.network, 1), task.train_x, task.train_y, *keys, epochs, 5)
    assert score(task, forward(task.network, model, task.test_x)) >= 0.95


def test_femnist_has_ink_above_and_paper_at_zero(own_data):
    task = load_task("femnist", own_data("femnist"))
    patch = task.train_x.reshape(-1, 28, 28)[0, :7, :7]
    assert set(np.unique(patch)) == {round(250 / 255 * 127)}
    assert task.train_keys[:9] == ("w0",) * 9
    assert task.class_names[10] == "A"
    assert task.class_names[-1] == "z" or task.classes < 62


def test_the_features_of_uci_har_are_their_own_numbers_in_64ths(own_data):
    task = load_task("uci-har", own_data("uci-har"))
    rows = np.arange(len(task.train_y))
    assert set(task.train_x[rows, task.train_y]) == {64}
    assert np.abs(np.delete(task.train_x, range(6), axis=1)).max() <= 20  # 0.3 * 64 = 19.2
    assert set(task.train_keys) == {f"subject-{n:02d}" for n in range(1, 9)}


def test_recordings_are_split_by_device_and_gravity_is_taken_out(own_data):
    task = load_task("recordings", own_data("recordings"))
    assert set(task.train_keys) == {"board-1", "board-2", "board-3", "board-4"}  # 5 and 0 test
    assert len(task.test_y) == 2 * 2 * 3
    assert task.class_names == ("rest", "wave")
    still = task.train_x[task.train_y == 0].reshape(-1, 128, 3)
    assert np.abs(still.mean(axis=1)).max() < 1
    assert np.abs(still).max() < 10
    assert np.abs(task.train_x[task.train_y == 1]).max() > 55


def test_a_zip_gives_the_task_that_its_folder_gives(own_data, tmp_path):
    folder = own_data("uci-har")
    archive = shutil.make_archive(str(tmp_path / "har"), "zip", folder)
    one, two = (load_task("uci-har", path) for path in (folder, tmp_path / archive))
    assert np.array_equal(one.train_x, two.train_x)
    assert [s.sha256 for s in one.origin.sources] == [s.sha256 for s in two.origin.sources]


# What is refused, and how


def refusal(name, path=None):
    with pytest.raises(InvalidValueError) as error:
        load_task(name, path)
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(f"task {name}")
    assert said.count(f"task {name}:") <= 1
    return said


@pytest.mark.parametrize("name", OWN)
def test_a_task_of_files_without_a_path_says_what_to_set(name):
    said = refusal(name)
    assert "set `data`, beside `task`, to the folder or .zip" in said
    assert "nothing is downloaded" in said


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", ["nowhere", "empty", "file", "another"])
def test_a_path_that_leads_to_something_else_is_refused_with_what_it_should_lead_to(name, kind, own_data, tmp_path):
    path = {
        "nowhere": lambda: tmp_path / "nowhere",
        "empty": lambda: tmp_path,
        "file": lambda: tmp_path / "x.txt",
        "another": lambda: own_data("uci-har" if name != "uci-har" else "recordings"),
    }[kind]()
    if kind == "file":
        path.write_text("x")
    said = refusal(name, path)
    assert str(path) in said
    assert TASKS[name].files in said


@pytest.mark.parametrize("name", THERE)
def test_a_task_without_files_refuses_a_path(name, tmp_path):
    assert "remove `data`" in refusal(name, tmp_path)


def test_images_of_another_size_are_refused_even_with_as_many_pixels(own_data):
    folder = own_data("mnist", suffix="")
    for part, n in (("train", 80), ("t10k", 20)):
        file = folder / f"{part}-images-idx3-ubyte"
        data = file.read_bytes()
        file.write_bytes(data[:8] + (14).to_bytes(4, "big") + (56).to_bytes(4, "big") + data[16:])
        assert n
    assert "samples of 14 x 56 x 1; cnn-28x28, the network of mnist, takes 28 x 28 x 1" in refusal("mnist", folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": "ax,ay"}, "samples of 128 x 2; conv1d-imu, the network of recordings, takes 128 x 3"),
        (
            {"labels": ("a", "b", "c", "d", "e", "f")},
            "6 labels (a, b, c, d, e, f); conv1d-imu tells 5 apart, merge some",
        ),
        ({"devices": 1}, "1 device, 'board-0'; need at least 2"),
    ],
)
def test_recordings_that_do_not_fit_the_network_are_refused(own_data, changes, said):
    assert said in refusal("recordings", own_data("recordings", **changes))


def test_a_label_that_the_set_does_not_have_is_refused_by_its_sample(own_data):
    folder = own_data("mnist", suffix="")
    file = folder / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x0b")
    assert "label 11 of sample 79 is outside 0 .. 9; relabel it" in refusal("mnist", folder)


@pytest.mark.parametrize("pixel", ["1.5", "-0.01", "1e30"])
def test_femnist_pixels_outside_their_range_are_refused_by_place(own_data, pixel):
    folder = own_data("femnist")
    file = folder / "train" / "all_data_0.json"
    text = file.read_text()
    at = text.index('"x": [[') + len('"x": [[')
    file.write_text(text[:at] + pixel + text[text.index(",", at) :])
    assert f"sample 0, value 0 is {np.float32(pixel)}, outside 0.0 .. 1.0" in refusal("femnist", folder)


@pytest.fixture(scope="module")
def folders(data_makers, tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in data_makers.items()}


@settings(deadline=None, max_examples=60)  # a busy machine takes its time over uci-har's text
@given(data=st.data())
def test_a_file_cut_or_changed_anywhere_gives_a_sentence_or_a_task(data, folders):
    """Hostile data at the level of a task: never another exception, never half a task."""
    name = data.draw(st.sampled_from(OWN))
    file = data.draw(st.sampled_from(sorted(path for path in folders[name].rglob("*") if path.is_file())))
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    file.write_bytes(
        data.draw(st.sampled_from([whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole + whole[at:]]))
    )
    said = f"task {name}: "
    try:
        assert load_task(name, folders[name]).name == name
    except InvalidValueError as error:
        said = str(error)
    finally:
        file.write_bytes(whole)
    assert said.startswith(f"task {name}: ")


# Scaling


@given(st.lists(st.tuples(*[st.integers(-(10**6), 10**6)] * 3), min_size=1, max_size=8))
def test_a_column_s_range_becomes_that_of_sixty_four_exactly(rows):
    table = np.array(rows, dtype=np.float64)
    low, high = table.min(axis=0), table.max(axis=0)
    for row, found in zip(rows, ranged(table, low, high, 5).tolist(), strict=True):
        exact = [Fraction(128 * (v - int(a)), max(1, int(b - a))) for v, a, b in zip(row, low, high, strict=True)]
        nearest = [int(q + Fraction(1, 2)) - 64 if b > a else 0 for q, a, b in zip(exact, low, high, strict=True)]
        assert found == [*nearest, 0, 0]


@given(x=st.floats(-1e6, 1e6, width=32), factor=st.integers(-1000, 1000), offset=st.integers(-100, 100))
def test_features_are_rounded_half_away_exactly(x, factor, offset):
    exact = (Fraction(x) - offset) * factor
    rounded = int(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
    assert to_int8(np.array([[x]], np.float32), factor, offset).tolist() == [[max(-128, min(127, rounded))]]


@given(st.lists(st.tuples(*[st.integers(-4000, 4000)] * 3), min_size=128, max_size=128), st.integers(-2000, 2000))
def test_what_moved_does_not_see_a_bias(milli, bias):
    x = np.array([milli]) / 1000
    assert np.array_equal(moved(x), moved((np.array([milli]) + bias) / 1000))


def test_what_moved_is_the_distance_from_the_mean_in_64ths():
    x = np.zeros((1, 128, 3), np.float32)
    x[0, 0] = [1.28, -1.28, 100.0]
    # The means are 10, -10 and 781 (100,000 / 128 = 781.25): what is far is clamped.
    assert moved(x).reshape(128, 3)[0].tolist() == [81, -81, 127]
    assert moved(x).reshape(128, 3)[1].tolist() == [-1, 1, -50]
