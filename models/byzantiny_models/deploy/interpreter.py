"""Runs a `.tflite` in NumPy, bit for bit as a named runtime would: the oracle where no interpreter is installed.

Sums are exact: products of int8 are added in float64 below 2^53. What the runtimes do differently is the requantisation
(`arithmetic`). Inputs are a batch in front of the file's batch of 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from byzantiny_models.deploy.arithmetic import DEVICE, Arithmetic, requantize
from byzantiny_models.deploy.model_file import MOST_ELEMENTS, ModelFile, ModelFileError, Operator, TensorInfo
from byzantiny_models.products import product_by_rows

Int8s = NDArray[np.int8]


def run(model: ModelFile, x: Int8s, arithmetic: Arithmetic = DEVICE) -> Int8s:
    """Return the output for every sample, int8 (n, *output shape without the batch).

    Raises:
        ModelFileError: inputs of another shape or type; a model whose tensors do not fit each other.
    """
    return run_all(model, x, arithmetic)[model.output]


def run_all(model: ModelFile, x: Int8s, arithmetic: Arithmetic = DEVICE) -> dict[int, Int8s]:
    """Return every computed tensor by index, the input included."""
    shape = model.tensors[model.input].shape
    if x.dtype != np.int8 or x.shape[1:] != shape[1:]:
        raise ModelFileError(
            f"inputs of {x.dtype} {x.shape}: the model takes int8 of (n, {', '.join(map(str, shape[1:]))})"
        )
    values: dict[int, Int8s] = {model.input: x}
    for i, operator in enumerate(model.operators):
        source = operator.inputs[0]
        if source not in values:
            raise ModelFileError(f"operator {i} ({operator.name}) reads tensor {source} before it is computed")
        out = _OPERATORS[operator.name](model, operator, values[source], arithmetic)
        expected = model.tensors[operator.outputs[0]].shape
        if out.shape[1:] != expected[1:]:
            raise ModelFileError(f"operator {i} ({operator.name}) gives {out.shape[1:]}, the file says {expected[1:]}")
        values[operator.outputs[0]] = out
    if model.output not in values:
        raise ModelFileError(f"no operator computes the output, tensor {model.output}")
    return values


def _fully_connected(model: ModelFile, op: Operator, x: Int8s, arithmetic: Arithmetic) -> Int8s:
    weights = model.constant(_input(op, 1, "weights"))
    flat = x.reshape(len(x), -1)
    if weights.ndim != 2 or weights.shape[1] != flat.shape[1]:
        raise ModelFileError(f"FULLY_CONNECTED: weights of {weights.shape} for {flat.shape[1]} inputs")
    source = model.tensors[op.inputs[0]]
    sums = product_by_rows(flat.astype(np.float64) - _zero_point(source), weights.T.astype(np.float64))
    return _finish(model, op, sums.astype(np.int64), arithmetic, dense=True)


def _convolution(model: ModelFile, op: Operator, x: Int8s, arithmetic: Arithmetic) -> Int8s:
    weights = model.constant(_input(op, 1, "weights"))
    source = model.tensors[op.inputs[0]]
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    if weights.ndim != 4 or x.ndim != 4 or (weights.shape[0 if depthwise else 3] != (1 if depthwise else x.shape[3])):
        raise ModelFileError(f"{op.name}: weights of {weights.shape} for inputs of {x.shape[1:]}")
    if depthwise and weights.shape[3] != x.shape[3]:
        raise ModelFileError(f"{op.name}: {weights.shape[3]} channels out of {x.shape[3]}; only a multiplier of 1")
    patches = _patches(x.astype(np.float64) - _zero_point(source), op, weights.shape[1:3], 0.0)
    kernel = weights.astype(np.float64)
    subscripts = "nhwcab,abc->nhwc" if depthwise else "nhwcab,oabc->nhwo"
    sums = np.einsum(subscripts, patches, kernel[0] if depthwise else kernel, optimize=True)
    # Without its delegate TFLite has a depthwise kernel of its own, which rounds as the reference does (measured).
    own = DEVICE if depthwise and arithmetic == "ruy" else arithmetic
    return _finish(model, op, sums.astype(np.int64), own, dense=False)


def _average_pool(model: ModelFile, op: Operator, x: Int8s, arithmetic: Arithmetic) -> Int8s:  # noqa: ARG001
    patches = _patches(x.astype(np.float64), op, op.window, np.nan)
    total, count = np.nansum(patches, axis=(4, 5)), (~np.isnan(patches)).sum(axis=(4, 5))
    mean = np.trunc((total + np.copysign(count // 2, total)) / count)  # half away from zero, in every runtime
    return _clamp(mean.astype(np.int64), model.tensors[op.outputs[0]], op)


def _max_pool(model: ModelFile, op: Operator, x: Int8s, arithmetic: Arithmetic) -> Int8s:  # noqa: ARG001
    patches = _patches(x.astype(np.float64), op, op.window, -np.inf)
    return _clamp(patches.max(axis=(4, 5)).astype(np.int64), model.tensors[op.outputs[0]], op)


def _reshape(model: ModelFile, op: Operator, x: Int8s, arithmetic: Arithmetic) -> Int8s:  # noqa: ARG001
    shape = model.tensors[op.outputs[0]].shape
    if int(np.prod(shape[1:])) != int(np.prod(x.shape[1:])):
        raise ModelFileError(f"RESHAPE of {x.shape[1:]} to {shape[1:]}: another number of elements")
    return x.reshape(len(x), *shape[1:])


_OPERATORS: dict[str, Any] = {
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _max_pool,
    "RESHAPE": _reshape,
}


def _finish(model: ModelFile, op: Operator, sums: NDArray[np.int64], arithmetic: Arithmetic, *, dense: bool) -> Int8s:
    source, weights, out = (model.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    if not (len(source.scales) == 1 == len(out.scales) and weights.scales):
        raise ModelFileError(f"{op.name}: input, weights or output have no scales; quantize the model fully")
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = model.constant(op.inputs[2])
        if bias.dtype != np.int32 or bias.shape != sums.shape[-1:]:
            raise ModelFileError(f"{op.name}: a bias of {bias.dtype} {bias.shape} for {sums.shape[-1]} outputs")
        sums = sums + bias
    kind = np.float32 if arithmetic == "xnnpack-fp32" else np.float64
    scales = kind(source.scales[0]) * np.array(weights.scales, dtype=kind) / kind(out.scales[0])
    scaled = requantize(sums, np.broadcast_to(scales, sums.shape[-1:]), arithmetic, dense=dense)
    return _clamp(scaled + _zero_point(out), out, op)


def _clamp(values: NDArray[np.int64], out: TensorInfo, op: Operator) -> Int8s:
    low = max(-128, _zero_point(out)) if op.activation == "relu" else -128
    return np.clip(values, low, 127).astype(np.int8)


def _patches(x: NDArray[np.float64], op: Operator, window: tuple[int, ...], fill: float) -> NDArray[np.float64]:
    """(n, rows, columns, channels, *window) of NHWC inputs, padded as the operator says."""
    if x.ndim != 4:
        raise ModelFileError(f"{op.name} of inputs of {x.shape[1:]}; they must be height, width, channels")
    pads = [(0, 0), *(_pad(x.shape[1 + i], window[i], op.strides[i], op.padding) for i in range(2)), (0, 0)]
    if x[0].size * window[0] * window[1] > MOST_ELEMENTS:
        raise ModelFileError(f"{op.name}: a window of {tuple(window)} on inputs of {x.shape[1:]} takes too much memory")
    padded = np.pad(x, pads, constant_values=fill)
    if any(padded.shape[1 + i] < window[i] for i in range(2)):
        raise ModelFileError(f"{op.name}: a window of {tuple(window)} on inputs of {x.shape[1:]}")
    every = sliding_window_view(padded, window, axis=(1, 2))
    return np.asarray(every[:, :: op.strides[0], :: op.strides[1]])


def _pad(length: int, window: int, stride: int, padding: str) -> tuple[int, int]:
    """SAME gives ceil(length / stride) outputs, the odd one of the padding at the end."""
    if padding == "VALID":
        return 0, 0
    total = max(0, (-(-length // stride) - 1) * stride + window - length)
    return total // 2, total - total // 2


def _zero_point(tensor: TensorInfo) -> int:
    return tensor.zero_points[0] if tensor.zero_points else 0


def _input(op: Operator, place: int, what: str) -> int:
    if len(op.inputs) <= place or op.inputs[place] < 0:
        raise ModelFileError(f"{op.name} has no {what}")
    return op.inputs[place]
