"""NITI: int8 tensors with one exponent each, rescaled after every product by its largest value; no master, no rate.

Paper: M. Wang et al., NITI, TPDS 2022 (arXiv 2009.13108), and its published code. A tensor is (v int8, e), the real v 2^e.

    after a product   s = max(0, bits(max |acc|) - 7);  v = clip(round(acc / 2^s));  e = e_x + e_w + s
    loss              a softmax in base 2 (`loss_error`); the error is rounded stochastically by 2^-4
    update            g = PSR(dW, max(0, bits(max |dW|) - mu));  W = clip(W - g);  its exponent does not enter

PSR is pseudo-stochastic rounding: the upper half of the dropped bits is the probability, the lower half the number that
decides. What differs from the published code: bits(x) is the bit length instead of ceil(log2 x), which at a maximum of
2^k left the value 128 to wrap; divisions truncate towards zero, as the code did when it was published (from PyTorch 1.13
its `//` floors, which biases negative values); the stochastic rounding of the loss takes the client's counter-based noise;
mu is 9 - lr_shift, so 5, 4, 3, the paper's schedule, are lr_shift 4, 5, 6.

In a federation the weights are taken from the announced masters, `v = round(w16 / 2^s)`, and come back as
`start + (v local - v start) 2^s`. There are no biases: those of the layout stay as they are and enter no product. The
scales of the device's forward pass are fixed, so what a device answers is not what NITI's own forward pass does (`outputs`).

Overflow: everything is int64; |dW| <= 65,535 * 127 * 127 < 2^31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.costs import scratch_bytes
from byzantiny_models.inference import Int32s, check_inputs
from byzantiny_models.layers import Dense
from byzantiny_models.layouts import INPUT_FRAC, MASTER_FRAC
from byzantiny_models.local_training import checked_clients, visits
from byzantiny_models.networks import Network
from byzantiny_models.plans import layer_plans
from byzantiny_models.rng import Key, draw
from byzantiny_models.trainers.base import (
    EVERY_MACHINE,
    Trainer,
    TrainerInfo,
    check_trainer,
    largest_kernel,
    parameters,
)

Ints = NDArray[np.int64]

BATCH = 16
"""Samples a step: with fewer the largest value of a tensor says less (docs/training.md)."""
BITS = 7
LR_MU = 9
"""mu = LR_MU - lr_shift."""
_LOSS_SHIFT = 4
_LOG2_E = 47_274
"""log2 e in 2^-15."""
_LEAST_EXPONENT = -24
"""Of the outputs, in the loss: 2^(1 - 2e) then fits int64 with its 2^11; below it all outputs are near 0 anyway."""


def bits(values: NDArray[np.integer]) -> int:
    """Return the bit length of the largest magnitude.

    >>> bits(np.array([-128, 3])), bits(np.array([127])), bits(np.array([0]))
    (8, 7, 0)
    """
    return int(np.abs(values).max(initial=0)).bit_length()


def round_shift(x: NDArray[np.integer], s: int) -> Ints:
    """Return `x / 2^s` to nearest, half away from zero, within +-127.

    >>> round_shift(np.array([3, -3, 2, 600]), 1).tolist()
    [2, -2, 1, 127]
    """
    wide = np.asarray(x, dtype=np.int64)
    magnitude = (np.abs(wide) + (1 << s >> 1)) >> s
    rounded: Ints = np.clip(np.sign(wide) * magnitude, -127, 127)
    return rounded


def pseudo_stochastic_shift(x: NDArray[np.integer], s: int) -> Ints:
    """Return PSR(x, s) within +-127: towards zero, but one further where of what is dropped the upper half exceeds the lower.

    `t = trunc(x / 2^s); p = |x - t 2^s|; q = p >> (s // 2); r = p - (q << (s // 2)); 2 r if s is odd; t + sign(x) (q > r)`.

    >>> pseudo_stochastic_shift(np.array([0b1_10_01, -0b1_10_01, 0b1_01_10]), 4).tolist()
    [2, -2, 1]
    """
    wide = np.asarray(x, dtype=np.int64)
    magnitude = np.abs(wide)
    dropped = magnitude & ((1 << s) - 1)
    q = dropped >> (s // 2)
    r = (dropped & ((1 << (s // 2)) - 1)) << (s % 2)
    rounded: Ints = np.clip(np.sign(wide) * ((magnitude >> s) + (q > r)), -127, 127)
    return rounded


def loss_error(v: NDArray[np.integer], e: int, y: NDArray[np.integer], noise: NDArray[np.uint32]) -> Ints:
    """Return the error of outputs (v, e), int64 (N, classes) within +-127, of labels y; noise is uint32 (N, classes).

    For e > -7 the softmax goes to base 2, `s = trunc(v 47274 / 2^15) 2^e`, `g = 2^max(s - (max s - 10), 0) - 1`; else
    `g = 2^(1 - 2e) + v 2^(1 - e) + v^2`, its Taylor series. Then `g = g 2^11 // sum g`, `g[y] -= sum g`, and SR(g, 4).

    Source: arXiv 2009.13108, section 3; its code, ti_loss.py.

    >>> loss_error(np.array([[100, 0, -100]]), -5, np.array([1]), np.zeros((1, 3), dtype=np.uint32)).tolist()
    [[120, -121, 0]]
    """
    wide = np.asarray(v, dtype=np.int64)
    g: Ints
    if e > -BITS:
        s = _truncated(wide * _LOG2_E, 15)
        s = s << e if e >= 0 else _truncated(s, -e)
        g = (np.int64(1) << np.maximum(s - (s.max(axis=1, keepdims=True) - 10), 0)) - 1
    else:
        low = max(e, _LEAST_EXPONENT)
        g = (1 << (1 - 2 * low)) + (wide << (1 - low)) + wide * wide
    g = (g << 11) // g.sum(axis=1, keepdims=True)  # nothing is negative
    g[np.arange(len(g)), y] -= g.sum(axis=1)
    rounded: Ints = (g + (noise >> np.uint32(32 - _LOSS_SHIFT)).astype(np.int64)) >> _LOSS_SHIFT
    return np.clip(rounded, -127, 127).astype(np.int64)


def _truncated(x: Ints, s: int) -> Ints:
    quotient: Ints = np.sign(x) * (np.abs(x) >> s)
    return quotient


@dataclass
class _Tensor:
    """A kernel (rows, fan_in): int8 values, and how its masters are scaled."""

    v: Ints
    shift: int

    @property
    def e(self) -> int:
        return self.shift - MASTER_FRAC


def _kernels(network: Network, model: Int32s) -> list[_Tensor]:
    tensors = []
    for plan in layer_plans(network):
        masters = model[plan.kernel].reshape(plan.rows, plan.fan_in)
        shift = max(0, bits(masters) - BITS)
        tensors.append(_Tensor(round_shift(masters, shift), shift))
    return tensors


def _forward(network: Network, kernels: list[_Tensor], x: Ints) -> tuple[list[Ints], int]:
    """The inputs of every layer and the outputs, and the outputs' exponent."""
    values, e = [x], -INPUT_FRAC
    for layer, kernel in zip(_dense(network), kernels, strict=True):
        acc = values[-1] @ kernel.v.T
        shift = max(0, bits(acc) - BITS)
        v = round_shift(acc, shift)
        values.append(np.maximum(v, 0) if layer.activation == "relu" else v)
        e += kernel.e + shift
    return values, e


