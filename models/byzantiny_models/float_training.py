"""The float32 control: plain SGD, batch 1, on the same architecture from the same initial integers.

It answers what the integers cost, and is no product: nothing on a device or on the path of a round uses it. Its result
depends on the BLAS's order of summation, so it is compared by accuracy, never by bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import check_inputs
from byzantiny_models.layouts import INPUT_FRAC, Layout
from byzantiny_models.networks import Network
from byzantiny_models.plans import LayerPlan, layer_plans
from byzantiny_models.windows import gather, scatter

Floats = NDArray[np.float32]


def to_float(layout: Layout, flat: ArrayLike) -> Floats:
    """Return the real values of an integer model, float32 (d,): `integer * 2^-frac`.

    Raises:
        LayoutError: not a model of this layout.

    >>> from byzantiny_models.networks import TensorSpec
    >>> to_float(Layout((TensorSpec("w", (2,), "int16", 14),)), [8192, -4096]).tolist()
    [0.5, -0.25]
    """
    fracs = np.repeat([t.frac for t in layout.tensors], [t.elements for t in layout.tensors])
    real: Floats = np.ldexp(layout.check(flat).astype(np.float32), -fracs).astype(np.float32)
    return real


def forward_float(network: Network, model: ArrayLike, x: ArrayLike) -> Floats:
    """Return the outputs of a batch, float32 (N, outputs), of x int8 Q6 (N, features) and a float model (d,).

    `a = max(0, W a + b)` with ReLU, `W a + b` without, x scaled by 2^-6.

    Raises:
        InvalidValueError: a model or an input of another shape.

    >>> from byzantiny_models.networks import NETWORKS
    >>> forward_float(NETWORKS["mlp-64-32-10"], np.zeros(2410), np.zeros((2, 64), dtype=np.int8)).shape
    (2, 10)
    """
    a = _inputs(network, x)
    for layer in _layers(network, np.asarray(model, dtype=np.float32)):
        a = _forward(layer, a)
    return a


def accuracy_float(network: Network, model: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of samples whose largest logit is the label's.

    >>> from byzantiny_models.networks import NETWORKS
    >>> accuracy_float(NETWORKS["mlp-64-32-10"], np.zeros(2410), np.zeros((2, 64), dtype=np.int8), [0, 1])
    0.5
    """
    return float(np.mean(np.argmax(forward_float(network, model, x), axis=1) == np.asarray(y)))


def train_float(
    network: Network,
    model: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    epochs: int,
    learning_rate: float = 0.05,
) -> Floats:
    """Return the float model after `epochs` passes of SGD with batch 1, float32 (d,).

    `W -= lr * sum e a^T, b -= lr * sum e`, sums over a filter's positions; `e = softmax(z) - onehot(y)`, or `y - x` with
    a squared-error head; `rng` draws each epoch's order.

    Raises:
        InvalidValueError: shapes that do not fit the network, or labels outside its classes.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> start = to_float(network.layout, initial_model(network, 1))
    >>> x, y = np.full((2, 64), 32, dtype=np.int8), np.array([1, 2])
    >>> train_float(network, start, x, y, np.random.default_rng(0), epochs=1).shape
    (2410,)
    """
    orders = (rng.permutation(len(np.asarray(y))) for _ in range(epochs))
    return train_float_in_order(network, model, x, y, orders, learning_rate)


def train_float_in_order(
    network: Network,
    model: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    orders: Iterable[NDArray[np.integer]],
    learning_rate: float,
) -> Floats:
    """Return what `train_float` does, float32 (d,), with the samples in these orders, one an epoch.

    Raises:
        InvalidValueError: as `train_float`.

    >>> from byzantiny_models.networks import NETWORKS
    >>> x, y = np.full((2, 64), 32, dtype=np.int8), np.array([1, 2])
    >>> train_float_in_order(NETWORKS["mlp-64-32-10"], np.zeros(2410), x, y, [np.array([1, 0])], 0.5)[-10:].argmax().item()
    1
    """
    flat = np.array(model, dtype=np.float32)
    layers = _layers(network, flat)
    inputs, labels = _inputs(network, x), np.asarray(y)
    if labels.shape != (len(inputs),) or (labels.size and not 0 <= labels.min() <= labels.max() < network.classes):
        raise InvalidValueError(f"y of shape {labels.shape}: need {len(inputs)} labels in 0 .. {network.classes - 1}")
    for order in orders:
        for sample in order:
            _step(network, layers, inputs[sample : sample + 1], int(labels[sample]), np.float32(learning_rate))
    return flat


