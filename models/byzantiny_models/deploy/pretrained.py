"""A user's pretrained file, `.tflite`, `.keras` or `.h5`, as a task's network with real weights: read, checked, answered."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy.files import read_file
from byzantiny_models.deploy.importing import (
    Imported,
    adopt,
    quantized_inputs,
    read_tflite,
    real_forward,
    real_outputs,
    regrid,
)
from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.keras_chain import Chain, fold
from byzantiny_models.deploy.keras_config import read_chain
from byzantiny_models.deploy.keras_file import HDF5, is_keras, read_archive
from byzantiny_models.deploy.model_file import ModelFileError, parse_model
from byzantiny_models.deploy.programs import run_program
from byzantiny_models.deploy.template import as_template, patch
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks import Task

_PROGRAM = "byzantiny_models.deploy.keras_import"
CALIBRATION = 512
"""Training samples that activations are measured on."""
AGREE = 1e-3
"""How far our reading of a Keras model may be from Keras's own answers, of the largest; both are float, summed in other orders."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What was read: the weights as the task's network has them, and the file's own real outputs for the test samples."""

    kind: str
    sha256: str
    imported: Imported
    outputs: NDArray[np.float64]
    input_scale: float
    exported: NDArray[np.int32] | None = None
    """The integers of a file that is on the grid already."""

    def on_the_grid(self, task: Task) -> NDArray[np.int32]:
        """Return the model on the project's grid, int32 (d,) of the whole network: one that comes from there as it is.

        Raises:
            ModelFileError: weights or activations that cannot be scaled.
        """
        if self.exported is not None and self.input_scale == 1:
            return self.exported
        return regrid(self.imported, task.train_x[:CALIBRATION], self.input_scale)


def read_pretrained(
    path: Path, task: Task, *, input_scale: float = 1.0, per_channel: bool = False, python: str = sys.executable
) -> Pretrained:
    """Return a file's weights for a task; it was trained on `input_scale x / 64`, x the task's int8 samples.

    Raises:
        ModelFileError: no such file, one that is damaged or hostile, layers that cannot be trained or are not the task's.
        MissingDependencyError: a Keras file, and `python` has no TensorFlow.
        InvalidValueError: an input scale that is not above 0.
    """
    if not 0 < input_scale < 1e6:
        raise InvalidValueError(
            f"input scale {input_scale}: it is above 0 and below 1,000,000; 1 leaves the inputs as they are"
        )
    data = read_file(path)
    reader = _read_keras if is_keras(data) else _read_tflite
    kind, imported, outputs = reader(data, path, task, input_scale, per_channel, python)
    native = exported_integers(imported, data) if kind == "tflite" else None
    return Pretrained(kind, hashlib.sha256(data).hexdigest(), imported, outputs, input_scale, native)


def exported_integers(imported: Imported, data: bytes) -> NDArray[np.int32] | None:
    """Return the integers of a `.tflite` that exporting them gives back byte for byte; None of a file on another grid.

    Masters have the export's int8 weights and zeros below.
    """
    network, layout = imported.network, imported.network.layout
    model = np.zeros(layout.d, dtype=np.int32)
    values = [part for pair in zip(imported.kernels, imported.biases, strict=True) for part in pair]
    for tensor, spec, where in zip(values, layout.tensors, layout.slices, strict=True):
        steps = np.rint(tensor.reshape(-1) * 2.0**spec.frac)
        if not (np.abs(steps) <= spec.limit).all() or (tensor.ndim > 1 and not steps.any()):
            return None  # another grid; or a layer of zeros, which `regrid` refuses by name
        model[where] = steps
    try:
        return model if patch(as_template(network, data), network, model) == data else None
    except ModelFileError:
        return None


def _read_tflite(
    data: bytes, path: Path, task: Task, input_scale: float, per_channel: bool, python: str
) -> tuple[str, Imported, NDArray[np.float64]]:
    del python
    if path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        raise ModelFileError(
            f"{path}, offset 0: {data[:8]!r} begins neither a .keras archive nor HDF5; save the model again"
        )
    model = parse_model(data, str(path))
    try:
        imported = adopt(read_tflite(model, per_channel_dense=per_channel), task.network, str(path))
        asked = quantized_inputs(model, task.test_x, input_scale)
        return "tflite", imported, real_outputs(model, run(model, asked))
    except InvalidValueError as error:
        raise ModelFileError(f"{'' if str(error).startswith(str(path)) else f'{path}: '}{error}") from None


def _read_keras(
    data: bytes, path: Path, task: Task, input_scale: float, per_channel: bool, python: str
) -> tuple[str, Imported, NDArray[np.float64]]:
    del per_channel
    if not data.startswith(HDF5):
        _adopted(read_chain(read_archive(data, str(path))[0], str(path)), task)  # refused before Keras is started
    x = (task.test_x.astype(np.float32) / 64 * input_scale).astype(np.float32)
    samples = io.BytesIO()
    np.save(samples, x)
    said = run_program(_PROGRAM, samples.getvalue(), f"reading {path}", arguments=[str(path)], python=python)
    with np.load(io.BytesIO(said), allow_pickle=False) as archive:
        answer: dict[str, NDArray[Any]] = dict(archive)
    chain = read_chain(json.loads(answer.pop("config").tobytes()), str(path))
    network = _adopted(chain, task)
    outputs = answer.pop("outputs").astype(np.float64)
    arrays: dict[str, list[NDArray[Any]]] = {}
    for key, values in answer.items():
        arrays.setdefault(key.rpartition("/")[0], []).append(values)
    imported = fold(chain, network, arrays)
    ours = real_forward(imported, x.astype(np.float64))[-1]
    if ours.shape != outputs.shape or np.abs(ours - outputs).max() > AGREE * max(1.0, float(np.abs(outputs).max())):
        raise ModelFileError(
            f"{path}: Keras answers otherwise than its layers say they do; save it with Keras 3 and try again"
        )
    return "keras", imported, outputs


def _adopted(chain: Chain, task: Task) -> Any:
    own = chain.network("imported", "softmax")
    return adopt(Imported(own, (), ()), task.network, chain.where).network
