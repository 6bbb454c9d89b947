"""Builds a network in Keras and converts it to an int8 `.tflite`: a program of its own, the only one that imports TensorFlow.

    python -m byzantiny_models.deploy.keras_export < description.json > model.tflite

The description is `{"seed": 0, "layers": [{"kind": "dense", ...}, ...]}` (`template.describe`). Weights and biases are small random
numbers, none zero: the converter drops a zero bias, and later patches would have nowhere to go. Converted with frozen
variables, batch 1 and per-tensor dense layers: fewer operators, the same bytes every time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def build(description: dict[str, Any]) -> Any:
    """Return the Keras model of a description, with its weights drawn."""
    import keras

    def pair(layer: dict[str, Any], key: str) -> Any:
        value = layer[key]
        return tuple(value) if isinstance(value, list) else value

    kinds: dict[str, Callable[[dict[str, Any]], Any]] = {
        "dense": lambda k: keras.layers.Dense(k["outputs"], activation=k["activation"]),
        "conv2d": lambda k: keras.layers.Conv2D(
            k["filters"],
            pair(k, "kernel"),
            strides=pair(k, "strides"),
            padding=k["padding"],
            activation=k["activation"],
        ),
        "conv1d": lambda k: keras.layers.Conv1D(
            k["filters"], k["kernel"], strides=k["stride"], padding=k["padding"], activation=k["activation"]
        ),
        "average-pool2d": lambda k: keras.layers.AveragePooling2D(pair(k, "pool")),
        "average-pool1d": lambda k: keras.layers.AveragePooling1D(k["pool"]),
        "flatten": lambda _: keras.layers.Flatten(),
    }
    shape = description["input_shape"]
    layers = [kinds[layer["kind"]](layer) for layer in description["layers"]]
    model = keras.Sequential([keras.Input(tuple(shape), batch_size=1), *layers])
    rng = np.random.default_rng(description["seed"])
    for weights in model.weights:
        drawn = rng.uniform(0.02, 0.3, weights.shape) * rng.choice([-1.0, 1.0], weights.shape)
        weights.assign(drawn)
    return model


def convert(model: Any, seed: int) -> bytes:
    """Return the model as an int8 `.tflite`, its ranges measured on random numbers: they are patched afterwards."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(lambda x: model(x))
    concrete = function.get_concrete_function(tf.TensorSpec(model.inputs[0].shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
    samples = np.random.default_rng(seed).uniform(-2, 2, (32, *model.inputs[0].shape)).astype(np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001 - TFLite has no other way
    return bytes(converter.convert())


def main() -> int:
    """Read the description from standard input, write the model to standard output; everything else goes to stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    out = os.dup(1)
    os.dup2(2, 1)  # TensorFlow prints to standard output
    description = json.load(sys.stdin)
    model = convert(build(description), description["seed"])
    with os.fdopen(out, "wb") as stream:
        stream.write(model)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
