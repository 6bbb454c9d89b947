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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.encoding import encode
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import Int32s, accuracy, check_inputs, forward
from byzantiny_models.layouts import WEIGHT_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.plans import ERROR_FRAC, HIDDEN_ERROR_FRAC, layer_plans
from byzantiny_models.quantization import EXP_LUT, rounding_shift, saturate
from byzantiny_models.rng import MAX_SAMPLES, Key, draw, sample_order
from byzantiny_models.steps import make_layer, masked

__all__ = [
    "LR_SHIFTS", "accuracy", "check_job", "check_samples", "encode", "forward", "output_error", "train", "train_many",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Variant:
    """What a trainer does otherwise than INT8-SR.

    `grain`: bits of a master's step that are not kept. `feedback`: by layer that computes something, int8 Q6 (outputs of the
    network, inputs of the next layer), instead of the weights' transpose.
    """

    grain: int = 0
    feedback: tuple[NDArray[np.int8], ...] = ()


PLAIN = Variant()
"""INT8-SR itself."""

LR_SHIFTS = range(4, 15)
"""Learning rates 2^-k: below 4 training is unstable, above 14 the weights' shift k + 2 passes 16."""

# Clients trained side by side: enough to hide NumPy's cost per call, few enough for their weights to stay in the cache.
_CHUNK = 128


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
    variant: Variant = PLAIN,
) -> Int32s:
    """Return what `train` returns for each of n clients, int32 (n, d); clients may have different sample counts.

    `models` is (d,), one start for all, or (n, d). `variant`: what a trainer that is not INT8-SR does otherwise.

    Raises:
        InvalidValueError: as `train`, and sequences of different lengths.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> xs = [np.full((n, 64), 32, dtype=np.int8) for n in (3, 1)]
    >>> ys = [np.array([1, 2, 1]), np.array([7])]
    >>> train_many(network, initial_model(network, 1), xs, ys, [(1, 2)] * 2, [(3, 4)] * 2, epochs=1, lr_shift=5).shape
    (2, 2410)
    """
    n = len(xs)
    if not n == len(ys) == len(keys_order) == len(keys_train):
        raise InvalidValueError(
            f"{n} x, {len(ys)} y, {len(keys_order)} and {len(keys_train)} keys: need one per client; complete the lists"
        )
    check_job(epochs, lr_shift)
    starts = np.asarray(models)
    starts = np.broadcast_to(starts, (n, network.layout.d)) if starts.ndim == 1 else starts
    if len(starts) != n:
        raise InvalidValueError(f"{len(starts)} models for {n} clients; give one, or one per client")
    trained = np.array([network.layout.check(s) for s in starts], dtype=np.int32).reshape(n, network.layout.d)
    data = [check_samples(network, x, y) for x, y in zip(xs, ys, strict=True)]
    # Longest first: the clients still at work at a step are then the first ones of a chunk.
    by_work = sorted(range(n), key=lambda c: -len(data[c][1]))
    for first in range(0, n, _CHUNK):
        chosen = by_work[first : first + _CHUNK]
        trained[chosen] = _train_chunk(
            network,
            trained[chosen],
            [data[c] for c in chosen],
            [keys_order[c] for c in chosen],
            [keys_train[c] for c in chosen],
            epochs,
            lr_shift,
            variant,
        )
    return trained


def _train_chunk(
    network: Network,
    models: Int32s,
    data: list[tuple[Int32s, Int32s]],
    keys_order: list[Key],
    keys_train: list[Key],
    epochs: int,
    lr_shift: int,
    variant: Variant,
) -> Int32s:
    counts = np.array([len(y) for _, y in data])
    x, y = np.concatenate([x for x, _ in data]), np.concatenate([y for _, y in data])
    steps = int(counts[0]) * epochs
    visits = np.zeros((steps, len(data)), dtype=np.int64)
    for c, (n, base, key) in enumerate(zip(counts, np.cumsum(counts) - counts, keys_order, strict=True)):
        for epoch in range(epochs):
            visits[epoch * n : (epoch + 1) * n, c] = base + sample_order(int(n), epoch, *key)
    k0, k1 = np.array(keys_train, dtype=np.uint32).T
    when = np.arange(steps, dtype=np.uint32)[:, np.newaxis]
    noise_a, noise_b = draw(when, k0, k1), draw(when, k1, k0)
    state = _State(network, models, lr_shift, variant)
    active = np.searchsorted(-counts * epochs, -np.arange(steps), side="left")
    for t in range(steps):
        m = int(active[t])
        state.step(x[visits[t, :m]], y[visits[t, :m]], noise_a[t, :m], noise_b[t, :m])
    return models


