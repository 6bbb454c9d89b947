"""`byzantiny model ...`: what is written is whole and checked; what cannot be is one sentence and leaves nothing behind."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.ptq import from_real
from byzantiny_models.deploy.template import Template, load_template, patch
from byzantiny_models.float_training import to_float, train_float
from byzantiny_models.inference import accuracy
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.starts import pack_start, read_start
from byzantiny_models.tasks import load_task

Cli = Callable[..., Any]
DATA = Path(__file__).parents[1] / "models" / "data" / "deploy"
NETWORK = NETWORKS["mlp-64-32-10"]

_spec = importlib.util.spec_from_file_location("keras_files", DATA.parents[1] / "keras_files.py")
keras_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_files)


@pytest.fixture(scope="module")
def trained(digits: None) -> np.ndarray:
    """A model of the digits task, trained in floats."""
    task, rng = load_task("digits"), np.random.default_rng(1)
    start = to_float(NETWORK.layout, initial_model(NETWORK, 1))
    return from_real(NETWORK.layout, train_float(NETWORK, start, task.train_x, task.train_y, rng, epochs=6))


@pytest.fixture
def tflite(trained: np.ndarray, tmp_path: Path) -> Path:
    """The same as an int8 .tflite."""
    path = tmp_path / "own.tflite"
    path.write_bytes(patch(load_template(NETWORK.name), NETWORK, trained))
    return path


def left_behind(folder: Path, *expected: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path not in expected)


def test_a_task_is_exported_with_the_map_that_makes_it_a_template(cli: Cli, tmp_path: Path, digits: None) -> None:
    said = json.loads(cli("model", "export", "digits", "-o", "d.tflite", "--json").out)
    data = (tmp_path / "d.tflite").read_bytes()
    assert (said["bytes"], said["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert data == patch(load_template(NETWORK.name), NETWORK, initial_model(NETWORK, 1))
    assert said["checked_samples"] == 560
    assert said["runtime"]["arithmetic"] is not None
    template = Template.from_json((tmp_path / "d.json").read_bytes(), data)
    assert patch(template, NETWORK, initial_model(NETWORK, 2)) == patch(
        load_template(NETWORK.name), NETWORK, initial_model(NETWORK, 2)
    )
    again = cli("model", "export", "digits", "-o", "e.tflite", "--template", "d.tflite", "--seed", "2")
    assert again.status == 0
    assert "e.tflite    4,080 bytes, mlp-64-32-10, template d.tflite" in again.out
    assert "sha256" in again.out
    assert "arithmetic" in again.out


def test_a_run_s_model_is_exported_after_any_round(cli: Cli, finished: Path, tmp_path: Path) -> None:
    """The ledger keeps the newest model and the hashes of the others: an earlier one is run again and compared."""
    rounds = [json.loads(line) for line in (finished / "arms/main/seed-1/rounds.jsonl").read_text().splitlines()]
    for number, replayed in ((2, False), (1, True)):
        said = json.loads(cli("model", "export", "--run", finished, "--round", number, "-o", "r.tflite", "--json").out)
        assert said["source"]["model_sha256"] == rounds[number - 1]["model_sha256"]
        assert (said["source"]["round_num"], said["source"]["replayed"]) == (number, replayed)
        assert said["score"] == rounds[number - 1]["accuracy"]
        task = load_task("digits")
        answers = run(parse_model((tmp_path / "r.tflite").read_bytes()), task.test_x)
        assert float((answers.argmax(axis=1) == task.test_y).mean()) == rounds[number - 1]["accuracy"]
    assert not (tmp_path / "r.json").exists()
    header = cli("model", "c-array", "--run", finished, "-o", "model.h")
    assert (header.status, header.out.split()) == (0, ["model.h", "model[4080]"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a task or a run directory"),
        (("digits", "--run", "x"), "name a task or a run directory"),
        (("digit",), "unknown task `digit`; did you mean `digits`?"),
        (("digits", "--arm", "x"), "--arm and --round name a model of a run"),
        (("--run", "nowhere"), "nowhere is not a run directory"),
        (("digits", "--template", "none.tflite"), "none.json cannot be read (No such file or directory)"),
        (("digits", "--interpreter", "tvm"), "runtime 'tvm' is not one of tflite-runtime"),
        (("digits", "--start", "none.json"), "none.json cannot be read"),
    ],
)
def test_an_export_that_cannot_be_is_refused(
    arguments: tuple[str, ...], said: str, cli: Cli, tmp_path: Path, digits: None
) -> None:
    assert said in cli("model", "export", *arguments, "-o", "x.tflite").refusal
    assert left_behind(tmp_path) == []


def test_a_round_or_an_arm_that_was_not_is_refused(cli: Cli, finished: Path) -> None:
    assert (
        "round 9 of main, seed 1 is not one of 1 .. 2"
        in cli("model", "export", "--run", finished, "--round", 9, "-o", "x.tflite").refusal
    )
    assert (
        "unknown arm `mian`; did you mean `main`?"
        in cli("model", "export", "--run", finished, "--arm", "mian", "-o", "x.tflite").refusal
    )
    assert (
        "seed 7 is not one of the run's: 1"
        in cli("model", "export", "--run", finished, "--seed", 7, "-o", "x.tflite").refusal
    )
    assert "lies in no folder that exists" in cli("model", "export", "--run", finished, "-o", "no/x.tflite").refusal


def test_without_tensorflow_a_rebuild_says_how_to_get_it(cli: Cli, tmp_path: Path, digits: None) -> None:
    if importlib.util.find_spec("tensorflow") is not None:
        pytest.skip("TensorFlow is here; `make tensorflow` rebuilds")
    refused = cli("model", "export", "digits", "-o", "x.tflite", "--rebuild").refusal
    assert "pip install 'byzantiny[tensorflow]', or name another Python (--python)" in refused
    assert left_behind(tmp_path) == []


def test_an_import_keeps_the_answers_and_starts_an_experiment(
    cli: Cli, tflite: Path, trained: np.ndarray, tmp_path: Path
) -> None:
    said = json.loads(cli("model", "import", tflite, "--task", "digits", "-o", "s.json", "--json").out)
    task = load_task("digits")
    assert said["before"] == accuracy(NETWORK, trained, task.test_x, task.test_y) > 0.9
    start = read_start((tmp_path / "s.json").read_bytes(), NETWORK)
    assert said["after"] == accuracy(NETWORK, start.model, task.test_x, task.test_y) == said["before"]
    assert patch(load_template(NETWORK.name), NETWORK, start.model) == tflite.read_bytes(), (
        "an export comes back as it is"
    )
    assert said["provenance"]["source_sha256"] == hashlib.sha256(tflite.read_bytes()).hexdigest()
    assert said["sha256"] == hashlib.sha256((tmp_path / "s.json").read_bytes()).hexdigest()
    shown = cli("model", "import", tflite, "--task", "digits", "-o", "s.json").out
    assert "64 -> dense 32 relu -> dense 10" in shown
    assert "as trained" in shown
    assert "on the device's grid" in shown

    Path("warm.toml").write_text('rounds = 2\n[model]\nstart = "s.json"\n[[clients]]\ncount = 4\n')
    assert cli("run", "warm.toml").status == 0
    (run_dir,) = Path("runs").iterdir()
    first = json.loads((run_dir / "arms/main/seed-1/rounds.jsonl").read_text().splitlines()[0])
    assert first["accuracy"] > said["after"] - 0.05, "the first round begins where the file is"
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["task"]["start_sha256"] == said["sha256"]
    assert manifest["task"]["start_source"] == "own.tflite"

    Path("s.json").unlink()  # the run has a copy of its own
    assert "identical: 2 rounds" in cli("reproduce", run_dir).out
    assert cli("model", "export", "--run", run_dir, "--round", 1, "-o", "one.tflite").status == 0
    copy = run_dir / "start.json"
    copy.write_bytes(pack_start(NETWORK, initial_model(NETWORK, 5), {}))
    assert "start.json has SHA-256" in cli("reproduce", run_dir).refusal
    (run_dir / "arms/main/seed-1/final.json").unlink()
    assert "the run began with" in cli("resume", run_dir).refusal
    copy.unlink()
    assert "start.json cannot be read" in cli("resume", run_dir).refusal


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no starting point"),
        (b"[1]", "schema: 'list' is not 'byzantiny.start/1'"),
        (b"[" * 100_000, "is no starting point"),
        (
            pack_start(NETWORKS["cnn-8x8"], initial_model(NETWORKS["cnn-8x8"], 1), {}),
            "layout_sha256: a model of 'cnn-8x8'",
        ),
    ],
)
def test_an_experiment_refuses_what_is_no_start_of_its_network(
    content: bytes, said: str, cli: Cli, tmp_path: Path, digits: None
) -> None:
    (tmp_path / "s.json").write_bytes(content)
    (tmp_path / "e.toml").write_text('rounds = 1\n[model]\nstart = "s.json"\n')
    refusal = cli("run", "e.toml").refusal
    assert refusal.startswith("model.start: s.json")
    assert said in refusal
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "e.toml").write_text('rounds = 1\n[model]\nstart = "none.json"\n')
    assert "model.start: none.json cannot be read" in cli("run", "e.toml").refusal


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_damage_of_a_start_is_refused_in_a_sentence(data: st.DataObject) -> None:
    from byzantiny_models.starts import StartError

    table = json.loads(pack_start(NETWORK, initial_model(NETWORK, 1), {"source": "x"}))
    key = data.draw(st.sampled_from(sorted(table)))
    table[key] = data.draw(
        st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)
        | st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()) | st.dictionaries(st.text(), st.none())
    )  # fmt: skip
    try:
        found = read_start(json.dumps(table).encode(), NETWORK, "s.json")
    except StartError as error:
        found = None
        said = str(error)
    if found is None:
        assert said.startswith("s.json")
    else:
        assert key in ("provenance", "network")


def broken(change: Callable[[bytearray], None]) -> bytes:
    data = bytearray(patch(load_template(NETWORK.name), NETWORK, initial_model(NETWORK, 1)))
    change(data)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.tflite", lambda: b"", "offset 4: b'' is not the identifier b'TFL3'"),
        ("x.tflite", lambda: b"nonsense" * 9, "offset 4: b'ense' is not the identifier"),
        ("x.tflite", lambda: broken(lambda data: data.__delitem__(slice(300, None))), "x.tflite"),
        ("x.tflite", lambda: (DATA / "same.tflite").read_bytes(), "(DEPTHWISE_CONV_2D) cannot be trained on a device"),
        ("x.tflite", lambda: (DATA / "mlp.tflite").read_bytes(), "operator 0 (FULLY_CONNECTED) has 32 scales, one a channel"),
        ("x.tflite", lambda: load_template("cnn-8x8").data, "layout does not match the task's network mlp-64-32-10"),
        ("x.tflite", lambda: load_template(NETWORK.name).data, "weighted layer 0: weights up to 0.0"),
        ("x.keras", lambda: b"", "begins neither a .keras archive nor HDF5"),
        ("x.h5", lambda: b"\x89HD", "begins neither a .keras archive nor HDF5"),
        ("x.keras", lambda: keras_files.archive(None), "has no config.json"),
        (
            "x.keras",
            lambda: keras_files.archive(keras_files.mlp(), b"\0" * (80 << 20)),
            "unpacks to 83886080 bytes; the limit is 67108864",
        ),
        (
            "x.keras",
            lambda: keras_files.archive(keras_files.sequential(keras_files.layer("Lambda", "evil"))),
            "layer 'evil' (Lambda) is not supported",
        ),
        (
            "x.keras",
            lambda: keras_files.archive(keras_files.sequential(keras_files.layer("Dense", "d", units=10))),
            "the file has 64 -> dense 10, the task 64 -> dense 32 relu -> dense 10",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_one_sentence_and_nothing_is_written(
    name: str, content: Callable[[], bytes], said: str, cli: Cli, tmp_path: Path, digits: None
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    refused = cli("model", "import", name, "--task", "digits", "-o", "s.json").refusal
    assert said in refused
    assert refused.startswith((name, "weighted layer"))
    assert left_behind(tmp_path, path) == []


def test_a_keras_file_without_tensorflow_says_how_to_get_it(cli: Cli, tmp_path: Path, digits: None) -> None:
    if importlib.util.find_spec("tensorflow") is not None:
        pytest.skip("TensorFlow is here; `make tensorflow` imports")
    for name, content in (("m.keras", keras_files.archive(keras_files.mlp())), ("m.h5", keras_files.HDF5 + b"\0" * 99)):
        (tmp_path / name).write_bytes(content)
        refused = cli("model", "import", name, "--task", "digits", "-o", "s.json").refusal
        assert f"reading {name} needs TensorFlow" in refused
        assert "pip install 'byzantiny[tensorflow]'" in refused


def test_a_per_channel_file_is_taken_when_it_is_said(cli: Cli, digits: None) -> None:
    said = cli("model", "import", DATA / "mlp.tflite", "--task", "digits", "-o", "s.json", "--per-channel")
    assert said.status == 0
    assert (
        "above 0"
        in cli(
            "model", "import", DATA / "mlp.tflite", "--task", "digits", "-o", "s.json", "--input-scale", "-1"
        ).refusal
    )


def test_an_input_scale_is_what_the_features_were_multiplied_with(
    cli: Cli, trained: np.ndarray, tmp_path: Path
) -> None:
    """A model for features twice as large: half the weights of the first layer. With the scale it answers as before."""
    halved = trained.copy()
    halved[: 32 * 64] //= 2
    (tmp_path / "h.tflite").write_bytes(patch(load_template(NETWORK.name), NETWORK, halved))
    said = json.loads(
        cli("model", "import", "h.tflite", "--task", "digits", "-o", "s.json", "--input-scale", "2", "--json").out
    )
    assert said["after"] > 0.9


@pytest.mark.parametrize("command", ["import", "c-array"])
@given(content=st.binary(max_size=300), magic=st.sampled_from([b"", b"PK\x03\x04", b"\0\0\0\0TFL3"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_a_command_in_a_sentence(
    command: str, content: bytes, magic: bytes, cli: Cli, tmp_path: Path, digits: None
) -> None:
    path = tmp_path / "fuzz.bin"
    path.write_bytes(magic + content)
    arguments = ["--task", "digits"] if command == "import" else []
    assert "fuzz.bin" in cli("model", command, path, *arguments, "-o", "out.x").refusal
    assert not pathlib.Path("out.x").exists()


def test_a_full_disk_leaves_neither_half_a_file_nor_a_temporary_one(process: Cli, tmp_path: Path, digits: None) -> None:
    assert "File too large" in process("model", "export", "digits", "-o", "d.tflite", most_bytes=2000).refusal
    assert left_behind(tmp_path) == []


def test_fewer_bits_come_as_a_table_and_as_json(cli: Cli, tflite: Path, tmp_path: Path) -> None:
    assert cli("model", "import", tflite, "--task", "digits", "-o", "s.json").status == 0
    said = json.loads(cli("model", "quantize", "digits", "--start", "s.json", "--json").out)
    assert [row["bits"] for row in said["rows"]] == [8, 4, 3, 2]
    assert all(row["exported_score"] == row["integer_score"] for row in said["rows"])
    assert said["rows"][0]["integer_score"] > 0.9 > said["rows"][3]["integer_score"]
    shown = cli("model", "quantize", "digits", "--start", "s.json", "--bits", "4").out
    assert f"{100 * said['rows'][1]['integer_score']:.1f} %" in shown
    assert "numbers from 2 to 8 with commas" in cli("model", "quantize", "digits", "--bits", "9").refusal


def test_a_c_array_is_of_a_file_or_of_a_run(cli: Cli, tflite: Path, tmp_path: Path, digits: None) -> None:
    assert json.loads(cli("model", "c-array", tflite, "-o", "a-b.h", "--json").out)["name"] == "a_b"
    assert "alignas(16) static const uint8_t a_b[4080]" in (tmp_path / "a-b.h").read_text()
    assert "one of the two" in cli("model", "c-array", "-o", "x.h").refusal
    assert "is no C name" in cli("model", "c-array", tflite, "-o", "x.h", "--name", "9").refusal
    assert "is a folder" in cli("model", "c-array", tflite, "-o", tmp_path).refusal


@pytest.mark.tensorflow
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore")
def test_a_keras_model_becomes_a_start(ending: str, cli: Cli, tmp_path: Path, digits: None) -> None:
    """Trained on pixels from 0 to 1, as everybody does: the task's features are 7/64 a pixel, so the scale is 64 / (7 * 16)."""
    import keras

    keras.utils.set_random_seed(1)
    task = load_task("digits")
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(task.train_x / 112.0, task.train_y, epochs=15, verbose=0)
    model.save(f"own.{ending}")
    scale = 64 / 112
    said = json.loads(
        cli(
            "model", "import", f"own.{ending}", "--task", "digits", "-o", "s.json", "--input-scale", scale, "--json"
        ).out
    )
    keras_accuracy = model.evaluate(task.test_x / 112.0, task.test_y, verbose=0)[1]
    assert abs(said["before"] - keras_accuracy) < 1.5 / 360
    assert said["before"] > 0.93
    assert said["after"] > said["before"] - 0.02


@pytest.mark.tensorflow
def test_a_rebuilt_template_exports_the_same_bytes(cli: Cli, tmp_path: Path, digits: None) -> None:
    assert cli("model", "export", "digits", "-o", "a.tflite").status == 0
    assert "built by Keras and TensorFlow" in cli("model", "export", "digits", "-o", "b.tflite", "--rebuild").out
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()


@pytest.mark.tensorflow
def test_quantization_aware_training_is_a_row_of_its_own(cli: Cli, digits: None) -> None:
    said = json.loads(cli("model", "quantize", "digits", "--bits", "3", "--qat-epochs", "5", "--json").out)
    plain, aware = said["rows"]
    assert (plain["training"], aware["training"], aware["bits"]) == ("as it is", "quantization-aware", 3)
    assert aware["integer_score"] == aware["exported_score"] > 0.8 > plain["integer_score"]
