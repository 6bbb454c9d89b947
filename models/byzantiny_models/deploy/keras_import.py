"""Lets Keras read the weights of a `.keras` or `.h5` file and answer a few samples: a program of its own, for TensorFlow.

    python -m byzantiny_models.deploy.keras_import FILE < samples.npy > weights.npz

Samples: float32 (n, features). The file is a stranger's: Keras never sees its configuration, which may name any code to
run. What Keras builds is written anew from the fields that were checked (keras_config.py); of the file it loads numbers, after a
look at what HDF5 says of their sizes and places. Output: `config`, one
array `LAYER/NUMBER` per weight, and `outputs` for the samples, before a softmax.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from byzantiny_models.deploy.keras_chain import Chain
from byzantiny_models.deploy.keras_config import read_chain
from byzantiny_models.deploy.keras_file import HDF5, read_archive, read_json
from byzantiny_models.deploy.model_file import MOST_BYTES, ModelFileError
from byzantiny_models.deploy.programs import REFUSED
from byzantiny_models.errors import ModelsError

MOST_OBJECTS = 4096
MOST_DEPTH = 16


def config_of(data: bytes, where: str) -> tuple[Any, bytes]:
    """Return the configuration and the HDF5 file of weights of a Keras file, of either kind.

    Raises:
        ModelFileError: it is damaged, or holds more than a model.
    """
    if not data.startswith(HDF5):
        return read_archive(data, where)
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{where} is a damaged HDF5 file: {error}; save the model again") from None
    if not isinstance(text, (str, bytes)):
        raise ModelFileError(f"{where} has no attribute model_config: these are weights alone; save the whole model")
    return read_json(text, f"{where}, model_config"), data


def check_weights(data: bytes, where: str) -> None:
    """Refuse an HDF5 file whose data sets lie elsewhere or unpack to more than a model's.

    Raises:
        ModelFileError: a link, a data set in another file, sizes beyond the limit, damage.
    """
    import h5py

    total = 0
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            for name, found in _data_sets(file, where, h5py):
                if found.external or found.is_virtual:
                    raise ModelFileError(f"{where}, {name}: its numbers lie in another file; do not trust this one")
                total += found.size * found.dtype.itemsize
                if total > MOST_BYTES:
                    raise ModelFileError(f"{where}, {name}: weights of more than {MOST_BYTES} bytes; that is the limit")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{where} is a damaged HDF5 file: {error}; save the model again") from None


def _data_sets(file: Any, where: str, h5py: Any) -> Iterator[tuple[str, Any]]:
    todo, seen = [("", file, 0)], 0
    while todo:
        at, group, depth = todo.pop()
        for name in group:
            seen += 1
            path = f"{at}/{name}"[:120]
            if seen > MOST_OBJECTS or depth > MOST_DEPTH:
                raise ModelFileError(
                    f"{where}: more than {MOST_OBJECTS} objects, or deeper than {MOST_DEPTH}; this is no model"
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelFileError(f"{where}, {path} is a link to elsewhere; do not trust this file")
            found = group[name]
            if isinstance(found, h5py.Group):
                todo.append((path, found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                yield path, found


def build(chain: Chain) -> Any:
    """Return the Keras model of a chain, as `Step`s say."""
    import keras

    layers = [getattr(keras.layers, step.kind)(name=step.name, **step.arguments) for step in chain.steps]
    return keras.Sequential([keras.Input(chain.input_shape), *layers])


def load(data: bytes, where: str, x: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights by `LAYER/NUMBER`, and the outputs for the samples.

    Raises:
        ModelFileError: what is not supported, or weights that do not fit the configuration.
    """
    config, weights = config_of(data, where)
    chain = read_chain(config, where)
    check_weights(weights, where)
    model = build(chain)
    with tempfile.TemporaryDirectory(prefix="byzantiny-keras-") as folder:
        # The two kinds of HDF5 that Keras writes are told apart by the ending alone.
        path = Path(folder) / ("model.h5" if data.startswith(HDF5) else "model.weights.h5")
        path.write_bytes(weights)
        try:
            model.load_weights(path)
        except Exception as error:  # Keras, h5py and TensorFlow raise whatever they like
            said = " ".join(str(error).split())[:200]
            raise ModelFileError(f"{where}: its weights do not fit its configuration: {said}") from None
    arrays = {
        f"{layer.name}/{i}": np.asarray(values)
        for layer in model.layers
        for i, values in enumerate(layer.get_weights())
    }
    outputs = model(x.reshape(len(x), *chain.input_shape), training=False)
    return {**arrays, "config": np.frombuffer(json.dumps(config).encode(), np.uint8), "outputs": np.asarray(outputs)}


def main() -> int:
    """Read the file named by the only argument and the samples from standard input; write the arrays to standard output."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    out = os.dup(1)
    os.dup2(2, 1)  # TensorFlow prints to standard output
    x = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    path = Path(sys.argv[1])
    try:
        arrays = load(path.read_bytes(), str(path), x)
    except ModelsError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    with os.fdopen(out, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
