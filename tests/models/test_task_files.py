"""Tasks of files in the real formats: what they become, what they are pinned by, and what is refused; nothing half-read."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import DatasetError, InvalidValueError
from byzantiny_models.tasks import TASKS, Task, load_task

FILES = [name for name, source in TASKS.items() if source.reads_files]


def leaf_images(formats, folder):
    rng = np.random.default_rng(5)
    for part, writers in (("train", ("f01", "f02")), ("test", ("f03",))):
        users = {w: (rng.uniform(0, 1, (3, 784)).round(3).tolist(), [0, 10, 61]) for w in writers}
        formats.leaf(folder, users, part)


def letters(formats, folder):
    sets = formats.mnist_like(folder, prefix="emnist-letters-", test="test")
    for part, (_, labels) in sets.items():  # 1 .. 26, as EMNIST has them
        (folder / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(formats.idx(labels + np.uint8(1)))


MAKE = {
    "mnist": lambda formats, folder: formats.mnist_like(folder),
    "emnist-letters": letters,
    "uci-har": lambda formats, folder: formats.har(folder),
    "femnist": leaf_images,
    "recordings": lambda formats, folder: formats.device_recordings(folder),
}


@pytest.fixture
def made(formats, tmp_path):
    """A folder with a small set in a task's format."""

    def make(name):
        MAKE[name](formats, tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("name", MAKE)
def test_every_file_is_pinned_by_its_sha256_once(made, name):
    folder = made(name)
    sources = load_task(name, path=folder).origin.sources
    on_disk = {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and "Inertial" not in str(file)
    }
    assert {source.name: source.sha256 for source in sources} == on_disk
    assert len(sources) == len(on_disk)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_images_become_their_pixels_halved(formats, tmp_path, name, suffix):
    sets = formats.mnist_like(tmp_path, suffix=suffix)
    task = load_task(name, path=tmp_path)
    assert task.train_x.tolist() == (sets["train"][0].reshape(7, 784) // 2).tolist()
    assert task.test_y.tolist() == sets["t10k"][1].tolist()
    assert (task.classes, task.network.name, task.train_keys) == (10, "cnn-28x28", None)


def test_the_letters_of_emnist_begin_at_zero_and_stand_upright(formats, tmp_path):
    letters(formats, tmp_path)
    sets = formats.mnist_like(tmp_path / ".", prefix="other-", test="test")
    task = load_task("emnist-letters", path=tmp_path)
    assert task.train_y.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert task.class_names[0] == "a"
    assert task.train_x[0].tolist() == (sets["train"][0][0].T.ravel() // 2).tolist()


def test_uci_har_is_sixty_four_times_its_features_by_person(made):
    folder = made("uci-har")
    task = load_task("uci-har", path=folder)
    written = np.loadtxt(folder / "train" / "X_train.txt").astype(np.float32)
    assert np.abs(task.train_x / 64 - written).max() <= 0.5 / 64 + 1e-6
    assert task.train_keys == ("subject-01", "subject-01", "subject-03", "subject-03")
    assert task.class_names[1] == "walking upstairs"


def test_the_paper_of_femnist_is_zero_and_its_ink_is_large(formats, tmp_path):
    x = [[1.0] * 783 + [0.0]]
    for part in ("train", "test"):
        formats.leaf(tmp_path, {"w": (x, [10])}, part)
    task = load_task("femnist", path=tmp_path)
    assert task.train_x[0].tolist() == [0] * 783 + [127]
    assert task.train_keys == ("w",)
    assert task.class_names[task.train_y[0]] == "A"


def test_recordings_are_split_by_device_and_scaled_by_a_power_of_two(made):
    task = load_task("recordings", path=made("recordings"))
    assert sorted(set(task.train_keys)) == ["board-1", "board-2"]
    assert (len(task.train_y), len(task.test_y), task.class_names) == (12, 6, ("rest", "wave"))
    assert task.origin.parameters == {"step": 64, "test_devices": "board-3", "scale": 128.0, "centre": "false"}
    assert task.train_x.reshape(12, 128, 3)[0, 0].tolist() == [0, 0, 125], "0.98 * 128"


def test_recordings_take_the_test_devices_the_step_and_the_scale_they_are_given(made):
    params = {"test_devices": ["board-1"], "step": 128, "scale": 10, "centre": True}
    task = load_task("recordings", path=made("recordings"), params=params)
    assert sorted(set(task.train_keys)) == ["board-2", "board-3"]
    assert (len(task.train_y), len(task.test_y)) == (8, 4)
    assert task.train_x.reshape(8, 128, 3)[0, :, 2].tolist() == [0] * 128, "gravity is gone"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"test_devices": ["board-9"]}, "it is a list of some, not all, of board-1, board-2, board-3"),
        ({"test_devices": ["board-1", "board-2", "board-3"]}, "some, not all"),
        ({"test_devices": []}, "some, not all"),
        ({"scale": 0}, "scale is 0; a value times it is int8, a number in 0 .. 2^30"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"step": 0}, "step is 0; it is an integer in 1 .. 128"),
    ],
)
def test_parameters_of_recordings_that_make_no_sense_are_refused(made, params, said):
    with pytest.raises(InvalidValueError) as error:
        load_task("recordings", path=made("recordings"), params=params)
    assert said in str(error.value)