@dataclass(frozen=True, eq=False)
class _Layer:
    """Kernel (rows, fan_in) and bias are views of the model where they are trained."""

    plan: LayerPlan
    kernel: Floats
    bias: Floats


def _forward(layer: _Layer, a: Floats) -> Floats:
    plan = layer.plan
    seen = a[:, np.newaxis] if plan.window is None else gather(plan.window, a)
    if plan.kind == "pool" and plan.window is not None:
        z = seen.reshape(len(a), plan.window.positions, plan.window.taps, -1).mean(axis=2, dtype=np.float32)
    else:
        z = seen @ layer.kernel.T + layer.bias
    out: Floats = z.reshape(len(a), -1)
    return np.maximum(out, np.float32(0)) if plan.low == 0 else out


def _step(network: Network, layers: list[_Layer], x: Floats, label: int, rate: np.float32) -> None:
    activations = [x]
    for layer in layers:
        activations.append(_forward(layer, activations[-1]))
    z = activations[-1]
    if network.head == "softmax":
        exps = np.exp(z - z.max())
        error = exps / exps.sum()
        error[0, label] -= np.float32(1)
    else:
        error = z - x
    for i in reversed(range(len(layers))):
        plan, a = layers[i].plan, activations[i]
        if plan.low == 0:
            error = error * (activations[i + 1] > 0)
        by_position = error.reshape(1 if plan.window is None else plan.window.positions, -1)
        below = _error_below(layers[i], by_position) if plan.backward else error  # with the weights before the update
        if plan.kernel is not None:
            seen = a if plan.window is None else gather(plan.window, a[0])
            np.subtract(layers[i].kernel, rate * (by_position.T @ seen), out=layers[i].kernel)
        if plan.bias is not None:
            np.subtract(layers[i].bias, rate * by_position.sum(axis=0), out=layers[i].bias)
        if not plan.backward:
            break  # nothing below is trained, so there is no error to pass on
        error = below


def _error_below(layer: _Layer, error: Floats) -> Floats:
    window = layer.plan.window
    if window is None:
        return error @ layer.kernel
    if layer.plan.kind == "pool":
        shares = np.repeat(error[:, np.newaxis] / np.float32(window.taps), window.taps, axis=1)
        spread: Floats = scatter(window, shares.reshape(window.positions, -1))[np.newaxis]
        return spread
    back: Floats = scatter(window, error @ layer.kernel)[np.newaxis]
    return back


def _inputs(network: Network, x: ArrayLike) -> Floats:
    scaled: Floats = check_inputs(network, x).astype(np.float32) * np.float32(2.0**-INPUT_FRAC)
    return scaled


def _layers(network: Network, flat: Floats) -> list[_Layer]:
    # Views of what is trained: training writes through them into the flat model.
    if flat.shape != (network.layout.d,):
        raise InvalidValueError(f"a model of shape {flat.shape}: {network.name} needs ({network.layout.d},)")
    whole = network.whole.layout
    fixed = to_float(whole, network.merge(np.zeros(network.layout.d, dtype=np.int32)))
    layers = []
    for plan in layer_plans(network):
        kernel, bias = np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.float32)
        if plan.kind != "pool":
            kernel = fixed[whole.slices[plan.tensor]] if plan.kernel is None else flat[plan.kernel]
            bias = fixed[whole.slices[plan.tensor + 1]] if plan.bias is None else flat[plan.bias]
        layers.append(_Layer(plan, kernel.reshape(plan.rows, plan.fan_in), bias))
    return layers
