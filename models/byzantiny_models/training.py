"""INT8-SR: training in integers only, the NumPy twin of the C core. Normative: SPEC 2 and 3, DESIGN 4.

int8 forward pass, int16 error, int16 master weights, power-of-two scales, batch 1, rank-1 updates in place with
stochastic rounding. Kin: NITI (M. Wang et al., TPDS 2022, arXiv 2009.13108). What differs: static exponents instead of
dynamic ones, the true softmax by table, a 16-bit master, counter-based noise.

Formats (Qn: n fractional bits): w16 Q14; logits' error e = p - 127 [label], Q7; a hidden layer's error int16 Q10; the
rest is in inference.py. Each shift is the difference of formats:

    backward  eh = sat16((sum_o w8[o, j] e[o] + half) >> (6 + frac_e - 10)) where 0 < a[j] < 127, else 0
    update    w -= SR(e a, frac_e + frac_a + lr_shift - 14);  b -= SR(e, frac_e + lr_shift - frac_b); both saturating

Overflow, for m outputs of a layer (tests/models/test_training.py goes to the limits); the forward pass: inference.py.
* Backward sums: logits |sum w8 e| <= 127 * 127 m; hidden layers <= 127 * 32,768 m < 2^31 - 32 for m <= 516.
* Softmax: S <= 65,535 * 256 < 2^24; 128 E + S / 2 < 2^24.
* Update: |e a| <= 32,768 * 128 = 2^22, plus noise below 2^16; a master before saturation is within 32,512 + 2^22, a
  bias within 2^24 + 2^15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.encoding import encode
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import (
    HIDDEN_ERROR_FRAC,
    Int32s,
    accuracy,
    check_inputs,
    derive_weights,
    forward,
    layer_plans,
)
from byzantiny_models.networks import LIMITS, MASTER_FRAC, WEIGHT_FRAC, Network
from byzantiny_models.quantization import EXP_LUT, requantize, rounding_shift, saturate, stochastic_shift
from byzantiny_models.rng import MAX_SAMPLES, Key, draw, sample_order

__all__ = ["LR_SHIFTS", "accuracy", "encode", "forward", "output_error", "train", "train_many"]

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
    n = len(xs)
    if not n == len(ys) == len(keys_order) == len(keys_train):
        raise InvalidValueError(
            f"{n} x, {len(ys)} y, {len(keys_order)} and {len(keys_train)} keys: need one per client; complete the lists"
        )
    if lr_shift not in LR_SHIFTS or not 0 <= epochs <= 255:
        raise InvalidValueError(
            f"lr_shift {lr_shift}, epochs {epochs}: the limits are {LR_SHIFTS[0]} .. {LR_SHIFTS[-1]} and 0 .. 255"
        )
    starts = np.asarray(models)
    starts = np.broadcast_to(starts, (n, network.layout.d)) if starts.ndim == 1 else starts
    if len(starts) != n:
        raise InvalidValueError(f"{len(starts)} models for {n} clients; give one, or one per client")
    trained = np.array([network.layout.check(s) for s in starts], dtype=np.int32).reshape(n, network.layout.d)
    data = [_samples(network, x, y) for x, y in zip(xs, ys, strict=True)]
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
    state = _State(network, models, lr_shift)
    active = np.searchsorted(-counts * epochs, -np.arange(steps), side="left")
    for t in range(steps):
        m = int(active[t])
        state.step(x[visits[t, :m]], y[visits[t, :m]], noise_a[t, :m], noise_b[t, :m])
    return models


class _State:
    """The masters of a chunk of clients and the int8 weights derived from them, kept in step."""

    def __init__(self, network: Network, models: Int32s, lr_shift: int) -> None:
        self.plans = layer_plans(network)
        self.lr_shift = lr_shift
        n = len(models)
        self.masters = [models[:, p.kernel].reshape(n, p.outputs, p.inputs) for p in self.plans]
        self.biases = [models[:, p.bias] for p in self.plans]
        self.weights = [derive_weights(w).astype(p.dtype) for w, p in zip(self.masters, self.plans, strict=True)]

    def step(self, x: Int32s, y: Int32s, a: NDArray[np.uint32], b: NDArray[np.uint32]) -> None:
        """One sample for each of the first m clients."""
        m = len(x)
        activations = [x]
        for plan, w8, bias in zip(self.plans, self.weights, self.biases, strict=True):
            product = np.matmul(w8[:m], activations[-1][:, :, np.newaxis].astype(plan.dtype))[:, :, 0]
            acc = product.astype(np.int32) + bias[:m]
            activations.append(np.minimum(np.maximum(requantize(acc, plan.k), 0 if plan.hidden else -128), 127))
        error = output_error(activations[-1], y)
        for i in reversed(range(len(self.plans))):
            below = self._error_below(i, error, activations[i]) if i else None  # with the weights before the update
            self._update(i, error, activations[i], a, b)
            if below is not None:
                error = below

    def _error_below(self, i: int, error: Int32s, activation: Int32s) -> Int32s:
        plan = self.plans[i]
        total = np.matmul(error[:, np.newaxis, :].astype(plan.dtype), self.weights[i][: len(error)])[:, 0]
        shifted = rounding_shift(total.astype(np.int32), WEIGHT_FRAC + plan.error_frac - HIDDEN_ERROR_FRAC)
        below: Int32s = np.minimum(np.maximum(shifted, -(1 << 15)), (1 << 15) - 1)
        # ReLU passes no gradient at 0, the saturation none at 127.
        below[(activation <= 0) | (activation >= 127)] = 0
        return below

    def _update(self, i: int, error: Int32s, activation: Int32s, a: NDArray[np.uint32], b: NDArray[np.uint32]) -> None:
        plan, k = self.plans[i], self.lr_shift
        # A row whose error is 0 does not change, SR(0, s) being 0 whatever the noise: only the others are touched.
        clients, rows = np.nonzero(error)
        if len(clients) == 0:
            return
        e, a, b = error[clients, rows], a[clients], b[clients]
        offsets = (plan.kernel.start + rows * plan.inputs).astype(np.uint32)[:, np.newaxis]
        noise = draw(offsets + np.arange(plan.inputs, dtype=np.uint32), a[:, np.newaxis], b[:, np.newaxis])
        moved = self.masters[i][clients, rows]
        s = plan.error_frac + plan.input_frac + k - MASTER_FRAC
        moved -= stochastic_shift(e[:, np.newaxis] * activation[clients], s, noise)
        moved = saturate(moved, LIMITS["int16"])
        self.masters[i][clients, rows] = moved
        self.weights[i][clients, rows] = derive_weights(moved)
        change = stochastic_shift(e, plan.error_frac + k - plan.bias_frac, draw(plan.bias.start + rows, a, b))
        self.biases[i][clients, rows] = saturate(self.biases[i][clients, rows] - change, LIMITS["int32"])


def _samples(network: Network, x: ArrayLike, y: ArrayLike) -> tuple[Int32s, Int32s]:
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
