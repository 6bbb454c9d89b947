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


def read_tflite(model: ModelFile, name: str = "imported", *, per_channel_dense: bool = True) -> Imported:
    """Return the network and the weights of an int8 `.tflite`, dequantized.

    Raises:
        ModelFileError: operators that INT8-SR does not train (depthwise convolutions, max pooling, padding or strides of a
            pooling that overlaps), that do not follow each other, a missing bias, an output that is not a linear dense layer;
            and, unless `per_channel_dense`, a dense layer with a scale a channel: old kernels read the first alone.
    """
    layers: list[Layer] = []
    kernels, biases = [], []
    shape: tuple[int, ...] = model.tensors[model.input].shape[1:]
    before = model.input
    for number, op in enumerate(model.operators):
        if op.inputs[0] != before:
            raise ModelFileError(
                f"operator {number} ({op.name}) takes tensor {op.inputs[0]}, before it is {before}; only one chain is supported"
            )
        before = op.outputs[0]
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
            scales = len(model.tensors[op.inputs[1]].scales)
            if scales > 1 and isinstance(layer, Dense) and not per_channel_dense:
                raise ModelFileError(
                    f"operator {number} (FULLY_CONNECTED) has {scales} scales, one a channel, of which old kernels read the "
                    "first alone: convert it per tensor, or say --per-channel"
                )
            kernels.append(_shaped(_real(model, op.inputs[1]), layer.kernel_shape, number))
            biases.append(_shaped(_real(model, op.inputs[2]), layer.kernel_shape[:1], number))
    if before != model.output:
        raise ModelFileError(
            f"the output is tensor {model.output}, not the last operator's {before}; only one chain is supported"
        )
    return Imported(Network(name, tuple(layers)), tuple(kernels), tuple(biases))


def _shaped(values: Floats, shape: tuple[int, ...], number: int) -> Floats:
    if values.size != math.prod(shape):
        raise ModelFileError(f"operator {number}: {values.shape} numbers where {shape} are needed; export it again")
    return values.reshape(shape)


def adopt(imported: Imported, network: Network, where: str) -> Imported:
    """Return the weights as those of a task's network, which must be the same layers; a signal is an image of height 1.

    Raises:
        ModelFileError: other layers, with both named.
    """
    network = network.whole
    if _canonical(imported.network.layers) != _canonical(network.layers):
        raise ModelFileError(
            f"{where}: the layout does not match the task's network {network.name}: the file has "
            f"{shape_of(imported.network.layers)}, the task {shape_of(network.layers)}; import it for another task"
        )
    return Imported(network, imported.kernels, imported.biases)


def regrid(imported: Imported, x: NDArray[np.int8], input_scale: float = 1.0) -> NDArray[np.int32]:
    """Return the model on the project's grid, int32 (d,), its activations measured on x int8 Q6 (n, features).

    The model was trained on inputs `input_scale` times the real ones that x stands for, `input_scale x / 64`. With a
    squared-error head the outputs keep their unit, which is the inputs'; with a softmax their order is what counts.

    Raises:
        ModelFileError: a layer whose weights or activations are all zero or not finite, or, with a squared-error head, one
            that cannot be scaled without moving the outputs.
    """
    layout = imported.network.layout
    peaks = _peaks(imported, x.astype(np.float64) / 64 * input_scale)
    weight_room = FILL * LIMITS["int16"] / (1 << MASTER_FRAC)
    model = np.zeros(layout.d, dtype=np.int32)
    before = first = 1.0 / input_scale
    for i, (kernel, bias) in enumerate(zip(imported.kernels, imported.biases, strict=True)):
        last = i == len(imported.kernels) - 1
        room = FILL * 127 / (1 << (LOGIT_FRAC if last else HIDDEN_FRAC))
        largest = float(np.abs(kernel).max())
        if not (0 < largest < math.inf and 0 < peaks[i] < math.inf):
            raise ModelFileError(
                f"weighted layer {i}: weights up to {largest}, outputs up to {peaks[i]}; it cannot be scaled"
            )
        factor = min(weight_room * before / largest, room / peaks[i])
        if last and imported.network.head == "squared-error":
            if weight_room * before < first * largest:
                raise ModelFileError(
                    f"weighted layer {i}: weights up to {largest:.3g} beside activations that fill their format; with outputs in "
                    "the inputs' unit they cannot be scaled, train with a weight limit"
                )
            factor = first
        for values, spec, where in zip(
            (kernel * factor / before, bias * factor), layout.tensors[2 * i :], layout.slices[2 * i :], strict=False
        ):
            model[where] = np.clip(np.rint(values.reshape(-1) * 2.0**spec.frac), -spec.limit, spec.limit)
        before = factor
    return model


def _canonical(layers: Sequence[Layer]) -> list[tuple[object, ...]]:
    """What a layer computes on flat rows, whatever it is called."""
    found: list[tuple[object, ...]] = []
    for layer in layers:
        if isinstance(layer, Dense):
            found.append(("dense", layer.inputs, layer.outputs, layer.activation))
        elif isinstance(layer, WEIGHTED):
            found.append(("conv", layer.window, layer.kernel_shape[0], layer.activation))
        elif not isinstance(layer, Flatten):
            found.append(("pool", layer.window))
    return found


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


def quantized_inputs(model: ModelFile, x: NDArray[np.int8], input_scale: float = 1.0) -> NDArray[np.int8]:
    """Return samples x int8 Q6 (n, features) on an int8 `.tflite`'s own input grid, in the shape it takes.

    Raises:
        ModelFileError: an input without a scale, or of another number of features.
    """
    tensor = model.tensors[model.input]
    if len(tensor.scales) != 1 or math.prod(tensor.shape) != x.shape[1]:
        raise ModelFileError(
            f"the input {tensor.name!r} has shape {tensor.shape} and {len(tensor.scales)} scales; one scale and {x.shape[1]} "
            "features are needed"
        )
    q = np.rint(x / 64 * input_scale / tensor.scales[0]) + tensor.zero_points[0]
    return np.asarray(np.clip(q, -128, 127).astype(np.int8).reshape(len(x), *tensor.shape[1:]))


def real_outputs(model: ModelFile, outputs: NDArray[np.int8]) -> Floats:
    """Return the real outputs (n, outputs) of what an int8 `.tflite` answered."""
    tensor = model.tensors[model.output]
    if len(tensor.scales) != 1:
        raise ModelFileError(f"the output {tensor.name!r} has {len(tensor.scales)} scales; quantize the model fully")
    steps = outputs.reshape(len(outputs), -1).astype(np.float64) - tensor.zero_points[0]
    return np.asarray(steps * tensor.scales[0])


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
