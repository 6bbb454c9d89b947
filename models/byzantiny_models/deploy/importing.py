"""A model that somebody else trained, brought onto the project's power-of-two grid: the start of a federation.

A ReLU network does not mind positive factors: with `w_l a_l / a_(l-1)` and `b_l a_l` every activation is a_l times what it
was, and so are the logits, whose order is what counts. The factors are chosen so that weights, activations and logits fill
their formats without leaving them; activations are measured on samples of the task. What is lost is printed, not guessed:
accuracy before and after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy.model_file import ModelFile, ModelFileError, Operator
from byzantiny_models.layers import WEIGHTED, AveragePool2D, Conv2D, Dense, Flatten, Layer
from byzantiny_models.layouts import HIDDEN_FRAC, LIMITS, LOGIT_FRAC, MASTER_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.windows import gather

Floats = NDArray[np.float64]

FILL = 0.98
"""How much of a format the largest value may take: what training adds needs room."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A network and its real weights: per weighted layer a kernel in the layout's order and a bias, float64."""

    network: Network
    kernels: tuple[Floats, ...]
    biases: tuple[Floats, ...]


def read_tflite(model: ModelFile, name: str = "imported") -> Imported:
    """Return the network and the weights of an int8 `.tflite`, dequantized.

    Raises:
        ModelFileError: operators that INT8-SR does not train (depthwise convolutions, max pooling, padding or strides of a
            pooling that overlaps), a missing bias, an output that is not a linear dense layer.
    """
    layers: list[Layer] = []
    kernels, biases = [], []
    shape: tuple[int, ...] = model.tensors[model.input].shape[1:]
    for number, op in enumerate(model.operators):
        if op.name == "RESHAPE":
            # A signal is given as an image of height 1 and back; what a dense layer takes is flat anyway.
            shape = model.tensors[op.outputs[0]].shape[1:] if not layers else shape
            continue
        layer = _layer(op, model, number, shape)
        if isinstance(layer, Dense) and len(shape) > 1:
            layers.append(Flatten(shape))
        layers.append(layer)
        shape = layer.output_shape
        if isinstance(layer, WEIGHTED):
            if len(op.inputs) < 3 or op.inputs[2] < 0:
                raise ModelFileError(f"operator {number} ({op.name}) has no bias; the converter drops one that is zero")
            kernels.append(_real(model, op.inputs[1]))
            biases.append(_real(model, op.inputs[2]))
    return Imported(Network(name, tuple(layers)), tuple(kernels), tuple(biases))


