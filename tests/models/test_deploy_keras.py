"""Keras files: read field by field without Keras, folded exactly; what is hostile or not supported is one sentence."""

from __future__ import annotations

import importlib.util
import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.deploy.importing import real_forward, shape_of
from byzantiny_models.deploy.keras_chain import fold
from byzantiny_models.deploy.keras_config import SUPPORTED, read_chain
from byzantiny_models.deploy.keras_file import read_archive
from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.deploy.programs import run_program
from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.layers import AveragePool2D, Conv2D, Dense, Flatten

_spec = importlib.util.spec_from_file_location("keras_files", pathlib.Path(__file__).parent / "keras_files.py")
keras_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_files)
archive, layer, mlp, sequential = keras_files.archive, keras_files.layer, keras_files.mlp, keras_files.sequential


def functional(*layers, output="d"):
    """The same layers as Keras 3 writes a functional model."""
    before, found = None, []
    for each in layers:
        name = each["config"]["name"]
        nodes = [] if before is None else [{"args": [{"config": {"keras_history": [before, 0, 0]}}], "kwargs": {}}]
        found.append({**each, "name": name, "inbound_nodes": nodes})
        before = name
    return {"class_name": "Functional", "config": {"layers": found, "output_layers": [output, 0, 0]}}


INPUT = layer("InputLayer", "i", batch_shape=[None, 4])
DENSE = layer("Dense", "d", units=2)


def test_a_chain_of_every_supported_layer_is_read():
    chain = read_chain(
        sequential(
            layer("Conv2D", "c", filters=8, kernel_size=[3, 3], use_bias=False, activation="linear", groups=1),
            layer("BatchNormalization", "n", axis=-1, epsilon=0.001),
            layer("ReLU", "r", max_value=None, negative_slope=0.0, threshold=0.0),
            layer("Dropout", "o", rate=0.2),
            layer("AveragePooling2D", "p", pool_size=[2, 2], padding="valid", strides=[2, 2]),
            layer("Flatten", "f"),
            layer("Dense", "d", units=10),
            layer("Softmax", "s", axis=-1),
            shape=(8, 8, 1),
        ),
        "m.keras",
    )
    assert chain.layers == (
        Conv2D((8, 8, 1), 8, (3, 3), (1, 1), "valid", "relu"),
        AveragePool2D((6, 6, 8), (2, 2)),
        Flatten((3, 3, 8)),
        Dense(72, 10, "linear"),
    )
    assert [(held.name, held.use_bias, held.norm) for held in chain.held] == [("c", False, "n"), ("d", True, "")]
    assert [step.kind for step in chain.steps] == [
        "Conv2D", "BatchNormalization", "ReLU", "AveragePooling2D", "Flatten", "Dense",
    ]  # fmt: skip


