"""Runs `.tflite` files in one interpreter package, in a process of its own: `python -m byzantiny_models.deploy.worker NAME`.

TensorFlow and tflite-runtime in one process end in a segmentation fault or, worse, in each other's numbers; tflite-runtime under
NumPy 2 imports and fails only when it is used. A process that answers has been shown to work, one that dies harms nobody.

Standard input: requests, each three u32 (the model's bytes, the samples' bytes, tensors asked for), the model, the samples
(int8), and the asked tensors' indices, u32 each; none: the output. Standard output: first a line of JSON `{"package", "version",
"resolver"}`, then per request a u32 of bytes and the answers, int8: tensor after tensor, each with its values for all samples.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Int8s = NDArray[np.int8]
Run = Callable[[bytes, Int8s, Sequence[int]], Int8s]
"""A model, samples, and the tensors to show (none: the output): their values, tensor after tensor, flat."""


def _lite(interpreter: Any, resolver: Any) -> Run:
    def run(data: bytes, samples: Int8s, tensors: Sequence[int]) -> Int8s:
        model = interpreter(
            model_content=data,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=bool(tensors),
        )
        model.allocate_tensors()
        given, taken = model.get_input_details()[0], model.get_output_details()[0]
        shown = list(tensors) or [taken["index"]]
        answers: list[list[Int8s]] = [[] for _ in shown]
        for sample in samples.reshape(-1, *given["shape"]):
            model.set_tensor(given["index"], sample)
            model.invoke()
            for found, index in zip(answers, shown, strict=True):
                found.append(model.get_tensor(index).ravel())
        return _joined(answers)

    return run


def _joined(answers: list[list[Int8s]]) -> Int8s:
    return np.concatenate([values for found in answers for values in found] or [np.zeros(0, np.int8)])


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

    def run(data: bytes, samples: Int8s, tensors: Sequence[int]) -> Int8s:
        kept = {"intrepreter_config": runtime.InterpreterConfig.kPreserveAllTensors} if tensors else {}
        model = runtime.Interpreter.from_bytes(data, **kept)
        answers: list[list[Int8s]] = [[] for _ in tensors or (0,)]
        for sample in samples.reshape(-1, *model.get_input_details(0)["shape"]):
            model.set_input(sample, 0)
            model.invoke()
            shown = [model.GetTensor(index, 0)["tensor_data"] for index in tensors] or [model.get_output(0)]
            for found, values in zip(answers, shown, strict=True):
                found.append(values.ravel().copy())
        return _joined(answers)

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
    while len(head := stdin.read(12)) == 12:
        model_bytes, sample_bytes, tensors = struct.unpack("<III", head)
        data = stdin.read(model_bytes)
        samples = np.frombuffer(stdin.read(sample_bytes), np.int8)
        asked = struct.unpack(f"<{tensors}I", stdin.read(4 * tensors))
        answer = run(data, samples, asked).astype(np.int8).tobytes()
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