def regrid(imported: Imported, x: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return the model on the project's grid, int32 (d,), its activations measured on x int8 Q6 (n, features).

    Raises:
        ModelFileError: a layer whose weights or activations are all zero or not finite.
    """
    layout = imported.network.layout
    peaks = _peaks(imported, x.astype(np.float64) / 64)
    weight_room = FILL * LIMITS["int16"] / (1 << MASTER_FRAC)
    model = np.zeros(layout.d, dtype=np.int32)
    before = 1.0
    for i, (kernel, bias) in enumerate(zip(imported.kernels, imported.biases, strict=True)):
        last = i == len(imported.kernels) - 1
        room = FILL * 127 / (1 << (LOGIT_FRAC if last else HIDDEN_FRAC))
        largest = float(np.abs(kernel).max())
        if not (0 < largest < math.inf and 0 < peaks[i] < math.inf):
            raise ModelFileError(
                f"weighted layer {i}: weights up to {largest}, outputs up to {peaks[i]}; it cannot be scaled"
            )
        factor = min(weight_room * before / largest, room / peaks[i])
        for values, spec, where in zip(
            (kernel * factor / before, bias * factor), layout.tensors[2 * i :], layout.slices[2 * i :], strict=False
        ):
            model[where] = np.clip(np.rint(values.reshape(-1) * 2.0**spec.frac), -spec.limit, spec.limit)
        before = factor
    return model


def real_forward(imported: Imported, x: Floats) -> list[Floats]:
    """Return the real outputs of every weighted layer, (n, outputs) each, of real inputs (n, features)."""
    outputs: list[Floats] = []
    weighted = 0
    for layer in imported.network.layers:
        if isinstance(layer, Flatten):
            continue
        if isinstance(layer, WEIGHTED):
            kernel, bias = imported.kernels[weighted], imported.biases[weighted]
            rows = kernel.reshape(len(kernel), -1)
            seen = x if isinstance(layer, Dense) else gather(layer.window, x)
            x = seen @ rows.T + bias
            x = np.maximum(x, 0) if layer.activation == "relu" else x
            x = x.reshape(len(x), -1)
            outputs.append(x)
            weighted += 1
        else:
            x = _mean_pool(layer, x)
    return outputs


def _peaks(imported: Imported, x: Floats) -> list[float]:
    return [float(np.abs(values).max()) for values in real_forward(imported, x)]


def _mean_pool(layer: Layer, x: Floats) -> Floats:
    assert not isinstance(layer, (*WEIGHTED, Flatten))
    window = layer.window
    image = x.reshape(len(x), window.height, window.width, window.channels)
    kept = image[:, : window.out_height * window.kernel_height, : window.out_width * window.kernel_width]
    blocks = kept.reshape(
        len(x), window.out_height, window.kernel_height, window.out_width, window.kernel_width, window.channels
    )
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(len(x), -1))


def _layer(op: Operator, model: ModelFile, number: int, shape: tuple[int, ...]) -> Layer:
    where = f"operator {number} ({op.name})"
    if op.name == "FULLY_CONNECTED":
        outputs, inputs = model.tensors[op.inputs[1]].shape
        if inputs != math.prod(shape):
            raise ModelFileError(f"{where} takes {inputs} inputs, what is before it gives {shape}")
        return Dense(inputs, outputs, "relu" if op.activation == "relu" else "linear")
    if len(shape) != 3:
        raise ModelFileError(f"{where} on a shape of {shape}; it must be height, width, channels")
    image = (shape[0], shape[1], shape[2])
    if op.name == "CONV_2D":
        filters, height, width, _ = model.tensors[op.inputs[1]].shape
        return Conv2D(
            image,
            filters,
            (height, width),
            op.strides,
            "same" if op.padding == "SAME" else "valid",
            "relu" if op.activation == "relu" else "linear",
        )
    if op.name == "AVERAGE_POOL_2D" and op.strides == op.window and op.padding == "VALID" and op.activation == "linear":
        return AveragePool2D(image, op.window)
    raise ModelFileError(
        f"{where} cannot be trained on a device: only dense layers, convolutions, average pooling side by side, and reshaping can"
    )


def _real(model: ModelFile, index: int) -> Floats:
    tensor, values = model.tensors[index], model.constant(index).astype(np.float64)
    if not tensor.scales:
        raise ModelFileError(f"tensor {tensor.name!r} has no scale; quantize the model fully")
    scales, points = np.array(tensor.scales, np.float64), np.array(tensor.zero_points, np.float64)
    if len(scales) > 1:
        along = [1] * values.ndim
        along[tensor.axis] = -1
        scales, points = scales.reshape(along), points.reshape(along)
    return np.asarray((values - points) * scales)


def shape_of(layers: Sequence[Layer]) -> str:
    """Return a network's layers in a line, for people.

    >>> shape_of([Dense(64, 32, "relu"), Dense(32, 10, "linear")])
    '64 -> dense 32 relu -> dense 10'
    """
    words = [str(math.prod(layers[0].input_shape))]
    for layer in layers:
        if isinstance(layer, Flatten):
            continue
        if isinstance(layer, WEIGHTED):
            kind = "dense" if isinstance(layer, Dense) else "conv"
            words.append(f"{kind} {layer.kernel_shape[0]}{' relu' if layer.activation == 'relu' else ''}")
        else:
            words.append("pool")
    return " -> ".join(words)
