"""Each layer's place in the layout, its shifts and its limits: what NumPy and the C tables are both made from.

Formats (Qn: n fractional bits): x int8 Q6; w8 int8 Q6; hidden activations Q5; logits Q3, the outputs of a squared-error
head Q6, the input's format. An accumulator has the product's bits, so k = accumulator - output. Normative: SPEC 3.

Overflow, for a layer whose outputs each sum n products (a convolution: kernel height x width x channels), at P positions
(a dense layer: 1), and whose inputs each enter m outputs (a convolution: filters x the windows a pixel is in):
* Forward: |acc| <= 128 * 127 n + 2^24 - 1 < 2^31 for n <= 131,071.
* Backward: an error is within -(L + 1) .. L, L the layer's error limit (127 at the outputs of the network, 32,767 within
  int16, less where P is large), and |sum w8 e| <= 127 (L + 1) m < 2^31 - 32, where 32 is what rounding adds.
* Gradient of a weight: |sum e a| <= P * 128 (L + 1) <= 2^31 - 2^17 by the choice of L; noise below 2^16 is added.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layers import WEIGHTED, Dense, Flatten, Pool, Weighted, Window
from byzantiny_models.layouts import HIDDEN_FRAC, INPUT_FRAC, LOGIT_FRAC, WEIGHT_FRAC
from byzantiny_models.networks import Network

ERROR_FRAC = 7
"""Fractional bits of the outputs' error."""
HIDDEN_ERROR_FRAC = 10
"""Fractional bits of a hidden layer's error."""
MAX_CLASSES = 256
MAX_FAN_IN = 131_071
MAX_BACKWARD = (1 << 31) - 32
MAX_GRADIENT = (1 << 31) - (1 << 17)
OUTPUT_ERROR_MAX = 127
INT16_MAX = (1 << 15) - 1

Kind = Literal["dense", "conv", "pool"]
Float = type[np.float32 | np.float64]


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer that computes something; `dtype` is a float in which its sums are exact.

    `inputs`, `outputs`: numbers of a sample; `rows` x `fan_in`: the kernel. `kernel` and `bias`: their places in the
    layout, None where frozen; `tensor`: the kernel's number in the whole layout, the bias has the next. A gradient
    passes to an input between `passes`; `below_limit` is the error limit of the layer below, `backward` says that one
    is needed.
    """

    kind: Kind
    inputs: int
    outputs: int
    window: Window | None
    input_frac: int
    hidden: bool
    passes: tuple[int, int]
    below_limit: int
    backward: bool
    error_limit: int
    dtype: Float = np.float32
    rows: int = 0
    fan_in: int = 0
    kernel: slice | None = None
    bias: slice | None = None
    tensor: int = -1
    low: int = -128
    k: int = 0
    error_frac: int = HIDDEN_ERROR_FRAC
    bias_frac: int = 0


EVERYTHING = (-129, 128)
"""`passes` of inputs that no activation has clamped."""
PASSES = {"relu": (0, 127), "linear": (-128, 127)}
"""`passes` by activation: none at the clamps."""


@dataclass(frozen=True)
class _Below:
    """What a layer needs to know of the one it takes its inputs from."""

    frac: int = INPUT_FRAC
    passes: tuple[int, int] = EVERYTHING
    limit: int = 0
    trained: bool = False


@functools.cache
def layer_plans(network: Network) -> tuple[LayerPlan, ...]:
    """Return the plans of the layers that compute something, flattening none.

    Raises:
        InvalidValueError: a layer whose sums could leave int32, or more than 256 classes.

    >>> from byzantiny_models.networks import NETWORKS
    >>> [(plan.k, plan.dtype.__name__) for plan in layer_plans(NETWORKS["mlp-64-32-10"])]
    [(7, 'float32'), (8, 'float32')]
    """
    if network.head == "softmax" and network.classes > MAX_CLASSES:
        raise InvalidValueError(f"{network.name} has {network.classes} classes: at most {MAX_CLASSES}; make it smaller")
    own = iter(network.layout.slices)
    places = [next(own) if kept else None for kept in network.trainable]
    plans: list[LayerPlan] = []
    below, tensor = _Below(), 0
    for i, layer in enumerate(network.layers):
        if isinstance(layer, Flatten):
            continue
        if isinstance(layer, WEIGHTED):
            plan = _weighted(network, i, layer, below, tensor, (places[tensor], places[tensor + 1]))
            tensor += 2
            trained = below.trained or plan.kernel is not None or plan.bias is not None
            below = _Below(HIDDEN_FRAC, PASSES[layer.activation], plan.error_limit, trained)
        else:
            plan = _pool(layer, below)
            below = _Below(below.frac, EVERYTHING, plan.error_limit, below.trained)
        plans.append(plan)
    return tuple(plans)


def _pool(layer: Pool, below: _Below) -> LayerPlan:
    window = layer.window
    return LayerPlan(
        kind="pool",
        inputs=math.prod(layer.input_shape),
        outputs=math.prod(layer.output_shape),
        window=window,
        input_frac=below.frac,
        hidden=True,
        passes=below.passes,
        below_limit=below.limit,
        backward=below.trained,
        error_limit=INT16_MAX,
    )


def _weighted(
    network: Network, i: int, layer: Weighted, below: _Below, tensor: int, places: tuple[slice | None, slice | None]
) -> LayerPlan:
    hidden = i < len(network.layers) - 1
    window = None if isinstance(layer, Dense) else layer.window
    rows, fan_in = layer.kernel_shape[0], math.prod(layer.kernel_shape[1:])
    positions, enters = (1, rows) if window is None else (window.positions, rows * window.covers)
    limit = min(INT16_MAX, MAX_GRADIENT // (128 * positions) - 1) if hidden else OUTPUT_ERROR_MAX
    backward = 127 * (limit + hidden) * enters if below.trained else 0  # the outputs' error is symmetric
    if fan_in > MAX_FAN_IN or limit < OUTPUT_ERROR_MAX or backward >= MAX_BACKWARD:
        raise InvalidValueError(
            f"layer {i} of {network.name} ({layer}) can overflow: {fan_in} products an output (at most {MAX_FAN_IN}), "
            f"{enters} outputs an input (at most {MAX_BACKWARD // (127 * (limit + 1))}), {positions} positions "
            f"(at most {MAX_GRADIENT // 128 // 128}); make it smaller"
        )
    output_frac = HIDDEN_FRAC if hidden else LOGIT_FRAC if network.head == "softmax" else INPUT_FRAC
    return LayerPlan(
        kind="dense" if window is None else "conv",
        inputs=math.prod(layer.input_shape),
        outputs=math.prod(layer.output_shape),
        window=window,
        input_frac=below.frac,
        hidden=hidden,
        passes=below.passes,
        below_limit=below.limit,
        backward=below.trained,
        error_limit=limit,
        dtype=np.float32 if max(128 * 127 * fan_in, backward) < 1 << 24 else np.float64,
        rows=rows,
        fan_in=fan_in,
        kernel=places[0],
        bias=places[1],
        tensor=tensor,
        low=0 if layer.activation == "relu" else -128,
        k=below.frac + WEIGHT_FRAC - output_frac,
        error_frac=HIDDEN_ERROR_FRAC if hidden else ERROR_FRAC,
        bias_frac=below.frac + WEIGHT_FRAC,
    )