def test_a_functional_model_of_one_line_is_a_chain_and_a_branch_is_refused():
    second = layer("Dense", "e", units=3)
    assert shape_of(read_chain(functional(INPUT, DENSE), "m").layers) == "4 -> dense 2"
    branch = functional(INPUT, DENSE, second, output="e")
    branch["config"]["layers"][2]["inbound_nodes"] = [{"args": [{"config": {"keras_history": ["i", 0, 0]}}]}]
    with pytest.raises(ModelFileError, match=r"layer 'e' \(Dense\) takes \['i'\], before it is 'd'; only one chain"):
        read_chain(branch, "m")
    with pytest.raises(ModelFileError, match="its output is not that of its last layer, 'd'"):
        read_chain(functional(INPUT, DENSE, output="i"), "m")
    old = {"class_name": "Model", "config": {"layers": [
        {**INPUT, "name": "i", "inbound_nodes": []}, {**DENSE, "name": "d", "inbound_nodes": [[["i", 0, 0, {}]]]},
    ], "output_layers": [["d", 0, 0]]}}  # fmt: skip
    assert shape_of(read_chain(old, "m").layers) == "4 -> dense 2"


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([layer("Lambda", "x", function="evil")], r"layer 'x' \(Lambda\) is not supported; supported are InputLayer, Dense"),
        ([layer("LSTM", "x", units=3)], r"layer 'x' \(LSTM\) is not supported"),
        ([layer("DepthwiseConv2D", "x")], r"\(DepthwiseConv2D\) is not supported"),
        ([layer("Dense", "x", units=3, activation="tanh")], r"layer 'x' \(Dense\): activation tanh; linear, relu, or softmax"),
        ([layer("Dense", "x", units=3, activation={"module": "os", "class_name": "system", "config": "id"})], "activation"),
        ([layer("Dense", "x", units=0)], r"layer 'x' \(Dense\): units 0; it is 1 .. 65536"),
        ([layer("Dense", "x", units=True)], "units True"),
        ([layer("Dense", "x", units="9")], "units 9"),
        ([layer("Dense", "x", units=2, use_bias="no")], "use_bias no"),
        ([layer("Dense", "x", units=2), layer("Dense", "x", units=2)], "has the name 'x'; names differ"),
        ([layer("Dense", "x", units=2, activation="softmax"), layer("Dense", "y", units=2)], "comes after a softmax"),
        ([layer("BatchNormalization", "x")], "does not follow a linear layer with weights"),
        ([layer("Dense", "x", units=2, activation="relu"), layer("BatchNormalization", "y")], "does not follow a linear"),
        ([layer("Dense", "x", units=2), layer("BatchNormalization", "y", epsilon=-1)], "epsilon -1; it is between 0 and 1"),
        ([layer("ReLU", "x")], "does not follow a layer with weights"),
        ([layer("Dense", "x", units=2), layer("ReLU", "y", max_value=6.0)], "max_value 6.0 is not supported"),
        ([layer("Dense", "x", units=60_000), layer("Dense", "y", units=60_000)], "weights; the limit is 16777216"),
        ([layer("Flatten", "x")], "no layer with weights"),
        ([layer("Conv2D", "x", filters=2, kernel_size=3)], r"on a shape of \(64,\); it takes 3 sides"),
    ],
)  # fmt: skip
def test_what_a_device_cannot_train_is_refused_by_the_layer_s_name(layers, said):
    with pytest.raises(ModelFileError, match=said) as refused:
        read_chain(sequential(*layers), "own.keras")
    assert str(refused.value).startswith("own.keras: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel_size": [9, 9]}, "does not fit into"),
        ({"kernel_size": [3, 3], "dilation_rate": [2, 2]}, "dilation_rate"),
        ({"kernel_size": [3, 3], "groups": 2}, "groups 2 is not supported; only 1 is"),
        ({"kernel_size": [3, 3], "data_format": "channels_first"}, "data_format channels_first is not supported"),
        ({"kernel_size": [3, 3], "padding": "causal"}, "padding causal; valid or same"),
        ({"kernel_size": [3]}, "kernel_size"),
    ],
)
def test_a_convolution_s_options_are_checked(options, said):
    with pytest.raises(ModelFileError, match=said):
        read_chain(sequential(layer("Conv2D", "c", filters=2, **options), shape=(8, 8, 1)), "m")


def test_a_normalization_is_folded_into_the_weights():
    """Against Keras's formula, (x W + b - mean) / sqrt(variance + epsilon) gamma + beta, computed here on samples."""
    chain = read_chain(
        sequential(
            layer("Dense", "a", units=3, activation="linear", use_bias=False),
            layer("BatchNormalization", "n", epsilon=0.01),
            layer("Activation", "r", activation="relu"),
            layer("Dense", "b", units=2),
            shape=(4,),
        ),
        "m",
    )
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 2))
    gamma, beta, mean, variance, bias = (rng.uniform(0.5, 2, size) for size in (3, 3, 3, 3, 2))
    imported = fold(chain, chain.network("n"), {"a": [a], "n": [gamma, beta, mean, variance], "b": [b, bias]})
    x = rng.normal(size=(50, 4))
    hidden = np.maximum((x @ a - mean) / np.sqrt(variance + 0.01) * gamma + beta, 0)
    assert np.allclose(real_forward(imported, x)[-1], hidden @ b + bias)


