"""Runs `.tflite` files in one interpreter package, in a process of its own: `python -m byzantiny_models.deploy.worker NAME`.

TensorFlow and tflite-runtime in one process end in a segmentation fault or, worse, in each other's numbers; tflite-runtime under
NumPy 2 imports and fails only when it is used. A process that answers has been shown to work, one that dies harms nobody.

Standard input: requests, each a u32 of the model's bytes, a u32 of the samples' count, the model, the samples (int8). Standard
output: first a line of JSON `{"package", "version", "resolver"}`, then per request a u32 of bytes and the outputs (int8).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Int8s = NDArray[np.int8]
Run = Callable[[bytes, Int8s], Int8s]


def _lite(interpreter: Any, resolver: Any) -> Run:
    def run(data: bytes, samples: Int8s) -> Int8s:
        model = interpreter(model_content=data, experimental_op_resolver_type=resolver)
        model.allocate_tensors()
        given, taken = model.get_input_details()[0], model.get_output_details()[0]
        shaped = samples.reshape(-1, *given["shape"])
        answers = []
        for sample in shaped:
            model.set_tensor(given["index"], sample)
            model.invoke()
            answers.append(model.get_tensor(taken["index"]).copy())
        return np.concatenate(answers)

    return run


def _tflite_runtime() -> tuple[Run, str, str]:
    import tflite_runtime
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    return _lite(Interpreter, OpResolverType.BUILTIN_REF), tflite_runtime.__version__, "BUILTIN_REF"


def _ai_edge_litert() -> tuple[Run, str, str]:
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return _lite(Interpreter, OpResolverType.BUILTIN_REF), version("ai-edge-litert"), "BUILTIN_REF"


def _tensorflow() -> tuple[Run, str, str]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from tensorflow.lite.python.interpreter import Interpreter, OpResolverType

    return _lite(Interpreter, OpResolverType.BUILTIN_REF), tf.__version__, "BUILTIN_REF"


def _tflite_micro() -> tuple[Run, str, str]:
    from importlib.metadata import version

    from tflite_micro.python.tflite_micro import runtime

    def run(data: bytes, samples: Int8s) -> Int8s:
        model = runtime.Interpreter.from_bytes(data)
        shaped = samples.reshape(-1, *model.get_input_details(0)["shape"])
        answers = []
        for sample in shaped:
            model.set_input(sample, 0)
            model.invoke()
            answers.append(model.get_output(0).copy())
        return np.concatenate(answers)

    return run, version("tflite-micro"), "all operators"


PACKAGES: dict[str, Callable[[], tuple[Run, str, str]]] = {
    "tflite-runtime": _tflite_runtime,
    "ai-edge-litert": _ai_edge_litert,
    "tf.lite": _tensorflow,
    "tflite-micro": _tflite_micro,
}
"""In the order of preference; each loads its package and returns how to run a model, the version and the resolver."""


def serve(run: Run, stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Answer requests until the input ends."""
    while len(head := stdin.read(8)) == 8:
        model_bytes, sample_bytes = struct.unpack("<II", head)
        data = stdin.read(model_bytes)
        answer = run(data, np.frombuffer(stdin.read(sample_bytes), np.int8)).astype(np.int8).tobytes()
        stdout.write(struct.pack("<I", len(answer)) + answer)
        stdout.flush()


def main() -> int:
    """Load the package named by the only argument and serve."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # the packages print; the answers have the pipe for themselves
        run, version, resolver = PACKAGES[sys.argv[1]]()
        out.write(json.dumps({"package": sys.argv[1], "version": version, "resolver": resolver}).encode() + b"\n")
        out.flush()
        serve(run, sys.stdin.buffer, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
