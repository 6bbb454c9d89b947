"""The integer forward pass: what a device computes, and what the deployed int8 model shows (promise P9).

The formats, and why nothing overflows, are in plans.py. Rounding: gemmlowp's (quantization.py). Normative: SPEC 3.

The sum without the bias is taken in floats in which it is exact: float32 while 128 * 127 n < 2^24, else float64. Every
partial sum is then an integer within the mantissa, so a BLAS gives the same bits in any order, with FMA or without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Network
from byzantiny_models.plans import LayerPlan, layer_plans
from byzantiny_models.products import product_by_rows
from byzantiny_models.quantization import derive_weights, requantize
from byzantiny_models.windows import average_pool, gather

Int32s = NDArray[np.int32]
Floats = NDArray[Any]
"""Floats that hold integers, of a layer plan's type."""

_CHUNK_NUMBERS = 1 << 20
"""Gathered numbers at a time: enough to hide NumPy's cost per call, few enough to stay near the cache."""


def activations(network: Network, flat: ArrayLike, x: ArrayLike) -> list[NDArray[np.int8]]:
    """Return the outputs of every layer that computes something, int8 (N, outputs) each; the last are the logits.

    `a = clip(requantize(b + sum w8 x, k), low, 127)`, low = 0 with ReLU and -128 without; pooling: windows.py.

    Raises:
        InvalidValueError: a model or an input of another shape or range.

    Source: SPEC 3; bit for bit the TFLite reference kernels (promise P9).

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> [a.shape for a in activations(network, initial_model(network, 1), np.full((2, 64), 32, dtype=np.int8))]
    [(2, 32), (2, 10)]
    """
    model, inputs = network.layout.check(flat), check_inputs(network, x)
    plans = layer_plans(network)
    weights = [_weights(network, plan, model) for plan in plans]
    widest = max(network.features, *(plan.outputs * max(plan.fan_in, 1) // max(plan.rows, 1) for plan in plans))
    chunk = max(1, _CHUNK_NUMBERS // widest)
    outputs: list[list[NDArray[np.int8]]] = [[] for _ in plans]
    for first in range(0, max(len(inputs), 1), chunk):
        a = inputs[first : first + chunk]
        for plan, (w8, bias), found in zip(plans, weights, outputs, strict=True):
            a = forward_layer(plan, w8, bias, a)
            found.append(a.astype(np.int8))
    return [np.concatenate(found) for found in outputs]


def forward_layer(plan: LayerPlan, w8: Floats, bias: Int32s, a: Int32s) -> Int32s:
    """Return a layer's outputs, int32 (N, outputs), of its inputs (N, inputs); w8 as floats of the plan's type.

    Weights and biases are (rows, fan_in) and (rows,), or (N, rows, fan_in) and (N, rows), one set a sample.
    """
    if plan.window is not None and plan.kind == "pool":
        return average_pool(plan.window, a)
    if plan.window is not None:
        product = np.matmul(gather(plan.window, a).astype(plan.dtype), np.swapaxes(w8, -1, -2))
        acc = product.astype(np.int32) + bias[..., np.newaxis, :]
    elif w8.ndim == 2:
        acc = product_by_rows(a.astype(plan.dtype), w8.T).astype(np.int32) + bias
    else:
        acc = np.matmul(w8, a[:, :, np.newaxis].astype(plan.dtype))[:, :, 0].astype(np.int32) + bias
    y: Int32s = np.minimum(np.maximum(requantize(acc, plan.k), plan.low), 127)
    return y.reshape(len(a), plan.outputs)


def forward(network: Network, flat: ArrayLike, x: ArrayLike) -> NDArray[np.int8]:
    """Return the outputs of a batch, int8 (N, outputs), of x int8 Q6 (N, features): logits Q3, or a reconstruction Q6.

    Raises:
        InvalidValueError: a model or an input of another shape or range.

    Source: SPEC 3; bit for bit the TFLite reference kernels (promise P9).

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> forward(network, initial_model(network, 1), np.full((2, 64), 32, dtype=np.int8)).shape
    (2, 10)
    """
    return activations(network, flat, x)[-1]


def accuracy(network: Network, flat: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of samples whose largest logit is the label's; of equal logits the lowest index counts.

    Raises:
        InvalidValueError: as `forward`, no samples, another number of labels, or a head that tells no classes apart.

    Source: SPEC 3 (argmax).

    >>> from byzantiny_models.networks import NETWORKS
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> accuracy(network, np.zeros(2410, dtype=np.int32), np.zeros((4, 64), dtype=np.int8), [0, 0, 0, 1])
    0.75
    """
    if network.head != "softmax":
        raise InvalidValueError(f"{network.name} has a {network.head} head: no classes; measure reconstruction_errors")
    predicted, labels = np.argmax(forward(network, flat, x), axis=1), np.asarray(y)
    if labels.shape != predicted.shape or not labels.size:
        raise InvalidValueError(f"y of shape {labels.shape} for {len(predicted)} samples: need one each, at least 1")
    return float(np.mean(predicted == labels))


def reconstruction_errors(network: Network, flat: ArrayLike, x: ArrayLike) -> NDArray[np.int64]:
    """Return how far a squared-error network's outputs are from its inputs: `sum (y - x)^2` per sample, in 2^-12.

    Raises:
        InvalidValueError: as `forward`, or another head.

    >>> from byzantiny_models.networks import Dense, Network
    >>> network = Network("tiny", (Dense(3, 3, "linear"),), head="squared-error")
    >>> reconstruction_errors(network, np.zeros(12, dtype=np.int32), [[1, -2, 3]]).tolist()
    [14]
    """
    if network.head != "squared-error":
        raise InvalidValueError(f"{network.name} has a {network.head} head: it reconstructs nothing; measure accuracy")
    off = forward(network, flat, x).astype(np.int64) - np.asarray(x)
    errors: NDArray[np.int64] = (off * off).sum(axis=1)
    return errors


def check_inputs(network: Network, x: ArrayLike) -> Int32s:
    """Return x as int32 (N, features) if it is an input of the network.

    Raises:
        InvalidValueError: no integers, another shape, or values outside int8.

    >>> from byzantiny_models.networks import NETWORKS
    >>> check_inputs(NETWORKS["mlp-64-32-10"], np.zeros((3, 64), dtype=np.int8)).shape
    (3, 64)
    """
    inputs = np.asarray(x)
    if inputs.ndim != 2 or inputs.shape[1] != network.features or inputs.dtype.kind not in "iu":
        raise InvalidValueError(
            f"x of shape {inputs.shape}, type {inputs.dtype}: {network.name} takes integers of shape "
            f"(N, {network.features})"
        )
    if inputs.dtype != np.int8 and inputs.size and (int(inputs.min()) < -128 or int(inputs.max()) > 127):
        raise InvalidValueError(f"x reaches from {inputs.min()} to {inputs.max()}: int8 Q6 is -128 .. 127; rescale it")
    return inputs.astype(np.int32)


def _weights(network: Network, plan: LayerPlan, model: Int32s) -> tuple[Floats, Int32s]:
    if plan.kind == "pool":
        return np.empty((0, 0), dtype=plan.dtype), np.empty(0, dtype=np.int32)
    kernel = network.frozen_tensor(plan.tensor) if plan.kernel is None else derive_weights(model[plan.kernel])
    bias = network.frozen_tensor(plan.tensor + 1) if plan.bias is None else model[plan.bias]
    return kernel.reshape(plan.rows, plan.fan_in).astype(plan.dtype), bias
