"""Post-training quantization to fewer bits: what a model is worth when its weights are stored in 8, 4, 3 or 2 of them.

Symmetric, one power-of-two step a tensor, zero is a level: a weight becomes `q 2^-s`, `|q| <= 2^(bits - 1) - 1`, s in 0 .. 6.
All these numbers lie on the int8 grid that the device multiplies with (Q6), so the result is an ordinary model of the same
network: the same integer forward pass, the same template, exact. Biases stay int32: they are few, and added in full width.

What differs from the converter's quantization (B. Jacob et al., CVPR 2018, arXiv 1712.05877): the steps are powers of two, and
s is the one of least squared error, not the one that holds the largest weight; below 8 bits that is the better choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.deploy.template import Template, patch, shown
from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.float_training import forward_float, to_float
from byzantiny_models.inference import forward
from byzantiny_models.layouts import MASTER_FRAC, WEIGHT_FRAC, Layout
from byzantiny_models.networks import Network

Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]

BITS = (8, 4, 3, 2)
"""The bits that are usually asked for; 2 .. 8 work."""
LEAST_BITS, MOST_BITS = 2, 8
WEIGHT_LIMIT = 127
"""The largest magnitude of an int8 weight, in 2^-6."""


def requantize(network: Network, model: ArrayLike, bits: int) -> Int32s:
    """Return the model with weights of `bits` bits, int32 (d,): per tensor `q 2^-s`, s from `step_exponents`.

    `q = min(max(floor(w 2^s + 1/2), -L), L)`, `L = min(2^(bits - 1) - 1, floor(127 2^(s - 6)))`: at 8 bits the very weights that
    the device derives from its masters, so its answers stay. `model` (d,) is integers of the layout, or floats in real
    units (a float-trained model). Frozen tensors are not in it: to quantize them as well, hand in `network.whole` and
    `network.merge(model)`.

    Raises:
        InvalidValueError: bits outside 2 .. 8, floats that are not finite.
        LayoutError: not a model of the network.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> [len(np.unique(requantize(network, initial_model(network, 1), bits)[:2048])) for bits in (4, 3, 2)]
    [11, 5, 3]
    """
    layout = network.layout
    real = as_real(layout, model)
    integers = from_real(layout, real)
    for spec, where, s in zip(layout.tensors, layout.slices, step_exponents(network, model, bits), strict=True):
        if spec.dtype == "int16":
            integers[where] = _levels(real[where], s, bits).astype(np.int32) << (MASTER_FRAC - s)
    return layout.check(integers)


def step_exponents(network: Network, model: ArrayLike, bits: int) -> tuple[int, ...]:
    """Return s of every tensor: its step is 2^-s, the one of least squared error (the finest of equals); a bias keeps its own.

    Raises:
        InvalidValueError: bits outside 2 .. 8, floats that are not finite.
        LayoutError: not a model of the network.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> step_exponents(network, initial_model(network, 1), 8), step_exponents(network, initial_model(network, 1), 3)
    ((6, 12, 6, 11), (3, 12, 3, 11))
    """
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise InvalidValueError(f"{bits} bits a weight: choose from {LEAST_BITS} to {MOST_BITS}; the device's have 8")
    real = as_real(network.layout, model)
    return tuple(
        best_exponent(real[where], bits) if spec.dtype == "int16" else spec.frac
        for spec, where in zip(network.layout.tensors, network.layout.slices, strict=True)
    )


def as_real(layout: Layout, model: ArrayLike) -> Floats:
    """Return a model in real units, float64 (d,), from integers of the layout or from floats.

    Raises:
        LayoutError: another shape, or integers beyond the layout's limits.
        InvalidValueError: floats that are not finite.
    """
    values = np.asarray(model)
    if values.dtype.kind != "f":
        return to_float(layout, values).astype(np.float64)
    if values.shape != (layout.d,):
        raise LayoutError(f"a model of shape {values.shape}: need ({layout.d},); take the network's own model")
    if not np.isfinite(values).all():
        raise InvalidValueError(f"coordinate {int(np.argmin(np.isfinite(values)))} is not finite; train again")
    return values.astype(np.float64)


def from_real(layout: Layout, real: ArrayLike) -> Int32s:
    """Return the nearest integer model, int32 (d,): `round_half_away(real 2^frac)`, saturated.

    >>> from byzantiny_models.layouts import TensorSpec
    >>> layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    >>> from_real(layout, [0.5, -0.5 / 2**14, 9.0]).tolist()
    [8192, -1, 32512]
    """
    fracs = np.repeat([t.frac for t in layout.tensors], [t.elements for t in layout.tensors])
    return layout.saturate(_half_away(np.ldexp(np.asarray(real, dtype=np.float64), fracs)))


def weight_bytes(network: Network, bits: int) -> int:
    """Return the bytes of the whole network's numbers, kernels packed at `bits` bits a weight, biases int32: what flash would hold.

    A modelled figure: a `.tflite`, and the firmware here, keep every weight in a byte.

    >>> from byzantiny_models.networks import NETWORKS
    >>> [weight_bytes(NETWORKS["mlp-64-32-10"], bits) for bits in (8, 4, 2)]
    [2536, 1352, 760]
    """
    return sum(
        4 * spec.elements if spec.dtype == "int32" else -(-spec.elements * bits // 8)
        for spec in network.whole.layout.tensors
    )


@dataclass(frozen=True, slots=True)
class BitsRow:
    """What a model is worth at a number of bits: the task's metric of three forward passes of the same quantized weights."""

    bits: int
    float_score: float
    """Activations in float32: what the weights' rounding alone costs."""
    integer_score: float
    """Activations int8: the device's forward pass."""
    exported_score: float
    """The patched `.tflite`, answered by `answers`."""
    weight_bytes: int


