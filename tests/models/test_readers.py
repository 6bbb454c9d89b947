"""Files in the real formats are read as they are meant; any other bytes are refused by file, place and limit."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers import parse_idx, read_idx_set, read_leaf, read_recordings, read_uci_har
from byzantiny_models.readers.folder import Folder
from byzantiny_models.readers.uci_har import CHANNELS


def idx(values):
    kinds = {"uint8": 8, "int8": 9, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
    values = np.asarray(values)
    big = values.astype(values.dtype.newbyteorder(">"))
    return (
        struct.pack(f">BBBB{values.ndim}I", 0, 0, kinds[values.dtype.name], values.ndim, *values.shape) + big.tobytes()
    )


def mnist_like(folder: Path, prefix="", suffix="", test="t10k"):
    rng = np.random.default_rng(0)
    sets = {}
    for part, n in (("train", 7), (test, 4)):
        images = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = np.arange(n).astype(np.uint8) % 5
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(values)
            (folder / f"{prefix}{part}-{kind}-ubyte{suffix}").write_bytes(gzip.compress(data) if suffix else data)
        sets[part] = images, labels
    return sets


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (1, 2, 3, 2)])
def test_every_type_and_dimension_of_idx_comes_back(dtype, shape):
    values = (np.arange(np.prod(shape)).reshape(shape) - 3).astype(dtype)
    read = parse_idx(idx(values))
    assert read.dtype == np.dtype(dtype)
    assert np.array_equal(read, values)


def test_the_magic_numbers_are_those_of_the_mnist_page():
    """Images 0x00000803, labels 0x00000801; data begin at offset 16 and 8."""
    images = struct.pack(">4I", 0x803, 1, 2, 2) + bytes([1, 2, 3, 4])
    assert parse_idx(images).tolist() == [[[1, 2], [3, 4]]]
    assert parse_idx(struct.pack(">2I", 0x801, 2) + bytes([7, 9])).tolist() == [7, 9]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "offset 0: magic ''"),
        (b"\x1f\x8b\x08\x00", "offset 0: magic '1f8b0800'"),
        (b"\0\0\x07\x01\0\0\0\1a", "offset 0"),
        (b"\0\0\x08\x00", "offset 3: 0 dimensions"),
        (b"\0\0\x08\xff", "offset 3: 255 dimensions; the limit is 4"),
        (b"\0\0\x08\x03\0\0\0\1", "end within the header of 16"),
        (struct.pack(">5I", 0x804, *[0xFFFFFFFF] * 4) + b"x", "the file has 21"),
        (struct.pack(">2I", 0x801, 3) + b"ab", "need 11 bytes, the file has 10"),
        (struct.pack(">2I", 0x801, 1) + b"ab", "need 9 bytes, the file has 10"),
    ],
)
def test_an_idx_file_that_is_none_is_refused_by_offset(data, said):
    with pytest.raises(DatasetError) as error:
        parse_idx(data, "file.idx")
    assert said in str(error.value)
    assert str(error.value).startswith("file.idx")


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08" + tail))
def test_any_bytes_are_an_idx_array_or_a_data_set_error(data):
    try:
        array = parse_idx(data)
    except DatasetError:
        return
    assert idx(array) == data


@pytest.mark.parametrize(("suffix", "test"), [("", "t10k"), (".gz", "t10k"), (".gz", "test")])
def test_a_set_like_mnist_is_read_from_its_four_files(tmp_path, suffix, test):
    sets = mnist_like(tmp_path, suffix=suffix, test=test)
    train, held_out = read_idx_set(tmp_path)
    for samples, part in ((train, "train"), (held_out, test)):
        assert np.array_equal(samples.x[..., 0], sets[part][0])
        assert np.array_equal(samples.y, sets[part][1])
    assert train.shape == (28, 28, 1)
    assert (train.classes, train.keys) == (5, None)
    assert train.counts.tolist() == [2, 2, 1, 1, 1]
    assert len(train.sources) == 4
    assert all(len(source.sha256) == 64 for source in train.sources)


def test_emnist_is_found_by_prefix_in_a_zip_and_turned(tmp_path):
    (tmp_path / "in").mkdir()
    sets = mnist_like(tmp_path / "in", prefix="emnist-digits-", suffix=".gz", test="test")
    mnist_like(tmp_path / "in", prefix="emnist-letters-", suffix=".gz", test="test")
    with zipfile.ZipFile(tmp_path / "emnist.zip", "w") as archive:
        for file in (tmp_path / "in").iterdir():
            archive.write(file, f"gzip/{file.name}")
    train, _ = read_idx_set(tmp_path / "emnist.zip", "emnist-digits-", transposed=True)
    assert np.array_equal(train.x[..., 0], sets["train"][0].transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d / "train-labels-idx1-ubyte").unlink(), "holds 0 files named train-labels-idx1-ubyte"),
        (lambda d: (d / "train-images-idx3-ubyte.gz").write_bytes(b""), "holds 2 files named"),
        (lambda d: (d / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(6, np.uint8))), "7 images and 6 labels"),
        (lambda d: (d / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.int32))), "int32 of (7,)"),
        (
            lambda d: (d / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((4, 8, 8), np.uint8))),
            "these are two sets",
        ),
    ],
)
def test_a_set_whose_files_disagree_is_refused(tmp_path, change, said):
    mnist_like(tmp_path)
    change(tmp_path)
    with pytest.raises(DatasetError) as error:
        read_idx_set(tmp_path)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def har(folder: Path, subjects=(1, 3), test_subjects=(2,)):
    rng = np.random.default_rng(1)
    for part, people in (("train", subjects), ("test", test_subjects)):
        n = 2 * len(people)
        (folder / part / "Inertial Signals").mkdir(parents=True)
        lines = rng.uniform(-1, 1, (n, 561))
        rows = "".join("  " + " ".join(f"{value: .7e}" for value in line) + "\n" for line in lines)
        (folder / part / f"X_{part}.txt").write_text(rows)
        (folder / part / f"y_{part}.txt").write_text("".join(f"{1 + i % 6}\n" for i in range(n)))
        (folder / part / f"subject_{part}.txt").write_text("".join(f"{s}\n{s}\n" for s in people))
        for c, channel in enumerate(CHANNELS):
            signal = np.full((n, 128), c, dtype=float) + np.arange(n)[:, None] / 10
            text = "".join(" " + " ".join(f"{v:.6e}" for v in row) + "\n" for row in signal)
            (folder / part / "Inertial Signals" / f"{channel}_{part}.txt").write_text(text)
    return lines


def test_uci_har_gives_features_or_raw_windows_by_person(tmp_path):
    har(tmp_path / "UCI HAR Dataset")
    train, test = read_uci_har(tmp_path)
    assert (train.shape, train.n, test.n, train.classes) == ((561,), 4, 2, 6)
    assert train.keys == ("subject-01", "subject-01", "subject-03", "subject-03")
    assert test.keys == ("subject-02", "subject-02")
    assert train.y.tolist() == [0, 1, 2, 3]
    raw, _ = read_uci_har(tmp_path / "UCI HAR Dataset", raw=True)
    assert raw.shape == (128, 9)
    assert np.allclose(raw.x[3, 5], np.arange(9) + 0.3)
    assert len(raw.sources) == 11


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("train/y_train.txt", "1\n2\n7\n1\n", "label 6 of sample 2 is outside 0 .. 5"),
        ("train/y_train.txt", "1 2 x 4", "is to hold numbers"),
        ("train/y_train.txt", "", "is empty"),
        ("train/y_train.txt", "1 2 3", "2244 numbers; 3 labels need 3 lines of 561"),
        ("train/subject_train.txt", "1\n1\n3\n31\n", "label 30 of sample 3 is outside 0 .. 29"),
        ("train/subject_train.txt", "1\n1\n3\n", "3 persons for 4 labels"),
        ("train/X_train.txt", "nan " * 2244, "value 0 is nan"),
        ("train/X_train.txt", "1e999 " * 2244, "value 0 is inf"),
    ],
)
def test_uci_har_files_that_disagree_are_refused(tmp_path, file, text, said):
    har(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(DatasetError) as error:
        read_uci_har(tmp_path)
    assert said in str(error.value)
    assert file in str(error.value) or "train" in str(error.value)


def leaf(folder: Path, users, part="train", name="all_data_0.json"):
    (folder / part).mkdir(parents=True, exist_ok=True)
    table = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    (folder / part / name).write_text(json.dumps(table))


def test_leaf_gives_the_samples_of_every_writer_whatever_the_order_of_the_files(tmp_path):
    image = [0.25] * 784
    leaf(tmp_path, {"w2": ([image], [61])}, name="a.json")
    leaf(tmp_path, {"w1": ([image, image], [0, 5])}, name="b.json")
    leaf(tmp_path, {"w1": ([image], [3])}, part="test")
    train, test = read_leaf(tmp_path)
    assert (train.shape, train.classes, train.keys) == ((28, 28, 1), 62, ("w1", "w1", "w2"))
    assert train.y.tolist() == [0, 5, 61]
    assert test.y.tolist() == [3]
    assert train.x.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "no list 'users'"),
        ('{"users": ["a"], "num_samples": [1]}', "no dict 'user_data'"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"b": {}}}', "name different users"),
        ('{"users": ["a", "a"], "num_samples": [1, 1], "user_data": {"a": {}}}', "name different users"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": 3}}}', "no arrays of numbers"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": [[1]], "y": [1]}}}', "x of (1, 1)"),
        ('{"users": ["a"], "num_samples": [9], "user_data": {"a": {"x": [[1,2]], "y": [1]}}}', "num_samples is 9"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": [[1,2]], "y": [1.5]}}}', "integers"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": [[1,2]], "y": [62]}}}', "label 62"),
        ('{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": [[NaN,2]], "y": [1]}}}', "value 0 is nan"),
    ],
)
def test_leaf_files_that_are_none_are_refused(tmp_path, text, said):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "x.json").write_text(text)
    with pytest.raises(DatasetError) as error:
        read_leaf(tmp_path, shape=(2,))
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_writer_in_two_files_is_refused(tmp_path):
    for name in ("a.json", "b.json"):
        leaf(tmp_path, {"w": ([[1.0]], [0])}, name=name)
    with pytest.raises(DatasetError, match="'w' has samples in another file"):
        read_leaf(tmp_path, shape=(1,))


def recordings(folder: Path, index=None):
    (folder / "a").mkdir(parents=True, exist_ok=True)
    for name, length in (("1", 5), ("2", 4)):
        rows = "".join(f"{i},{-i}\n" for i in range(length))
        (folder / "a" / f"{name}.csv").write_text("ax,ay\n" + rows)
    (folder / "recordings.csv").write_text(index or "file,device,label\na/1.csv,board-1,wave\na/2.csv,board-2,rest\n")


def test_recordings_are_cut_into_windows_by_device_with_labels_by_name(tmp_path):
    recordings(tmp_path)
    samples, labels = read_recordings(tmp_path, window=2)
    assert labels.names == ("rest", "wave")
    assert samples.x.tolist() == [[[0, 0], [1, -1]], [[2, -2], [3, -3]]] * 2
    assert samples.y.tolist() == [1, 1, 0, 0]
    assert samples.keys == ("board-1", "board-1", "board-2", "board-2")
    overlapping, _ = read_recordings(tmp_path, window=4, step=1)
    assert overlapping.x[:, 0, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("file,label\n", "line 1: columns ['file', 'label']"),
        ("file,device,label\n", "0 labels"),
        ("file,device,label\na/1.csv,b\n", "row 2: 2 cells, the header has 3"),
        ("file,device,label\n../x.csv,b,c\n", "leads out of the folder"),
        ("file,device,label\n/etc/passwd,b,c\n", "leads out of the folder"),
        ("file,device,label\nnone.csv,b,c\n", "none.csv does not exist"),
        ('file,device,label\n"a,b,c\n', "is no CSV"),
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path, index, said):
    recordings(tmp_path, index)
    with pytest.raises(DatasetError) as error:
        read_recordings(tmp_path, window=2)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ax,ay\n1,2\n", "1 samples, a window is 2"),
        ("ax,ay\n1,x\n1,2\n", "every cell below the header is a number"),
        ("ax,ay\n1,inf\n1,2\n", "sample 0, value 1 is inf"),
        ("ax\n1\n2\n", "channels ['ax']; the recordings before it have ['ax', 'ay']"),
        ("", "is empty"),
        (b"\xff\xfe", "is no CSV in UTF-8"),
    ],
)
def test_a_recording_that_is_none_is_refused(tmp_path, text, said):
    recordings(tmp_path)
    (tmp_path / "a" / "2.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError) as error:
        read_recordings(tmp_path, window=2)
    assert said in str(error.value)
    assert "a/2.csv" in str(error.value)


def test_windows_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    recordings(tmp_path)
    monkeypatch.setattr("byzantiny_models.readers.recordings.MOST_VALUES", 10)
    with pytest.raises(DatasetError, match="more than 10 numbers in all; raise the step"):
        read_recordings(tmp_path, window=2, step=1)


@pytest.mark.parametrize("name", ["../up.txt", "/root.txt", "a/../../up.txt", "C:\\x.txt", "..\\up.txt"])
def test_an_archive_with_a_name_that_leads_out_is_refused_whole(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("train/y_train.txt", "1\n")
        archive.writestr(name, "x")
    with pytest.raises(DatasetError, match="leads out of the folder; it is no data set"):
        Folder(tmp_path / "evil.zip")


def test_an_archive_with_a_link_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        info = zipfile.ZipInfo("passwd")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DatasetError, match="leads out of the folder"):
        Folder(tmp_path / "evil.zip")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(DatasetError, match="leads out of the folder"):
        Folder(tmp_path / "in").read("link")


def test_files_that_unpack_to_more_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("byzantiny_models.readers.folder.MOST_FILE_BYTES", 1000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(100_000)))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000))
    with pytest.raises(DatasetError, match="unpacks to more than 1000 bytes"):
        Folder(tmp_path).read("bomb.gz")
    with pytest.raises(DatasetError, match="has more than 1000 bytes"):
        Folder(tmp_path / "bomb.zip").read("zeros")


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_truncated_gz_is_refused(tmp_path, cut):
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(range(256)) * 20)[:-cut])
    with pytest.raises(DatasetError, match=r"no whole .gz file"):
        Folder(tmp_path).read("x.gz")


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(DatasetError, match=r"neither a folder nor a .zip"):
            Folder(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_of_every_format_give_samples_or_a_data_set_error(tmp_path_factory, data):
    """Bytes of a good file are overwritten, cut or put in; nothing but a DatasetError may come out."""
    root = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["idx", "har", "leaf", "csv"]))
    make, read = {
        "idx": (mnist_like, read_idx_set),
        "har": (har, read_uci_har),
        "leaf": (lambda d: [leaf(d, {"w": ([[0.5]], [1])}, part) for part in ("train", "test")],
                 lambda d: read_leaf(d, shape=(1,))),
        "csv": (recordings, lambda d: read_recordings(d, window=2)),
    }[kind]  # fmt: skip
    make(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    file = files[data.draw(st.integers(0, len(files) - 1))]
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, max(0, min(len(content), 200) - 1)))
    action = data.draw(st.sampled_from(["set", "cut", "insert"]))
    if action == "cut":
        del content[at:]
    else:
        content[at : at + (action == "set")] = data.draw(st.binary(min_size=1, max_size=4))
    file.write_bytes(content)
    try:
        samples = read(root)
    except DatasetError as error:
        assert str(root) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert samples[0].n > 0