class _State:
    """The layers of a chunk of clients."""

    def __init__(self, network: Network, models: Int32s, lr_shift: int, variant: Variant) -> None:
        plans = layer_plans(network)
        self.layers = [make_layer(network, plan, models, lr_shift, variant.grain) for plan in plans]
        self.feedback = variant.feedback
        self.plans = plans
        self.reconstructs = network.head == "squared-error"
        self.lowest = next(i for i, plan in enumerate(plans) if plan.kernel is not None or plan.bias is not None)

    def step(self, x: Int32s, y: Int32s, a: NDArray[np.uint32], b: NDArray[np.uint32]) -> None:
        """One sample for each of the first m clients."""
        inputs = [x]
        for layer in self.layers:
            inputs.append(layer.forward(inputs[-1]))
        error = squared_error(inputs[-1], x) if self.reconstructs else output_error(inputs[-1], y)
        outermost = error
        for i in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer = self.layers[i]
            below = error
            if i > self.lowest:  # with the weights before the update
                below = (
                    layer.backward(error, inputs[i]) if not self.feedback else self._fed_back(i, outermost, inputs[i])
                )
            layer.update(error, inputs[i], a, b)
            error = below

    def _fed_back(self, i: int, outermost: Int32s, x: Int32s) -> Int32s:
        """The error of the layer below layer i, straight from the outputs through its fixed matrix."""
        plan = self.plans[i]
        total = outermost @ self.feedback[i - 1].astype(np.int32)
        return masked(plan, rounding_shift(total, WEIGHT_FRAC + ERROR_FRAC - HIDDEN_ERROR_FRAC), x)


def check_job(epochs: int, lr_shift: int) -> None:
    """Raise unless a number of epochs and a rate are ones that an offer can announce.

    Raises:
        InvalidValueError: epochs outside 0 .. 255, lr_shift outside 4 .. 14.

    >>> check_job(1, 5)
    """
    if lr_shift not in LR_SHIFTS or not 0 <= epochs <= 255:
        raise InvalidValueError(
            f"lr_shift {lr_shift}, epochs {epochs}: the limits are {LR_SHIFTS[0]} .. {LR_SHIFTS[-1]} and 0 .. 255"
        )


def check_samples(network: Network, x: ArrayLike, y: ArrayLike) -> tuple[Int32s, Int32s]:
    """Return a client's samples as int32: inputs (n, features), labels (n,).

    Raises:
        InvalidValueError: inputs of another shape or range, labels that are not one integer each within the classes, more than
            65,535 samples.

    >>> from byzantiny_models.networks import NETWORKS
    >>> check_samples(NETWORKS["mlp-64-32-10"], np.zeros((2, 64), dtype=np.int8), [1, 9])[1].tolist()
    [1, 9]
    """
    inputs, labels = check_inputs(network, x), np.asarray(y)
    if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu" or len(labels) > MAX_SAMPLES:
        raise InvalidValueError(
            f"y of shape {labels.shape}, type {labels.dtype} for {len(inputs)} samples: "
            f"need one integer each, at most {MAX_SAMPLES}; split the client"
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < network.classes:
        raise InvalidValueError(
            f"labels {labels.min()} .. {labels.max()}: {network.name} has classes 0 .. {network.classes - 1}; relabel"
        )
    return inputs, labels.astype(np.int32)