def test_weights_that_do_not_fit_are_refused_by_layer():
    chain = read_chain(sequential(layer("Dense", "a", units=2), shape=(3,)), "m.h5")
    network = chain.network("n")
    good = np.ones((3, 2))
    for arrays, said in (
        ({}, "layer 'a': 0 arrays of weights, 2 finite ones"),
        ({"a": [good]}, "1 arrays"),
        ({"a": [good * np.nan, np.ones(2)]}, "finite"),
        ({"a": [np.ones((2, 2)), np.ones(2)]}, r"weights of \(2, 2\) and \(2,\), its configuration asks for \(2, 3\)"),
        ({"a": [good, np.ones(3)]}, "weights of"),
        ({"a": [np.float64(1), np.ones(2)]}, "finite ones are needed"),
    ):
        with pytest.raises(ModelFileError, match=said):
            fold(chain, network, arrays)


def bomb():
    """Claims what it holds: 200 MB of zeros in 200 KB."""
    return archive(mlp(), weights=b"\0" * (200 << 20))


def liar():
    """The same, but its directory says that it unpacks to 100 bytes."""
    data = bytearray(archive(mlp(), weights=keras_files.HDF5 + b"\0" * (66 << 20)))
    size = (66 << 20) + 8
    while (at := data.find(size.to_bytes(4, "little"))) >= 0:
        data[at : at + 4] = (100).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bomb, "model.weights.h5 unpacks to 209715200 bytes; the limit is 67108864"),
        (liar, "damaged .keras archive|unpacks to more"),
        (lambda: archive(None), "has no config.json"),
        (lambda: archive(mlp(), weights=None), "has no model.weights.h5"),
        (lambda: archive("{"), "config.json is not JSON"),
        (lambda: archive("[" * 100_000), "config.json is not JSON"),
        (lambda: archive(" " * (5 << 20)), "config.json unpacks to 5242880 bytes; the limit is 4194304"),
        (lambda: archive(mlp(), weights=b"no hdf5"), "offset 0: b'no hdf5' is not the signature of HDF5"),
        (lambda: archive(mlp(), extra=[("../evil", b"x")]), "member '../evil' leaves the folder"),
        (lambda: archive(mlp(), extra=[("/etc/passwd", b"x")]), "member '/etc/passwd' leaves the folder"),
        (lambda: archive(mlp(), extra=[("a\\..\\..\\b", b"x")]), "leaves the folder"),
        (lambda: archive(mlp(), extra=[(f"m{i}", b"") for i in range(100)]), "103 members; a .keras file has 3"),
        (lambda: archive(mlp())[:200], "is a damaged .keras archive"),
        (lambda: b"PK\x03\x04", "is a damaged .keras archive"),
    ],
)
def test_a_hostile_archive_is_refused_in_a_sentence(data, said):
    with pytest.raises(ModelFileError, match=said):
        read_archive(data(), "own.keras")


GOOD = archive(mlp(), compression=zipfile.ZIP_STORED)


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, len(GOOD)),
)
@settings(max_examples=150, deadline=None)
def test_any_damage_of_an_archive_gives_a_chain_or_an_error_of_its_own(changes, length):
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    for damaged in (bytes(data), bytes(data[:length])):
        try:
            config, _ = read_archive(damaged, "m")
            read_chain(config, "m")
        except ModelFileError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["class_name", "config", "layers", "name", "units", "batch_shape", "inbound_nodes", "activation"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.sampled_from([*SUPPORTED, "Sequential", "Functional"]))
@settings(max_examples=200, deadline=None)
def test_any_json_gives_a_chain_or_an_error_of_its_own(value, kind):
    for config in (value, {"class_name": kind, "config": value}, sequential({"class_name": kind, "config": value})):
        try:
            read_chain(config, "m")
        except ModelFileError:
            continue


