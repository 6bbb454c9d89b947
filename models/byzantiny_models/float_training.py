"""The float32 control: plain SGD, batch 1, on the same architecture from the same initial integers.

It answers what the integers cost, and is no product: nothing on a device or on the path of a round uses it. Its result
depends on the BLAS's order of summation, so it is compared by accuracy, never by bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import check_inputs
from byzantiny_models.networks import INPUT_FRAC, Layout, Network

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
    """Return the logits of a batch, float32 (N, classes), of x int8 Q6 (N, features) and a float model (d,).

    `a = max(0, W a + b)` per hidden layer, `z = W a + b`, x scaled by 2^-6.

    Raises:
        InvalidValueError: a model or an input of another shape.

    >>> from byzantiny_models.networks import NETWORKS
    >>> forward_float(NETWORKS["mlp-64-32-10"], np.zeros(2410), np.zeros((2, 64), dtype=np.int8)).shape
    (2, 10)
    """
    a = _inputs(network, x)
    layers = _layers(network, np.asarray(model, dtype=np.float32))
    for i, (kernel, bias) in enumerate(layers):
        a = a @ kernel.T + bias
        if i < len(layers) - 1:
            a = np.maximum(a, np.float32(0))
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
    """Return the float model after `epochs` passes of SGD with batch 1 and softmax cross-entropy, float32 (d,).

    `W -= lr * e a^T, b -= lr * e`, `e = softmax(z) - onehot(y)`; `rng` draws each epoch's order.

    Raises:
        InvalidValueError: shapes that do not fit the network, or labels outside its classes.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> start = to_float(network.layout, initial_model(network, 1))
    >>> x, y = np.full((2, 64), 32, dtype=np.int8), np.array([1, 2])
    >>> train_float(network, start, x, y, np.random.default_rng(0), epochs=1).shape
    (2410,)
    """
    flat = np.array(model, dtype=np.float32)
    layers = _layers(network, flat)
    inputs, labels = _inputs(network, x), np.asarray(y)
    if labels.shape != (len(inputs),) or (labels.size and not 0 <= labels.min() <= labels.max() < network.classes):
        raise InvalidValueError(f"y of shape {labels.shape}: need {len(inputs)} labels in 0 .. {network.classes - 1}")
    rate = np.float32(learning_rate)
    for _ in range(epochs):
        for sample in rng.permutation(len(inputs)):
            activations = [inputs[sample]]
            for i, (kernel, bias) in enumerate(layers):
                z = kernel @ activations[-1] + bias
                activations.append(np.maximum(z, np.float32(0)) if i < len(layers) - 1 else z)
            exps = np.exp(activations[-1] - activations[-1].max())
            error = exps / exps.sum()
            error[labels[sample]] -= np.float32(1)
            for i in reversed(range(len(layers))):
                kernel, bias = layers[i]
                below = (kernel.T @ error) * (activations[i] > 0)
                kernel -= rate * np.outer(error, activations[i])
                bias -= rate * error
                error = below
    return flat


def _inputs(network: Network, x: ArrayLike) -> Floats:
    scaled: Floats = check_inputs(network, x).astype(np.float32) * np.float32(2.0**-INPUT_FRAC)
    return scaled


def _layers(network: Network, flat: Floats) -> list[tuple[Floats, Floats]]:
    # Views: training writes through them into the flat model.
    if flat.shape != (network.layout.d,):
        raise InvalidValueError(f"a model of shape {flat.shape}: {network.name} needs ({network.layout.d},)")
    parts = [
        flat[where].reshape(t.shape) for t, where in zip(network.layout.tensors, network.layout.slices, strict=True)
    ]
    return list(zip(parts[::2], parts[1::2], strict=True))