def _dense(network: Network) -> list[Dense]:
    return [layer for layer in network.layers if isinstance(layer, Dense)]


def _step(network: Network, kernels: list[_Tensor], x: Ints, y: Int32s, noise: NDArray[np.uint32], mu: int) -> None:
    values, e = _forward(network, kernels, x)
    error = loss_error(values[-1], e, y, noise)
    layers = _dense(network)
    for i in range(len(kernels) - 1, -1, -1):
        below = error
        if i:
            acc = error @ kernels[i].v  # the weights before the update
            if layers[i - 1].activation == "relu":
                acc[values[i] <= 0] = 0
            below = round_shift(acc, max(0, bits(acc) - BITS))
        gradient = error.T @ values[i]
        change = pseudo_stochastic_shift(gradient, max(0, bits(gradient) - mu))
        kernels[i].v = np.clip(kernels[i].v - change, -127, 127)
        error = below


def train_many(
    network: Network,
    models: ArrayLike,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    keys_order: Sequence[Key],
    keys_train: Sequence[Key],
    epochs: int,
    lr_shift: int,
    batch: int = BATCH,
) -> Int32s:
    """Return what the clients end with, int32 (n, d). Arguments and errors as `training.train_many`.

    The last batch of an epoch may be smaller. Batch t draws its noise as step t, at i = sample * classes + class.

    Raises:
        TrainerError: a network that is not of dense layers with a softmax head, or a learning rate it does not have.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.full((3, 64), 32, dtype=np.int8)
    >>> train_many(network, initial_model(network, 1), [x], [[1, 2, 1]], [(1, 2)], [(3, 4)], 1, 5).shape
    (1, 2410)
    """
    check_trainer(INFO, network, lr_shift)
    trained, data = checked_clients(network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)
    for c, (x, y) in enumerate(data):
        own, order, key = _kernels(network, trained[c]), visits(len(y), epochs, keys_order[c]), keys_train[c]
        starts = [kernel.v for kernel in own]
        by_epoch = order.reshape(epochs, len(y)) if len(order) else order.reshape(0, 0)
        batches = [own_epoch[i : i + batch] for own_epoch in by_epoch for i in range(0, len(y), batch)]
        for t, chosen in enumerate(batches):
            a, b = draw(t, *key), draw(t, *key[::-1])
            noise = draw(np.arange(len(chosen) * network.outputs), a, b).reshape(len(chosen), -1)
            _step(network, own, x[chosen].astype(np.int64), y[chosen], noise, LR_MU - lr_shift)
        for plan, start, kernel in zip(layer_plans(network), starts, own, strict=True):
            trained[c, plan.kernel] += ((kernel.v - start).ravel() << kernel.shift).astype(np.int32)
    return network.layout.saturate(trained)


