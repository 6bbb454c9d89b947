"""Local training whatever the step: many clients side by side, each visiting its own samples in its own orders.

A trainer is a `Steps`: what is made of a chunk of models, takes one sample of each client at a time, and gives the models
back. Order and noise are those of SPEC 2, so that every trainer sees the same samples in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import Int32s, check_inputs
from byzantiny_models.networks import Network
from byzantiny_models.rng import MAX_SAMPLES, Key, draw, sample_order

LR_SHIFTS = range(4, 15)
"""Learning rates 2^-k: below 4 training is unstable, above 14 the weights' shift k + 2 passes 16."""

# Clients trained side by side: enough to hide NumPy's cost per call, few enough for their weights to stay in the cache.
_CHUNK = 128

Noise = NDArray[np.uint32]


class Steps(Protocol):
    """The models of a chunk of clients under training."""

    def step(self, x: Int32s, y: Int32s, a: Noise, b: Noise) -> None:
        """One sample for each of the first m clients; `draw(i, a, b)` is the noise of the element at flat offset i."""
        ...

    def result(self, a: Noise, b: Noise) -> Int32s:
        """Return the models, int32 (n, d); (a, b) are the noise of the step after each client's last."""
        ...


class MakeSteps(Protocol):
    """What begins the training of a chunk; `models` is (n, d) and its own."""

    def __call__(self, network: Network, models: Int32s, lr_shift: int) -> Steps:
        """Return the training of the chunk."""
        ...


def train_clients(
    make: MakeSteps,
    network: Network,
    models: ArrayLike,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    keys_order: Sequence[Key],
    keys_train: Sequence[Key],
    epochs: int,
    lr_shift: int,
) -> Int32s:
    """Return the models that n clients end with, int32 (n, d), one sample a step; arguments as of `training.train_many`.

    Raises:
        InvalidValueError: as `checked_clients`.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> from byzantiny_models.training import IntegerSteps
    >>> network, x = NETWORKS["mlp-64-32-10"], np.zeros((2, 64), dtype=np.int8)
    >>> train_clients(IntegerSteps, network, initial_model(network, 1), [x], [[1, 2]], [(1, 2)], [(3, 4)], 1, 5).shape
    (1, 2410)
    """
    trained, data = checked_clients(network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)
    # Longest first: the clients still at work at a step are then the first ones of a chunk.
    by_work = sorted(range(len(data)), key=lambda c: -len(data[c][1]))
    for first in range(0, len(data), _CHUNK):
        chosen = by_work[first : first + _CHUNK]
        steps = make(network, trained[chosen], lr_shift)
        keys = [[keys[c] for c in chosen] for keys in (keys_order, keys_train)]
        trained[chosen] = _walk(steps, [data[c] for c in chosen], keys[0], keys[1], epochs)
    return trained


def checked_clients(
    network: Network,
    models: ArrayLike,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    keys_order: Sequence[Key],
    keys_train: Sequence[Key],
    epochs: int,
    lr_shift: int,
) -> tuple[Int32s, list[tuple[Int32s, Int32s]]]:
    """Return a model for each client, int32 (n, d), and its samples and labels.

    Raises:
        InvalidValueError: shapes, labels, epochs (0 .. 255) or lr_shift (4 .. 14) outside their limits, lists of
            different lengths (models: LayoutError, its subclass).

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.zeros((2, 64), dtype=np.int8)
    >>> starts, data = checked_clients(network, initial_model(network, 1), [x], [[1, 2]], [(1, 2)], [(3, 4)], 1, 5)
    >>> starts.shape, data[0][1].tolist()
    ((1, 2410), [1, 2])
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
    own = np.array([network.layout.check(s) for s in starts], dtype=np.int32).reshape(n, network.layout.d)
    return own, [_samples(network, x, y) for x, y in zip(xs, ys, strict=True)]


def visits(n: int, epochs: int, key: Key) -> NDArray[np.int64]:
    """Return which of its n samples a client visits at each step, int64 (epochs * n).

    >>> visits(3, 2, (1, 2)).tolist()
    [0, 2, 1, 1, 2, 0]
    """
    orders = [sample_order(n, epoch, *key).astype(np.int64) for epoch in range(epochs)]
    return np.concatenate([np.empty(0, dtype=np.int64), *orders])


def _walk(
    steps: Steps, data: list[tuple[Int32s, Int32s]], keys_order: list[Key], keys_train: list[Key], epochs: int
) -> Int32s:
    counts = np.array([len(y) for _, y in data])
    x, y = np.concatenate([x for x, _ in data]), np.concatenate([y for _, y in data])
    total = int(counts[0]) * epochs
    which = np.zeros((total, len(data)), dtype=np.int64)
    for c, (n, base, key) in enumerate(zip(counts, np.cumsum(counts) - counts, keys_order, strict=True)):
        which[: epochs * n, c] = base + visits(int(n), epochs, key)
    k0, k1 = np.array(keys_train, dtype=np.uint32).T
    when = np.arange(total, dtype=np.uint32)[:, np.newaxis]
    noise_a, noise_b = draw(when, k0, k1), draw(when, k1, k0)
    active = np.searchsorted(-counts * epochs, -np.arange(total), side="left")
    for t in range(total):
        m = int(active[t])
        steps.step(x[which[t, :m]], y[which[t, :m]], noise_a[t, :m], noise_b[t, :m])
    after = (counts * epochs).astype(np.uint32)
    return steps.result(draw(after, k0, k1), draw(after, k1, k0))


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
