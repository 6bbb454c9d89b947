"""Trains a network in Keras with weights of a few bits, faked in floats: a program of its own, for TensorFlow.

    python -m byzantiny_models.deploy.keras_qat < given.npz > model.npy

Given: `description` (JSON of `template.describe`, with bits, epochs, seed, head), `model` (whole, real units, layout order),
`trainable` (a bool per tensor), `x` int8 (n, features), `y`. Straight-through: a rounded value goes forward, its gradient as if
it had not been rounded (Y. Bengio, N. Leonard, A. Courville, arXiv 1308.3432, 2013). The steps are powers of two and chosen
anew every epoch by the rule of ptq.py; activations lie on the device's grids, Q5 in between and Q3 (or Q6) at the end.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from typing import Any

import numpy as np

from byzantiny_models.deploy.ptq import best_exponent, most_level
from byzantiny_models.layouts import HIDDEN_FRAC, INPUT_FRAC, LOGIT_FRAC

BATCH = 32
LEARNING_RATE = 1e-3
WEIGHTED = ("dense", "conv2d", "conv1d")


def faked(keras: Any, values: Any, step: Any, low: float, high: float) -> Any:
    """Return values on a grid of `step` between low and high steps; the gradient is that of the clamp alone."""
    ops = keras.ops
    clamped = ops.clip(values, low * step, high * step)
    return clamped + ops.stop_gradient(ops.floor(clamped / step + 0.5) * step - clamped)


def make_layer(keras: Any, table: dict[str, Any], bits: int, frac: int, trained: tuple[bool, bool]) -> Any:
    """Return a weighted layer, kernel faked in `bits` bits, outputs on the grid 2^-frac; `trained`: kernel, bias."""
    relu = table["activation"] == "relu"

    class FakeQuantized(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            kernel, filters = _kernel_shape(table, shape[-1])
            self.kernel = self.add_weight(shape=kernel, name="kernel", trainable=trained[0])
            self.bias = self.add_weight(shape=(filters,), name="bias", trainable=trained[1])
            self.step = self.add_weight(shape=(), name="step", initializer="ones", trainable=False)
            self.most = self.add_weight(shape=(), name="most", initializer="ones", trainable=False)

        def choose(self) -> None:
            real = np.asarray(self.kernel, dtype=np.float64).ravel()
            own = bits if trained[0] else 8  # what is frozen is int8 already
            s = best_exponent(real, own)
            self.step.assign(math.ldexp(1.0, -s))
            self.most.assign(most_level(s, own))

        def call(self, x: Any) -> Any:
            kernel = faked(keras, self.kernel, self.step, -self.most, self.most)
            if table["kind"] == "dense":
                y = keras.ops.matmul(x, kernel)
            else:
                strides = table["strides"] if table["kind"] == "conv2d" else table["stride"]
                y = keras.ops.conv(x, kernel, strides=strides, padding=table["padding"], data_format="channels_last")
            return faked(keras, y + self.bias, 2.0**-frac, 0 if relu else -128, 127)

    return FakeQuantized()


def _kernel_shape(table: dict[str, Any], channels: int) -> tuple[tuple[int, ...], int]:
    if table["kind"] == "dense":
        return (channels, table["outputs"]), table["outputs"]
    sides = table["kernel"] if table["kind"] == "conv2d" else [table["kernel"]]
    return (*sides, channels, table["filters"]), table["filters"]


def train(given: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the trained model, real units, in the order it was given."""
    import keras

    told = json.loads(given["description"].tobytes())
    keras.utils.set_random_seed(told["seed"])
    last = max(i for i, table in enumerate(told["layers"]) if table["kind"] in WEIGHTED)
    end = LOGIT_FRAC if told["head"] == "softmax" else INPUT_FRAC
    layers: list[Any] = []
    weighted: list[Any] = []
    for i, table in enumerate(told["layers"]):
        if table["kind"] in WEIGHTED:
            kernel, bias = given["trainable"][2 * len(weighted) :][:2]
            frac = end if i == last else HIDDEN_FRAC
            weighted.append(make_layer(keras, table, told["bits"], frac, (bool(kernel), bool(bias))))
            layers.append(weighted[-1])
        elif table["kind"] == "flatten":
            layers.append(keras.layers.Flatten())
        elif table["kind"] == "average-pool2d":
            layers.append(keras.layers.AveragePooling2D(tuple(table["pool"])))
        else:
            layers.append(keras.layers.AveragePooling1D(table["pool"]))
    model = keras.Sequential([keras.Input(tuple(told["input_shape"])), *layers])
    _put(weighted, given["model"])
    softmax = told["head"] == "softmax"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if softmax else keras.losses.MeanSquaredError()
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss=loss)
    x = (given["x"].astype(np.float32) / 64).reshape(len(given["x"]), *told["input_shape"])
    y = given["y"].astype(np.int32) if softmax else x.reshape(len(x), -1)
    for _ in range(told["epochs"]):
        for layer in weighted:
            layer.choose()
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    return _taken(weighted)


def _put(weighted: list[Any], real: np.ndarray[Any, Any]) -> None:
    """Give every layer its numbers: (outputs, ..., inputs) in the layout, (..., inputs, outputs) in Keras."""
    at = 0
    for layer in weighted:
        shape = tuple(layer.kernel.shape)
        size, outputs = math.prod(shape), shape[-1]
        kernel = real[at : at + size].reshape(outputs, *shape[:-1])
        layer.kernel.assign(np.moveaxis(kernel, 0, -1))
        layer.bias.assign(real[at + size : at + size + outputs])
        at += size + outputs


def _taken(weighted: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    parts = []
    for layer in weighted:
        parts += [np.moveaxis(np.asarray(layer.kernel), -1, 0).ravel(), np.asarray(layer.bias)]
    return np.concatenate(parts).astype(np.float64)


def main() -> int:
    """Read what is given from standard input, write the trained model to standard output."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    out = os.dup(1)
    os.dup2(2, 1)  # TensorFlow prints to standard output
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as archive:
        trained = train(dict(archive))
    saved = io.BytesIO()  # NumPy asks a file for its position, which a pipe has not
    np.save(saved, trained)
    with os.fdopen(out, "wb") as stream:
        stream.write(saved.getvalue())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
