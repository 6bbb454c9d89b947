"""The integer forward pass: what a device computes, and what the deployed int8 model shows (promise P9).

Formats (Qn: n fractional bits): x int8 Q6; w8 int8 Q6; hidden activations 0..127 Q5; logits int8 Q3. An accumulator
has the product's bits, so k = accumulator - output: 7 for a first hidden layer, 6 for a later one, 8 for the logits (9
without a hidden layer). Rounding: gemmlowp's (quantization.py). Normative: SPEC 3.

Overflow: |w8| <= 127 since |w16| <= 32,512, so for n inputs |acc| <= 128 * 127 n + 2^24 - 1 < 2^31 for n <= 131,071.
The sum without the bias is taken in floats in which it is exact: float32 while 128 * 127 n < 2^24, else float64. Every
partial sum is then an integer within the mantissa, so a BLAS gives the same bits in any order, with FMA or without.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import HIDDEN_FRAC, INPUT_FRAC, LOGIT_FRAC, WEIGHT_FRAC, Network
from byzantiny_models.quantization import requantize

ERROR_FRAC = 7
"""Fractional bits of the logits' error."""
HIDDEN_ERROR_FRAC = 10
"""Fractional bits of a hidden layer's error."""
MAX_CLASSES = 256
MAX_INPUTS = 131_071
MAX_INNER_OUTPUTS = 516

Int32s = NDArray[np.int32]


@dataclass(frozen=True)
class LayerPlan:
    """One layer's place in the layout and its shifts; `dtype` is a float in which its sums are exact."""

    inputs: int
    outputs: int
    kernel: slice
    bias: slice
    k: int
    input_frac: int
    error_frac: int
    bias_frac: int
    hidden: bool
    dtype: type[np.float32 | np.float64]


@functools.cache
def layer_plans(network: Network) -> tuple[LayerPlan, ...]:
    """Return each layer's place in the layout and its shifts.

    Raises:
        InvalidValueError: a layer whose sums could leave int32 (above: 131,071 inputs; 516 outputs of an inner layer),
            or more than 256 classes.

    >>> from byzantiny_models.networks import NETWORKS
    >>> [(plan.k, plan.dtype.__name__) for plan in layer_plans(NETWORKS["mlp-64-32-10"])]
    [(7, 'float32'), (8, 'float32')]
    """
    slices, plans = network.layout.slices, []
    for i, layer in enumerate(network.layers):
        hidden = i < len(network.layers) - 1
        input_frac = INPUT_FRAC if i == 0 else HIDDEN_FRAC
        limit = MAX_CLASSES if not hidden else MAX_INNER_OUTPUTS if i else None
        if layer.inputs > MAX_INPUTS or (limit is not None and layer.outputs > limit):
            raise InvalidValueError(
                f"layer {i} of {network.name} ({layer.inputs} -> {layer.outputs}) can overflow: at most {MAX_INPUTS} "
                f"inputs and {limit or 'any number of'} outputs; make it smaller"
            )
        backward = layer.outputs * 127 * (32_768 if hidden else 127)
        exact = max(layer.inputs * 127 * 128, backward if i else 0) < 1 << 24
        plans.append(
            LayerPlan(
                inputs=layer.inputs,
                outputs=layer.outputs,
                kernel=slices[2 * i],
                bias=slices[2 * i + 1],
                k=input_frac + WEIGHT_FRAC - (HIDDEN_FRAC if hidden else LOGIT_FRAC),
                input_frac=input_frac,
                error_frac=HIDDEN_ERROR_FRAC if hidden else ERROR_FRAC,
                bias_frac=input_frac + WEIGHT_FRAC,
                hidden=hidden,
                dtype=np.float32 if exact else np.float64,
            )
        )
    return tuple(plans)


def derive_weights(w16: ArrayLike) -> Int32s:
    """Return the int8 weights Q6 of int16 masters Q14: `w8 = min(127, (w16 + 128) >> 8)`, as int32.

    >>> derive_weights([32512, 127, 128, -128, -129, -32512]).tolist()
    [127, 0, 1, 0, -1, -127]
    """
    w8: Int32s = np.minimum((np.asarray(w16, dtype=np.int32) + 128) >> 8, 127)
    return w8


def forward(network: Network, flat: ArrayLike, x: ArrayLike) -> NDArray[np.int8]:
    """Return the logits of a batch, int8 Q3 (N, classes), of x int8 Q6 (N, features).

    `a = clip(requantize(b + w8 x, k), 0, 127)` per hidden layer, `z = clip(requantize(b + w8 a, k), -128, 127)`.

    Raises:
        InvalidValueError: a model or an input of another shape or range.

    Source: SPEC 3; bit for bit the TFLite reference kernels (promise P9).

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> forward(network, initial_model(network, 1), np.full((2, 64), 32, dtype=np.int8)).shape
    (2, 10)
    """
    model, a = network.layout.check(flat), check_inputs(network, x)
    for plan in layer_plans(network):
        w8 = derive_weights(model[plan.kernel]).reshape(plan.outputs, plan.inputs)
        acc = (a.astype(plan.dtype) @ w8.T.astype(plan.dtype)).astype(np.int32) + model[plan.bias]
        a = np.clip(requantize(acc, plan.k), 0 if plan.hidden else -128, 127)
    return a.astype(np.int8)


def accuracy(network: Network, flat: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of samples whose largest logit is the label's; of equal logits the lowest index counts.

    Raises:
        InvalidValueError: as `forward`, no samples, or another number of labels.

    Source: SPEC 3 (argmax).

    >>> from byzantiny_models.networks import NETWORKS
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> accuracy(network, np.zeros(2410, dtype=np.int32), np.zeros((4, 64), dtype=np.int8), [0, 0, 0, 1])
    0.75
    """
    predicted, labels = np.argmax(forward(network, flat, x), axis=1), np.asarray(y)
    if labels.shape != predicted.shape or not labels.size:
        raise InvalidValueError(f"y of shape {labels.shape} for {len(predicted)} samples: need one each, at least 1")
    return float(np.mean(predicted == labels))


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