def test_recordings_of_one_device_or_of_too_many_labels_are_refused(formats, tmp_path):
    formats.device_recordings(tmp_path / "one", devices=("board-1",))
    with pytest.raises(DatasetError, match=r"of device 'board-1'; a test set needs another one, record with two"):
        load_task("recordings", path=tmp_path / "one")
    formats.device_recordings(tmp_path / "six", labels=tuple("abcdef"))
    with pytest.raises(InvalidValueError, match=r"6 classes; conv1d-imu tells 5 apart"):
        load_task("recordings", path=tmp_path / "six")


@pytest.mark.parametrize("name", FILES)
def test_a_task_of_files_without_a_path_says_what_it_needs(name):
    with pytest.raises(InvalidValueError) as error:
        load_task(name)
    assert str(error.value).startswith(f"task {name} reads files and has no path; it needs data.path: the folder")


@pytest.mark.parametrize("name", FILES)
def test_a_place_that_holds_another_set_is_refused_by_its_path(made, tmp_path, name):
    folder = made("recordings" if name != "recordings" else "mnist")
    with pytest.raises(DatasetError) as error:
        load_task(name, path=folder)
    assert str(tmp_path) in str(error.value)
    with pytest.raises(InvalidValueError, match="nowhere does not exist; task"):
        load_task(name, path=tmp_path / "nowhere")


def test_a_path_for_a_task_that_reads_none_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match=r"task digits reads no files, but data\.path is"):
        load_task("digits", path=tmp_path)


def test_images_of_another_size_and_labels_beyond_the_set_are_refused(formats, tmp_path):
    formats.mnist_like(tmp_path)
    for part in ("train", "t10k"):
        images = formats.idx(np.zeros((7 if part == "train" else 4, 32, 32), np.uint8))
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
    with pytest.raises(DatasetError, match=r"samples of 32 x 32 x 1; task mnist with cnn-28x28 takes 28 x 28 x 1"):
        load_task("mnist", path=tmp_path)
    formats.mnist_like(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(formats.idx(np.uint8([0, 1, 10, 3])))
    with pytest.raises(DatasetError, match=r"label 10 of sample 2 is outside 0 .. 9"):
        load_task("mnist", path=tmp_path)


def test_features_outside_their_documented_range_are_refused(formats, tmp_path):
    formats.har(tmp_path / "har")
    file = tmp_path / "har" / "test" / "X_test.txt"
    file.write_text(file.read_text().replace(file.read_text().split()[0], "1.5", 1))
    with pytest.raises(DatasetError, match=r"sample 0, value 0 is 1.5, outside -1 .. 1"):
        load_task("uci-har", path=tmp_path / "har")


@pytest.mark.parametrize("name", MAKE)
def test_files_are_read_again_each_time_for_they_may_have_changed(made, name):
    folder = made(name)
    assert load_task(name, path=folder) is not load_task(name, path=folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_folder_gives_a_whole_task_or_an_error_that_names_the_folder(formats, tmp_path_factory, data):
    """Files are overwritten, cut, emptied, doubled or removed; a task that is made is valid in all its parts."""
    root = tmp_path_factory.mktemp("fuzz")
    name = data.draw(st.sampled_from(sorted(MAKE)))
    MAKE[name](formats, root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and "Inertial" not in str(path))
    for _ in range(data.draw(st.integers(1, 2))):
        file = files[data.draw(st.integers(0, len(files) - 1))]
        _damage(file, data)
    try:
        task = load_task(name, path=root)
    except DatasetError as error:
        assert str(root) in str(error)  # noqa: PT017 - either outcome is right
        assert "\n" not in str(error)  # noqa: PT017
    except InvalidValueError as error:
        assert f"task {name}" in str(error)  # noqa: PT017 - labels or a shape that the network has no room for
    else:
        assert isinstance(task, Task)
        assert int(task.train_y.max()) < task.classes
        assert task.train_x.shape[1] == task.network.features
    finally:
        shutil.rmtree(root)


def _damage(file, data):
    action = data.draw(st.sampled_from(["set", "cut", "insert", "remove", "empty", "double"]))
    if action == "remove" or not file.exists():
        file.unlink(missing_ok=True)
        return
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, max(0, min(len(content), 300) - 1)))
    if action == "cut":
        del content[at:]
    elif action == "empty":
        content.clear()
    elif action == "double":
        content *= 2
    else:
        content[at : at + (action == "set")] = data.draw(st.binary(min_size=1, max_size=4))
    file.write_bytes(content)