def outputs(network: Network, model: ArrayLike, x: ArrayLike) -> Ints:
    """Return NITI's own forward pass, int64 (N, outputs): its scales are those of all N samples together.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> outputs(network, initial_model(network, 1), np.full((2, 64), 32, dtype=np.int8)).shape
    (2, 10)
    """
    kernels = _kernels(network, network.layout.check(model))
    return _forward(network, kernels, check_inputs(network, x).astype(np.int64))[0][-1]


def training_bytes(network: Network) -> int:
    """Return two models of int8 weights, the work space of a batch in int8, and the int32 gradient of the largest kernel.

    >>> from byzantiny_models.networks import NETWORKS
    >>> training_bytes(NETWORKS["mlp-64-32-10"])
    16384
    """
    weights, _ = parameters(network)
    return 2 * weights + BATCH * scratch_bytes(network, error=1) + 4 * largest_kernel(network)


INFO = TrainerInfo(
    name="niti",
    formula="g = PSR(dW, max(0, bits(max |dW|) - mu)), W = clip(W - g), mu = 9 - k; int8 with dynamic exponents; batch 16",
    layers=("dense",),
    heads=("softmax",),
    scopes=("all",),
    lr_shifts=(4, 8),
    memory="2 x 1 weight + 16 x (errors, outputs in int8, sums) + an int32 gradient of the largest kernel",
    core=False,
    same_bytes=EVERY_MACHINE,
    limits="dense layers, softmax; no biases; a device's forward pass has other scales than its own",
    paper="M. Wang et al., NITI, TPDS 2022 (arXiv 2009.13108)",
)

NITI = Trainer(INFO, train_many, outputs, training_bytes)
