"""NITI: int8 tensors with dynamic exponents, pseudo-stochastic rounding, a number of bits for a learning rate.

M. Wang, S. Rasoulinezhad, P. Leong, H. So. NITI: training integer neural networks using integer-only arithmetic. TPDS 2022,
arXiv 2009.13108. What differs: bit lengths are `max.bit_length()` and results are clipped, where the public code takes
`ceil(log2(max))`, under which 128 becomes -128; divisions of non-negative numbers only, so that no version of a library
rounds them another way. It has no biases: those of the model stay as they are, and are not seen by it. Its rate, mu bits,
is `8 - lr_shift`, so that a larger lr_shift is a smaller step here as well; it is 1 .. 4, and no other rate is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.layouts import INPUT_FRAC, WEIGHT_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.plans import layer_plans
from byzantiny_models.quantization import derive_weights, rounding_shift
from byzantiny_models.rng import sample_order
from byzantiny_models.trainers.card import Job, Trained, Trainer, check_rate, dense_classifier
from byzantiny_models.trainers.int8_only import GRAIN, coarse
from byzantiny_models.training import check_job, check_samples

Ints = NDArray[np.int64]

BATCH = 16
"""Samples a step: with one, a tensor's single largest number decides everything (90 % on digits against 97)."""

LR_SHIFTS = range(4, 8)
"""The rates that leave 1 to 4 bits of a gradient."""

_LEAST_EXPONENT = -24
"""`2^(1 - 2e) 2^11` summed over 256 classes stays below 2^63 down to here; four layers of zeros would give -30."""

_LOG2_E = 47274
"""log2(e) in 15 bits."""


def run(job: Job) -> Trained:
    """Train by batches of 16 in the order of the samples' key; the last batch of an epoch may be smaller.

    Raises:
        InvalidValueError: a network or a rate that it does not take, samples or epochs outside their limits.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> run(Job(network, initial_model(network, 1), x, y, (1, 2), (3, 4), 1, 5)).local.shape
    (2410,)
    """
    check(job.network)
    check_job(job.epochs, job.lr_shift)
    check_rate("niti", LR_SHIFTS, job.lr_shift)
    start = coarse(job)
    plans = [plan for plan in layer_plans(job.network) if plan.kernel is not None]
    kernels = [derive_weights(start[p.kernel]).reshape(p.rows, p.fan_in).astype(np.int64) for p in plans]
    inputs, y = check_samples(job.network, job.x, job.y)
    x, mu = inputs.astype(np.int64), 8 - job.lr_shift
    for epoch in range(job.epochs):
        order = sample_order(len(y), epoch, *job.key_order)
        for first in range(0, len(y), BATCH):
            chosen = order[first : first + BATCH]
            kernels = step(kernels, x[chosen], y[chosen], mu)
    local = start.copy()
    for plan, kernel in zip(plans, kernels, strict=True):
        local[plan.kernel] = kernel.ravel() << GRAIN
    return Trained(start, local)


def step(kernels: list[Ints], x: Ints, y: NDArray[np.integer], mu: int) -> list[Ints]:
    """Return the kernels (rows, fan_in) after one batch of NITI, `W - PstoShift(dW, bits(dW) - mu)` within +-127.

    Source: the paper's algorithm; docs/training.md.

    >>> step([np.array([[10, -20], [5, 5]])], np.array([[64, 0]]), np.array([0]), 3)[0].tolist()
    [[18, -20], [-3, 5]]
    """
    inputs, exponents, a, e = [x], [-INPUT_FRAC], x, -INPUT_FRAC
    for number, kernel in enumerate(kernels):
        a, shift = narrow(products(a, kernel.T))
        e += shift - WEIGHT_FRAC
        if number < len(kernels) - 1:
            a = np.maximum(a, 0)
        inputs.append(a)
        exponents.append(e)
    error = loss_error(a, e, y)
    moved = []
    for number in reversed(range(len(kernels))):
        kernel = kernels[number]
        gradient = products(error.T, inputs[number])
        bits = int(np.abs(gradient).max()).bit_length()
        moved.append(np.clip(kernel - pseudo_stochastic(gradient, max(0, bits - mu)), -127, 127))
        if number:
            error = narrow(products(error, kernel))[0] * (inputs[number] > 0)
    return moved[::-1]


def products(a: Ints, b: Ints) -> Ints:
    """Return a matrix product, exact: sums below 2^53 go through the BLAS."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def narrow(acc: Ints) -> tuple[Ints, int]:
    """Return sums as int8 of one exponent more or less, nearest, and that exponent: `shift = max(0, bits - 7)`.

    >>> narrow(np.array([[1000, -3]]))
    (array([[125,   0]]), 3)
    """
    shift = max(0, int(np.abs(acc).max()).bit_length() - 7)
    return np.clip(rounding_shift(acc, shift), -127, 127).astype(np.int64), shift


def pseudo_stochastic(x: Ints, s: int) -> Ints:
    """Return `PstoShift(x, s)`, within +-127: of the dropped bits the upper half is the chance, the lower half the draw.

    >>> pseudo_stochastic(np.array([0b1011, 0b1110, -0b1110]), 2).tolist()
    [2, 4, -4]
    """
    if s <= 0:
        return np.asarray(np.clip(x, -127, 127))
    whole, half = np.sign(x) * (np.abs(x) >> s), s >> 1
    dropped = np.abs(x) & ((1 << s) - 1)
    chance = dropped >> half
    number = dropped - (chance << half)
    if s % 2:
        number = number * 2
    return np.asarray(np.clip(whole + np.sign(x) * (chance > number), -127, 127))


def loss_error(v: Ints, e: int, y: NDArray[np.integer]) -> Ints:
    """Return the integer gradient of softmax cross-entropy at logits `v 2^e`, int8 (N, classes).

    `g = 2^s - 1`, s = v log2(e) 2^e less all but 10 of its maximum; for e <= -7 its second-order series. Then
    `g 2^11 / sum g`, less the sum at the label, shifted by 4.

    Exponents below -24 count as -24: the logits are then equal to 17 bits, and more networks' layers do not leave int64.

    >>> loss_error(np.array([[8, 0, -8]]), -3, np.array([1])).tolist()
    [[79, -89, 10]]
    """
    if e > -7:
        s = v * _LOG2_E >> 15
        s = s << e if e >= 0 else s >> -e
        s = np.maximum(s - (s.max(axis=1, keepdims=True) - 10), 0)
        g = (np.int64(1) << s) - 1
    else:
        e = max(e, _LEAST_EXPONENT)
        g = (1 << (1 - 2 * e)) + v * (1 << (1 - e)) + v * v
    g = (g << 11) // g.sum(axis=1, keepdims=True)
    g[np.arange(len(g)), y] -= g.sum(axis=1)
    return pseudo_stochastic(g, 4)


def check(network: Network) -> None:
    """Raise unless the network is dense layers with a softmax head.

    Raises:
        InvalidValueError: anything else.
    """
    dense_classifier("niti", network)


NITI = Trainer(
    name="niti",
    formula="int8 with dynamic exponents; W -= PstoShift(dW, bits(dW) - mu); batch 16",
    paper="M. Wang et al., TPDS 2022, arXiv 2009.13108",
    networks="dense layers, softmax head",
    bytes_per_weight=5.0,
    reproducible="everywhere",
    device=False,
    lr_shifts=LR_SHIFTS,
    train=run,
    check=check,
)