def bits_table(
    network: Network,
    model: ArrayLike,
    x: NDArray[np.int8],
    measure: Callable[[NDArray[Any]], float],
    template: Template,
    answers: Callable[[bytes, NDArray[np.int8]], NDArray[np.int8]],
    bits: Sequence[int] = BITS,
) -> list[BitsRow]:
    """Return a row for every number of bits; `measure` turns outputs (n, outputs) into the task's metric.

    `answers(tflite, inputs)` is an interpreter: `Session.run`, or `deploy.interpreter`'s.

    Raises:
        InvalidValueError: bits outside 2 .. 8.
        ModelFileError: a template of another network.
    """
    rows = []
    for number in bits:
        quantized = requantize(network, model, number)
        exported = answers(patch(template, network, quantized), shown(network, x)).reshape(len(x), -1)
        rows.append(
            BitsRow(
                bits=number,
                float_score=measure(forward_float(network, to_float(network.layout, quantized), x)),
                integer_score=measure(forward(network, quantized, x)),
                exported_score=measure(exported),
                weight_bytes=weight_bytes(network, number),
            )
        )
    return rows


def best_exponent(real: Floats, bits: int) -> int:
    """Return s of one kernel's real values: of the steps 2^0 .. 2^-6 the one of least squared error, the finest of equals."""
    errors = [float(((np.ldexp(_levels(real, s, bits), -s) - real) ** 2).sum()) for s in range(WEIGHT_FRAC, -1, -1)]
    return WEIGHT_FRAC - int(np.argmin(errors))


def most_level(s: int, bits: int) -> int:
    """Return L: the largest level of `bits` bits at step 2^-s that an int8 weight can hold.

    >>> most_level(6, 8), most_level(3, 4), most_level(0, 4)
    (127, 7, 1)
    """
    return min((1 << (bits - 1)) - 1, math.floor(math.ldexp(WEIGHT_LIMIT, s - WEIGHT_FRAC)))


def _levels(real: Floats, s: int, bits: int) -> Floats:
    most = most_level(s, bits)
    return np.asarray(np.clip(np.floor(np.ldexp(real, s) + 0.5), -most, most))


def _half_away(values: Floats) -> Floats:
    return np.asarray(np.copysign(np.floor(np.abs(values) + 0.5), values))
