"""Somebody else's model comes onto the grid with its answers; what INT8-SR cannot train is refused by name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from byzantiny_models.deploy.c_array import c_array
from byzantiny_models.deploy.importing import Imported, read_tflite, real_forward, regrid, shape_of
from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.model_file import ModelFileError, parse_model
from byzantiny_models.deploy.template import load_template, patch
from byzantiny_models.inference import activations, forward
from byzantiny_models.networks import NETWORKS, Dense, Network

DATA = Path(__file__).parent / "data" / "deploy"


def file(name):
    return parse_model((DATA / f"{name}.tflite").read_bytes(), name)


def asked(imported, count=400):
    return np.random.default_rng(3).integers(-128, 128, (count, imported.network.features)).astype(np.int8)


def quantized(model, x):
    """The same real inputs on the file's own grid."""
    tensor = model.tensors[model.input]
    q = np.rint(x / 64 / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(q, -128, 127).astype(np.int8).reshape(len(x), *tensor.shape[1:])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mlp", "64 -> dense 32 relu -> dense 10"),
        ("cnn", "64 -> conv 8 relu -> conv 16 relu -> pool -> dense 10"),
        ("imu", "384 -> conv 8 relu -> conv 16 relu -> pool -> dense 5"),
    ],
)
def test_layers_and_weights_are_those_of_the_file(name, said):
    model = file(name)
    imported = read_tflite(model)
    assert shape_of(imported.network.layers) == said
    x = asked(imported)
    real = real_forward(imported, x / 64)[-1]
    out = model.tensors[model.output]
    theirs = (run(model, quantized(model, x)).astype(float) - out.zero_points[0]) * out.scales[0]
    inside = np.abs(quantized(model, x).reshape(len(x), -1)).max(axis=1) < 127  # what the file's grid can hold
    assert inside.sum() > 20 or name != "mlp"
    assert np.corrcoef(real.ravel(), theirs.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("name", ["mlp", "cnn", "imu"])
def test_the_model_on_the_grid_answers_as_the_real_one(name):
    imported = read_tflite(file(name))
    x = asked(imported)
    ours = forward(imported.network, regrid(imported, x), x)
    real = real_forward(imported, x / 64)[-1]
    scale = (ours * real).sum() / (real**2).sum()
    assert np.abs(ours - scale * real).max() < 0.2 * np.abs(scale * real).max()
    assert (ours.argmax(axis=1) == real.argmax(axis=1)).mean() > 0.9


def test_nothing_leaves_its_format_and_the_formats_are_used():
    imported = read_tflite(file("cnn"))
    x = asked(imported)
    model = regrid(imported, x)
    imported.network.layout.check(model)
    outputs = activations(imported.network, model, x)
    weighted = [outputs[0], outputs[1], outputs[3]]
    for values, kernel in zip(weighted, imported.network.layout.slices[::2], strict=True):
        full = np.abs(model[kernel]).max() > 0.9 * 32_512 or np.abs(values.astype(int)).max() > 0.9 * 127
        assert full, "neither the weights nor the outputs use their range"
        assert (np.abs(values.astype(int)) == 127).mean() < 0.01


def test_our_own_export_comes_back_as_it_was():
    """Round trip: a model of the zoo, deployed and imported, gives the same order of the logits everywhere."""
    network = NETWORKS["mlp-64-32-10"]
    rng = np.random.default_rng(1)
    flat = np.concatenate([rng.integers(-5000, 5001, s.elements) for s in network.layout.tensors]).astype(np.int32)
    imported = read_tflite(parse_model(patch(load_template(network.name), network, flat)), network.name)
    x = asked(imported)
    again = forward(imported.network, regrid(imported, x), x)
    before = forward(network, flat, x)
    assert (again.argmax(axis=1) == before.argmax(axis=1)).mean() > 0.93
    assert imported.network.layout.sha256 == network.layout.sha256


def test_what_a_device_cannot_train_is_refused_by_operator():
    with pytest.raises(ModelFileError, match=r"operator 1 \(DEPTHWISE_CONV_2D\) cannot be trained on a device"):
        read_tflite(file("same"))


def test_a_layer_of_zeros_cannot_be_scaled():
    network = Network("zero", (Dense(2, 2, "linear"),))
    imported = Imported(network, (np.zeros((2, 2)),), (np.ones(2),))
    with pytest.raises(ModelFileError, match="weighted layer 0: weights up to 0"):
        regrid(imported, np.ones((1, 2), np.int8))


def test_a_c_array_compiles_to_the_same_bytes(tmp_path):
    data = (DATA / "mlp.tflite").read_bytes()
    (tmp_path / "m.h").write_text(c_array(data, "mlp_model"))
    (tmp_path / "m.c").write_text(
        '#include <stdio.h>\n#include "m.h"\n'
        "int main(void) { return fwrite(mlp_model, 1, MLP_MODEL_BYTES, stdout) != MLP_MODEL_BYTES; }\n"
    )
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed (apt install gcc); it compiles the array")
    subprocess.run([gcc, "-std=c11", "-Wall", "-Werror", "m.c", "-o", "m"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "m"], capture_output=True, check=True).stdout == data


@pytest.mark.parametrize("name", ["", "9lives", "a-b", "x" * 64, "a b"])
def test_a_name_that_is_none_in_c_is_refused(name):
    with pytest.raises(ModelFileError, match="is no C name"):
        c_array(b"x", name)
