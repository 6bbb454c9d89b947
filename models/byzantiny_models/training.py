"""INT8-SR: training in integers only, the NumPy twin of the C core. Normative: SPEC 2 and 3, DESIGN 4.

int8 forward pass, int16 error, int16 master weights, power-of-two scales, batch 1, rank-1 updates in place with
stochastic rounding. Kin: NITI (M. Wang et al., TPDS 2022, arXiv 2009.13108). What differs: static exponents instead of
dynamic ones, the true softmax by table, a 16-bit master, counter-based noise.

Formats (Qn: n fractional bits): w16 Q14; the outputs' error Q7, `e = p - 127 [label]` or twice a reconstruction's
difference; a hidden layer's error int16 Q10; the rest is in plans.py. Each shift is the difference of formats:

    backward  eh = sat((sum w8 e + half) >> (6 + frac_e - 10)) where the activation is not clamped, else 0
    update    w -= SR(sum e a, frac_e + frac_a + lr_shift - 14);  b -= SR(sum e, frac_e + lr_shift - frac_b)

The sums of an update run over the positions of a convolution; a dense layer has one. A weight is rounded once a sample.
No further shift makes up for the positions: tried, and not needed (docs/training.md). Average pooling hands an equal
share of an error to each input of the window (windows.py). Both saturate: masters at their limits, errors at theirs.

Overflow (plans.py has the sums of products; tests/models go to the limits):
* Softmax: S <= 65,535 * 256 < 2^24; 128 E + S / 2 < 2^24.
* Update: |sum e a| <= 2^31 - 2^17, the noise is below 2^16 and the shift at least 2; a master before saturation is
  within 32,512 + 2^29. |sum e| < 2^24 and the shift at least -1: a bias before saturation is within 2^24 + 2^25.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.encoding import encode
from byzantiny_models.inference import Int32s, accuracy, forward
from byzantiny_models.local_training import LR_SHIFTS, train_clients
from byzantiny_models.networks import Network
from byzantiny_models.plans import layer_plans
from byzantiny_models.quantization import EXP_LUT, saturate
from byzantiny_models.rng import Key
from byzantiny_models.steps import MASTERS, LayerState, Noise, WeightFormat, make_layer

__all__ = ["LR_SHIFTS", "IntegerSteps", "accuracy", "encode", "forward", "output_error", "train", "train_many"]

Feedback = Callable[[int, Int32s, Int32s], Int32s]
"""(layer, error of the outputs, inputs of the layer) -> the error of those inputs; None in its place is backpropagation."""


def output_error(z: NDArray[np.integer], y: NDArray[np.integer]) -> Int32s:
    """Return the gradient of softmax cross-entropy, int32 Q7 (N, classes), at logits z int8 Q3 with labels y.

    `d = max z - z; E = LUT[d]; S = sum E; p = min(127, (128 E + S // 2) // S); e = p - 127 [label]`.

    Source: SPEC 3.

    >>> output_error(np.array([[8, 0, -8]], dtype=np.int8), np.array([1])).tolist()
    [[85, -96, 12]]
    """
    z = z.astype(np.int32)
    exps = EXP_LUT[z.max(axis=1, keepdims=True) - z].astype(np.int32)
    total = exps.sum(axis=1, keepdims=True, dtype=np.int32)  # at most 65,535 * 256 classes
    e: Int32s = np.minimum((exps * 128 + (total >> 1)) // total, 127)
    e[np.arange(len(e)), y] -= 127
    return e


def squared_error(y: NDArray[np.integer], target: NDArray[np.integer]) -> Int32s:
    """Return the gradient of half the squared error, int32 Q7 (N, outputs), at outputs and targets int8 Q6.

    `e = min(max(2 (y - t), -127), 127)`: beyond a real difference of 127/128 the loss goes on as a straight line.

    Source: SPEC 3.

    >>> squared_error(np.array([[10, -128, 0]]), np.array([[7, 127, 0]])).tolist()
    [[6, -127, 0]]
    """
    e: Int32s = saturate(2 * (y.astype(np.int32) - target), 127)
    return e


def train(
    network: Network,
    flat: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    key_order: Key,
    key_train: Key,
    epochs: int,
    lr_shift: int,
) -> Int32s:
    """Return the model after `epochs` passes of INT8-SR over one client's samples, int32 (d,).

    x int8 Q6 (n, features), y (n,); `key_order` and `key_train` are the client's keys of the round for the streams
    SAMPLE_ORDER and TRAINING; the learning rate is `2^-lr_shift`. The module's docstring has the step.

    Raises:
        InvalidValueError: shapes, labels, epochs (0 .. 255) or lr_shift (4 .. 14) outside their limits (the model's:
            LayoutError, its subclass).

    Source: SPEC 2 and 3.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> train(network, initial_model(network, 1), x, y, (1, 2), (3, 4), epochs=2, lr_shift=5).shape
    (2410,)
    """
    trained = train_many(network, np.asarray(flat)[np.newaxis], [x], [y], [key_order], [key_train], epochs, lr_shift)
    result: Int32s = trained[0]
    return result


def train_many(
    network: Network,
    models: ArrayLike,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    keys_order: Sequence[Key],
    keys_train: Sequence[Key],
    epochs: int,
    lr_shift: int,
) -> Int32s:
    """Return what `train` returns for each of n clients, int32 (n, d); clients may have different sample counts.

    `models` is (d,), one start for all, or (n, d).

    Raises:
        InvalidValueError: as `train`, and sequences of different lengths.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> xs = [np.full((n, 64), 32, dtype=np.int8) for n in (3, 1)]
    >>> ys = [np.array([1, 2, 1]), np.array([7])]
    >>> train_many(network, initial_model(network, 1), xs, ys, [(1, 2)] * 2, [(3, 4)] * 2, epochs=1, lr_shift=5).shape
    (2, 2410)
    """
    return train_clients(IntegerSteps, network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)


class IntegerSteps:
    """The layers of a chunk of clients, trained in integers; `models` (n, d) is written to.

    `weights` says how a kernel is kept, `feedback` how the error of a hidden layer comes about.
    """

    def __init__(
        self,
        network: Network,
        models: Int32s,
        lr_shift: int,
        weights: WeightFormat = MASTERS,
        feedback: Feedback | None = None,
    ) -> None:
        self.plans = layer_plans(network)
        self.layers: list[LayerState] = [make_layer(network, plan, models, lr_shift, weights) for plan in self.plans]
        self._models = models
        self._feedback = feedback
        self._reconstructs = network.head == "squared-error"
        self._lowest = next(i for i, plan in enumerate(self.plans) if plan.kernel is not None or plan.bias is not None)

    def step(self, x: Int32s, y: Int32s, a: Noise, b: Noise) -> None:
        """One sample for each of the first m clients."""
        inputs = [x]
        for layer in self.layers:
            inputs.append(layer.forward(inputs[-1]))
        top = squared_error(inputs[-1], x) if self._reconstructs else output_error(inputs[-1], y)
        error = top
        for i in range(len(self.layers) - 1, self._lowest - 1, -1):
            below = self._below(i, top, error, inputs[i]) if i > self._lowest else error
            self.layers[i].update(error, inputs[i], a, b)
            error = below

    def _below(self, i: int, top: Int32s, error: Int32s, x: Int32s) -> Int32s:
        if self._feedback is not None:
            return self._feedback(i, top, x)
        return self.layers[i].backward(error, x)  # with the weights before the update

    def result(self, a: Noise, b: Noise) -> Int32s:  # noqa: ARG002 - what is trained is the model already
        """Return the models."""
        return self._models
