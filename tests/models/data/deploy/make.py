"""Makes the models of this folder and what the runtimes answer; run in two environments, since the two do not mix.

    python make.py models OUT      with tensorflow 2.21: the models (random weights, scales of any value), and TF's answers
    python make.py answers OUT     with tflite-runtime 2.14, tflite-micro and numpy < 2: theirs; writes answers.npz

Made with tensorflow 2.21.0, keras 3.15.1, tflite-runtime 2.14.0, tflite-micro 0.dev20261023182759.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NAMES = ("mlp", "cnn", "same", "imu")
INPUTS = 300


def inputs(shape):
    return np.random.default_rng(1).integers(-128, 128, (INPUTS, *shape)).astype(np.int8)


def build(keras, name):
    layers = keras.layers
    tables = {
        "mlp": [keras.Input((64,), batch_size=1), layers.Dense(32, activation="relu"), layers.Dense(10)],
        "cnn": [
            keras.Input((8, 8, 1), batch_size=1),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ],
        "same": [
            keras.Input((9, 7, 3), batch_size=1),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.AveragePooling2D(2, padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dense(4),
        ],
        "imu": [
            keras.Input((128, 3), batch_size=1),
            layers.Conv1D(8, 5, strides=2, activation="relu"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.AveragePooling1D(4),
            layers.Flatten(),
            layers.Dense(5),
        ],
    }
    return keras.Sequential(tables[name])


def models(out: Path) -> None:
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    rng = np.random.default_rng(0)
    for name in NAMES:
        model = build(keras, name)
        for w in model.weights:
            w.assign(rng.normal(0, 0.35 if w.ndim > 1 else 0.2, w.shape))
        samples = rng.normal(0, 1, (64, *model.inputs[0].shape[1:])).astype(np.float32)
        function = tf.function(lambda x, model=model: model(x))
        concrete = function.get_concrete_function(tf.TensorSpec(model.inputs[0].shape, tf.float32))
        converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda samples=samples: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        (out / f"{name}.tflite").write_bytes(converter.convert())
    from tensorflow.lite.python.interpreter import Interpreter, OpResolverType

    kinds = {"mixed": OpResolverType.BUILTIN_REF, "xnnpack-fp32": OpResolverType.AUTO}
    np.savez(
        out / "tf.npz",
        **{f"{n}/{a}": ask(Interpreter, out / f"{n}.tflite", k) for n in NAMES for a, k in kinds.items()},
    )


def ask(interpreter, path: Path, kind) -> np.ndarray:
    runtime = interpreter(str(path), experimental_op_resolver_type=kind)
    runtime.allocate_tensors()
    given, taken = runtime.get_input_details()[0], runtime.get_output_details()[0]
    answers = []
    for x in inputs(tuple(given["shape"][1:])):
        runtime.set_tensor(given["index"], x[None])
        runtime.invoke()
        answers.append(runtime.get_tensor(taken["index"])[0].copy())
    return np.array(answers)


def answers(out: Path) -> None:
    from tflite_micro.python.tflite_micro import runtime as tflm
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    found = dict(np.load(out / "tf.npz"))
    for name in NAMES:
        path = out / f"{name}.tflite"
        found[f"{name}/ruy"] = ask(Interpreter, path, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        reference = ask(Interpreter, path, OpResolverType.BUILTIN_REF)
        micro = tflm.Interpreter.from_file(str(path))
        said = []
        for x in inputs(tuple(micro.get_input_details(0)["shape"][1:])):
            micro.set_input(x[None], 0)
            micro.invoke()
            said.append(micro.get_output(0)[0].copy())
        assert np.array_equal(reference, said), "tflite-runtime's reference kernels and TFLM differ"
        found[f"{name}/tflm-double"] = reference
    np.savez_compressed(out / "answers.npz", **found)
    (out / "tf.npz").unlink()


if __name__ == "__main__":
    {"models": models, "answers": answers}[sys.argv[1]](Path(sys.argv[2]))
