"""The float32 control: plain SGD, batch 1, on the same architecture from the same initial integers.

It answers what the integers cost, and is no product: no device runs it. Its result depends on the BLAS's order of
summation and on the processor's exponential, so it is compared by accuracy, and by bits on one machine alone.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    a = scaled_inputs(network, x)
    for layer in _layers(network, np.asarray(model, dtype=np.float32)[np.newaxis]):
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
    return train_float_many(network, model, [x], [y], [rng], epochs, learning_rate)[0]  # type: ignore[no-any-return]


def train_float_many(
    network: Network,
    model: ArrayLike,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    rngs: Sequence[np.random.Generator],
    epochs: int,
    learning_rate: float = 0.05,
) -> Floats:
    """Return what n clients end with, float32 (n, d), each as `train_float` would train it alone from the same model.

    One matrix product a layer and step serves all clients; those with most samples come first inside, so that the ones
    that are done drop out at the end.

    Raises:
        InvalidValueError: shapes that do not fit the network, or labels outside its classes.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> start, x = to_float(network.layout, initial_model(network, 1)), np.full((3, 64), 32, dtype=np.int8)
    >>> rngs = [np.random.default_rng(0), np.random.default_rng(1)]
    >>> train_float_many(network, start, [x[:1], x], [[1], [1, 2, 1]], rngs, epochs=1).shape
    (2, 2410)
    """
    inputs, labels = [scaled_inputs(network, x) for x in xs], [np.asarray(y) for y in ys]
    for x, y in zip(inputs, labels, strict=True):
        if y.shape != (len(x),) or (y.size and not 0 <= y.min() <= y.max() < network.classes):
            raise InvalidValueError(f"y of shape {y.shape}: need {len(x)} labels in 0 .. {network.classes - 1}")
    order = [
        np.concatenate([rng.permutation(len(y)) for _ in range(epochs)]) if epochs else np.empty(0, dtype=np.int64)
        for y, rng in zip(labels, rngs, strict=True)
    ]
    place = sorted(range(len(order)), key=lambda i: -len(order[i]))
    flat = np.repeat(np.asarray(model, dtype=np.float32)[np.newaxis], len(order), axis=0)
    steps, lengths = FloatSteps(network, flat, learning_rate), np.array([len(order[i]) for i in place])
    for number in range(int(lengths.max(initial=0))):
        now = place[: int(np.count_nonzero(lengths > number))]
        picked = [order[i][number] for i in now]
        x = np.stack([inputs[i][k] for i, k in zip(now, picked, strict=True)])
        steps.step(x, np.array([labels[i][k] for i, k in zip(now, picked, strict=True)]))
    out = np.empty_like(flat)
    out[place] = flat
    return out


class FloatSteps:
    """Float models of a chunk of clients, `models` (n, d) float32, which `step` writes to."""

    def __init__(self, network: Network, models: Floats, learning_rate: float) -> None:
        self._layers = _layers(network, models)
        self._rate = np.float32(learning_rate)
        self._softmax = network.head == "softmax"

    def step(self, x: Floats, y: NDArray[np.integer]) -> None:
        """One sample for each of the first m clients: x (m, features) as reals, y (m,)."""
        activations = [x]
        for layer in self._layers:
            activations.append(_forward(layer, activations[-1]))
        error = _softmax_error(activations[-1], y) if self._softmax else activations[-1] - x
        for layer, a, out in zip(reversed(self._layers), activations[-2::-1], activations[:0:-1], strict=True):
            error = self._update(layer, error, a, out)
            if not layer.plan.backward:  # everything below is frozen
                break

    def _update(self, layer: _Layer, error: Floats, a: Floats, out: Floats) -> Floats:
        """Take the step of a layer; returns the error of the one below, through the weights before it."""
        plan, m = layer.plan, len(a)
        if plan.low == 0:
            error = error * (out > 0)
        by_position = error.reshape(m, 1 if plan.window is None else plan.window.positions, -1)
        below = _error_below(layer, by_position) if plan.backward else error
        if plan.kernel is not None:
            seen = a[:, np.newaxis] if plan.window is None else gather(plan.window, a)
            layer.kernel[:m] -= self._rate * (np.swapaxes(by_position, 1, 2) @ seen)
        if plan.bias is not None:
            layer.bias[:m] -= self._rate * by_position.sum(axis=1)
        return below


def _softmax_error(z: Floats, y: NDArray[np.integer]) -> Floats:
    exps = np.exp(z - z.max(axis=1, keepdims=True))
    error: Floats = exps / exps.sum(axis=1, keepdims=True)
    error[np.arange(len(y)), y] -= np.float32(1)
    return error


@dataclass(frozen=True, eq=False)
class _Layer:
    """Kernels (n, rows, fan_in) and biases (n, rows) are views of the models where they are trained."""

    plan: LayerPlan
    kernel: Floats
    bias: Floats


def _forward(layer: _Layer, a: Floats) -> Floats:
    plan, m = layer.plan, len(a)
    seen = a[:, np.newaxis] if plan.window is None else gather(plan.window, a)
    if plan.kind == "pool" and plan.window is not None:
        z = seen.reshape(m, plan.window.positions, plan.window.taps, -1).mean(axis=2, dtype=np.float32)
    else:
        kernel, bias = layer.kernel[:m], layer.bias[:m]  # of one model alone, for any number of samples
        z = seen @ np.swapaxes(kernel, 1, 2) + bias[:, np.newaxis]
    out: Floats = z.reshape(m, -1)
    return np.maximum(out, np.float32(0)) if plan.low == 0 else out


def _error_below(layer: _Layer, error: Floats) -> Floats:
    window = layer.plan.window
    if layer.plan.kind == "pool" and window is not None:
        shares = np.repeat(error[:, :, np.newaxis] / np.float32(window.taps), window.taps, axis=2)
        spread: Floats = scatter(window, shares.reshape(len(error), window.positions, -1))
        return spread
    products = error @ layer.kernel[: len(error)]
    back: Floats = products[:, 0] if window is None else scatter(window, products)
    return back


def scaled_inputs(network: Network, x: ArrayLike) -> Floats:
    """Return the real values of inputs int8 Q6, float32 (N, features).

    Raises:
        InvalidValueError: no input of the network.

    >>> from byzantiny_models.networks import NETWORKS
    >>> scaled_inputs(NETWORKS["mlp-64-32-10"], np.full((1, 64), 32, dtype=np.int8))[0, :2].tolist()
    [0.5, 0.5]
    """
    scaled: Floats = check_inputs(network, x).astype(np.float32) * np.float32(2.0**-INPUT_FRAC)
    return scaled


def _layers(network: Network, models: Floats) -> list[_Layer]:
    # Views of what is trained: training writes through them into the models (n, d).
    n, d = models.shape
    if d != network.layout.d:
        raise InvalidValueError(f"a model of {d} parameters: {network.name} needs ({network.layout.d},)")
    whole = network.whole.layout
    fixed = to_float(whole, network.merge(np.zeros(network.layout.d, dtype=np.int32)))
    layers = []
    for plan in layer_plans(network):
        kernel, bias = np.empty((n, 0, 0), dtype=np.float32), np.empty((n, 0), dtype=np.float32)
        if plan.kind != "pool":
            frozen = (fixed[whole.slices[plan.tensor]], fixed[whole.slices[plan.tensor + 1]])
            kernel = np.broadcast_to(frozen[0], (n, len(frozen[0]))) if plan.kernel is None else models[:, plan.kernel]
            bias = np.broadcast_to(frozen[1], (n, len(frozen[1]))) if plan.bias is None else models[:, plan.bias]
        layers.append(_Layer(plan, kernel.reshape(n, plan.rows, plan.fan_in), bias))
    return layers