def test_a_program_without_tensorflow_says_how_to_get_it(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'keras'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(
        MissingDependencyError, match=r"reading m needs TensorFlow, .*pip install 'byzantiny\[tensorflow\]'"
    ):
        run_program("byzantiny_models.deploy.keras_import", b"", "reading m", python=str(python))
    with pytest.raises(MissingDependencyError, match="cannot be started"):
        run_program("byzantiny_models.deploy.keras_import", b"", "reading m", python=str(tmp_path / "none"))
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(ModelFileError, match=r"gave no answer within 0\.2 s"):
        run_program("byzantiny_models.deploy.keras_import", b"", "reading m", python=str(python), timeout_s=0.2)


def saved(keras, path, seed=1):
    """A model with every supported layer, its normalization moved away from the identity."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((8, 8, 1)), layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Dropout(0.2), layers.Conv2D(16, 3, activation="relu"), layers.AveragePooling2D(2), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rng = np.random.default_rng(seed)
    for weights in model.weights:
        weights.assign(
            rng.uniform(0.1, 0.5, weights.shape) * rng.choice([-1, 1] if len(weights.shape) > 1 else [1], weights.shape)
        )
    model.save(path)
    return model


@pytest.mark.tensorflow
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore")
def test_keras_and_our_reading_of_its_file_agree(tmp_path, ending):
    import keras

    path = tmp_path / f"m.{ending}"
    model = saved(keras, path)
    x = np.random.default_rng(2).uniform(-2, 2, (20, 64)).astype(np.float32)
    given_ = io.BytesIO()
    np.save(given_, x)
    said = run_program("byzantiny_models.deploy.keras_import", given_.getvalue(), "reading", arguments=[str(path)])
    answer = dict(np.load(io.BytesIO(said), allow_pickle=False))
    chain = read_chain(json.loads(answer.pop("config").tobytes()), path.name)
    logits = answer.pop("outputs")
    arrays = {}
    for key, values in answer.items():
        arrays.setdefault(key.rpartition("/")[0], []).append(values)
    ours = real_forward(fold(chain, chain.network("m"), arrays), x.astype(float))[-1]
    theirs = np.asarray(model(x.reshape(-1, 8, 8, 1), training=False))
    assert np.abs(ours - logits).max() < 1e-4 * np.abs(logits).max()
    softmax = np.exp(ours - ours.max(axis=1, keepdims=True))
    assert np.allclose(softmax / softmax.sum(axis=1, keepdims=True), theirs, atol=1e-4)


@pytest.mark.tensorflow
def test_hdf5_that_points_elsewhere_or_holds_too_much_is_refused(tmp_path):
    import h5py

    from byzantiny_models.deploy.keras_import import check_weights, config_of

    def file(fill):
        path = tmp_path / "w.h5"
        with h5py.File(path, "w") as opened:
            fill(opened)
        return path.read_bytes()

    (tmp_path / "secret").write_bytes(b"x" * 64)
    for fill, said in (
        (lambda f: f.create_dataset("v", (8,), "f8", external=[(str(tmp_path / "secret"), 0, 64)]), "lie in another file"),
        (lambda f: f.__setitem__("v", h5py.ExternalLink("/etc/passwd", "/x")), "is a link to elsewhere"),
        (lambda f: f.__setitem__("v", h5py.SoftLink("/y")), "is a link to elsewhere"),
        (lambda f: f.create_dataset("v", (1 << 26,), "f4", compression="gzip", chunks=(1 << 20,)), "more than 67108864 bytes"),
    ):  # fmt: skip
        with pytest.raises(ModelFileError, match=said):
            check_weights(file(fill), "w.h5")
    with pytest.raises(ModelFileError, match="weights alone"):
        config_of(file(lambda f: f.create_dataset("v", (8,), "f8")), "w.h5")
    with pytest.raises(ModelFileError, match="damaged HDF5"):
        config_of(keras_files.HDF5 + b"\1" * 100, "w.h5")


@pytest.mark.tensorflow
def test_quantization_aware_training_wins_back_what_two_bits_cost(digits):
    """reference/tflite.md 6: 20.9 % after rounding to 2 bits, 88.9 % trained on them; the same order here."""
    from byzantiny_models.deploy.ptq import from_real, requantize, step_exponents
    from byzantiny_models.deploy.qat import train_quantized
    from byzantiny_models.float_training import to_float, train_float
    from byzantiny_models.inference import accuracy
    from byzantiny_models.networks import initial_model
    from byzantiny_models.tasks import load_task

    task = load_task("digits")
    network, rng = task.network, np.random.default_rng(1)
    real = train_float(
        network, to_float(network.layout, initial_model(network, 1)), task.train_x, task.train_y, rng, epochs=8
    )
    model = from_real(network.layout, real)
    rounded = accuracy(network, requantize(network, model, 2), task.test_x, task.test_y)
    trained = train_quantized(network, model, task.train_x, task.train_y, 2, 10)
    assert accuracy(network, trained, task.test_x, task.test_y) > max(0.85, rounded + 0.02)
    assert np.array_equal(requantize(network, trained, 2), trained)
    assert len(step_exponents(network, trained, 2)) == 4
