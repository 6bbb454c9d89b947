"""Gradients of a network in float64, of its weights and of its inputs: what an adversary optimises with on its own computer.

Nothing on a device or on the path of an honest round uses this. It is the network of `float_training` with batches instead of
single steps; sums go through the BLAS, so bits may differ between machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.float_training import to_float
from byzantiny_models.layouts import INPUT_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.plans import LayerPlan, layer_plans
from byzantiny_models.windows import gather, scatter

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gradients:
    """The mean loss of a batch, its gradient by the model (d,), and by every input (N, features)."""

    loss: float
    model: Floats
    inputs: Floats


def scaled_inputs(network: Network, x: ArrayLike) -> Floats:
    """Return int8 Q6 inputs as the real numbers they stand for, float64 (N, features).

    >>> from byzantiny_models.networks import NETWORKS
    >>> float(scaled_inputs(NETWORKS["mlp-64-32-10"], np.full((1, 64), 32, dtype=np.int8))[0, 0])
    0.5
    """
    scaled: Floats = np.asarray(x, dtype=np.float64).reshape(-1, network.features) * 2.0**-INPUT_FRAC
    return scaled


def outputs(network: Network, model: ArrayLike, x: ArrayLike) -> list[Floats]:
    """Return the outputs of every layer that computes something, (N, outputs) each, of real inputs (N, features).

    Raises:
        InvalidValueError: a model of another shape.

    >>> from byzantiny_models.networks import NETWORKS
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> [a.shape for a in outputs(network, np.zeros(2410), np.zeros((2, 64)))]
    [(2, 32), (2, 10)]
    """
    a = np.asarray(x, dtype=np.float64)
    found = []
    for plan, kernel, bias in _weights(network, np.asarray(model, dtype=np.float64)):
        a = _forward(plan, kernel, bias, a)
        found.append(a)
    return found


def gradients(network: Network, model: ArrayLike, x: ArrayLike, y: ArrayLike) -> Gradients:
    """Return the mean softmax cross-entropy of real inputs with labels y, and its gradients.

    With a squared-error head the loss is half the squared distance of the outputs to the inputs.

    Raises:
        InvalidValueError: a model of another shape, or no samples.

    >>> from byzantiny_models.networks import Dense, Network
    >>> network = Network("tiny", (Dense(2, 2, "linear"),))
    >>> found = gradients(network, np.zeros(6), [[1.0, 0.0]], [0])
    >>> round(found.loss, 4), found.model.tolist()
    (0.6931, [-0.5, 0.0, 0.5, 0.0, -0.5, 0.5])
    """
    inputs, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if not len(inputs):
        raise InvalidValueError("a gradient of 0 samples: at least 1 is needed")
    z = outputs(network, model, inputs)[-1]
    if network.head == "softmax":
        shifted = z - z.max(axis=1, keepdims=True)
        total = np.log(np.exp(shifted).sum(axis=1))
        chosen = np.arange(len(z))
        loss = float(np.mean(total - shifted[chosen, labels]))
        error = np.exp(shifted - total[:, None])
        error[chosen, labels] -= 1
    else:
        error = z - inputs
        loss = float(np.mean(0.5 * (error * error).sum(axis=1)))
    by_model, by_inputs = pull_back(network, model, inputs, error / len(z))
    return Gradients(loss, by_model, by_inputs)


def pull_back(
    network: Network, model: ArrayLike, x: ArrayLike, error: ArrayLike, layer: int = -1
) -> tuple[Floats, Floats]:
    """Return the gradients by the model and by the inputs, of a loss whose gradient by a layer's outputs is `error`.

    >>> from byzantiny_models.networks import Dense, Network
    >>> network = Network("tiny", (Dense(2, 1, "linear"),))
    >>> by_model, by_inputs = pull_back(network, [3.0, 4.0, 0.0], [[1.0, 2.0]], [[1.0]])
    >>> by_model.tolist(), by_inputs.tolist()
    ([1.0, 2.0, 1.0], [[3.0, 4.0]])
    """
    flat = np.asarray(model, dtype=np.float64)
    layers = _weights(network, flat)
    layers = layers[: len(layers) + layer + 1] if layer < 0 else layers[: layer + 1]
    activations = [np.asarray(x, dtype=np.float64)]
    for plan, kernel, bias in layers:
        activations.append(_forward(plan, kernel, bias, activations[-1]))
    by_model = np.zeros(network.layout.d)
    back = np.asarray(error, dtype=np.float64)
    for i in reversed(range(len(layers))):
        plan, kernel, _ = layers[i]
        if plan.low == 0:
            back = back * (activations[i + 1] > 0)
        back = _layer_back(plan, kernel, activations[i], back, by_model)
    return by_model, back


def _layer_back(plan: LayerPlan, kernel: Floats, a: Floats, error: Floats, by_model: Floats) -> Floats:
    """Add a layer's gradient to `by_model` and return the error of its inputs."""
    if plan.window is None:
        seen, by_position = a[:, None, :], error[:, None, :]
    else:
        seen, by_position = gather(plan.window, a), error.reshape(len(a), plan.window.positions, -1)
    if plan.kernel is not None:
        by_model[plan.kernel] += np.tensordot(by_position, seen, axes=([0, 1], [0, 1])).ravel()
    if plan.bias is not None:
        by_model[plan.bias] += by_position.sum(axis=(0, 1))
    if plan.window is None:
        return error @ kernel
    if plan.kind == "pool":
        shares = np.repeat(by_position[:, :, None, :] / plan.window.taps, plan.window.taps, axis=2)
        spread: Floats = scatter(plan.window, shares.reshape(len(a), plan.window.positions, -1))
        return spread
    back: Floats = scatter(plan.window, by_position @ kernel)
    return back


def _forward(plan: LayerPlan, kernel: Floats, bias: Floats, a: Floats) -> Floats:
    if plan.kind == "pool" and plan.window is not None:
        seen = gather(plan.window, a).reshape(len(a), plan.window.positions, plan.window.taps, -1)
        z = seen.mean(axis=2)
    else:
        z = (a if plan.window is None else gather(plan.window, a)) @ kernel.T + bias
    out: Floats = z.reshape(len(a), -1)
    return np.maximum(out, 0.0) if plan.low == 0 else out


def _weights(network: Network, flat: Floats) -> list[tuple[LayerPlan, Floats, Floats]]:
    if flat.shape != (network.layout.d,):
        raise InvalidValueError(f"a model of shape {flat.shape}: {network.name} needs ({network.layout.d},)")
    whole = network.whole.layout
    fixed = to_float(whole, network.merge(np.zeros(network.layout.d, dtype=np.int32))).astype(np.float64)
    layers = []
    for plan in layer_plans(network):
        kernel, bias = np.empty((0, 0)), np.empty(0)
        if plan.kind != "pool":
            kernel = fixed[whole.slices[plan.tensor]] if plan.kernel is None else flat[plan.kernel]
            bias = fixed[whole.slices[plan.tensor + 1]] if plan.bias is None else flat[plan.bias]
            kernel = kernel.reshape(plan.rows, plan.fan_in)
        layers.append((plan, kernel, bias))
    return layers
