"""Direct feedback alignment in integers: each hidden layer's error is a fixed random mix of the outputs' error.

Papers: A. Noekland, NeurIPS 2016 (arXiv 1609.01596); L. Colombo, A. Falcetta, M. Roveri, TIFeD, AIMLSystems 2023 (arXiv
2411.16442), which has it in integers and in a federation. What differs from TIFeD: the network, its forward pass, the loss
and the update are INT8-SR's (TIFeD: a piecewise tanh, a squared loss, floor division by an inverse learning rate), so that
what is trained is the model that all clients train and a device runs; the feedback matrices are int8, drawn from their
counters, and take no memory.

    eh_l = sat((B_l e + 4) >> 3) where the activation is not clamped, else 0;  the update is INT8-SR's
    B_l (units, outputs) int8 Q6: (((draw(i, key) >> 16) * (2R + 1)) >> 16) - R,  R = isqrt(6 * 2^12 // units)

i counts the elements of all feedback matrices in the order of the layers, row by row; the key is one for all clients and
experiments, since feedback that changed between rounds would not be aligned with. R, within 1 .. 127, is He's bound for a
layer of that many inputs, as of `initial_model`.

Overflow: |B e| <= 127 * 127 * outputs < 2^31 for as many outputs as backpropagation may have (133,000; plans.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.inference import Int32s, forward
from byzantiny_models.layouts import WEIGHT_FRAC
from byzantiny_models.local_training import Steps, train_clients
from byzantiny_models.networks import Network
from byzantiny_models.plans import ERROR_FRAC, HIDDEN_ERROR_FRAC, layer_plans
from byzantiny_models.quantization import rounding_shift
from byzantiny_models.rng import Key, Stream, derive_key, draw
from byzantiny_models.steps import masked
from byzantiny_models.trainers.base import EVERY_HEAD, EVERY_MACHINE, EVERY_SCOPE, Trainer, TrainerInfo, check_trainer
from byzantiny_models.trainers.int8_sr import training_bytes
from byzantiny_models.training import IntegerSteps

FEEDBACK_KEY = derive_key(0, "dfa", 0, Stream.INITIAL_MODEL)
"""Of the feedback matrices: no experiment's, no client's."""


@functools.cache
def feedback_matrices(network: Network) -> tuple[NDArray[np.int32], ...]:
    """Return B_l, int32 (units, outputs) with int8 values, of each hidden layer.

    >>> from byzantiny_models.networks import NETWORKS
    >>> [(b.shape, int(abs(b).max())) for b in feedback_matrices(NETWORKS["mlp-64-32-10"])]
    [((32, 10), 27)]
    """
    matrices, first = [], 0
    for plan in layer_plans(network)[:-1]:
        size, bound = (
            plan.outputs * network.outputs,
            min(max(1, math.isqrt((6 << 2 * WEIGHT_FRAC) // plan.outputs)), 127),
        )
        bits = draw(np.arange(first, first + size), *FEEDBACK_KEY) >> 16
        drawn = ((bits * np.uint32(2 * bound + 1)) >> 16).astype(np.int32) - bound
        drawn.setflags(write=False)
        matrices.append(drawn.reshape(plan.outputs, network.outputs))
        first += size
    return tuple(matrices)


def _make_steps(network: Network, models: Int32s, lr_shift: int) -> Steps:
    plans, matrices = layer_plans(network), feedback_matrices(network)
    shift = WEIGHT_FRAC + ERROR_FRAC - HIDDEN_ERROR_FRAC

    def feedback(i: int, top: Int32s, x: Int32s) -> Int32s:
        return masked(plans[i], rounding_shift(top @ matrices[i - 1].T, shift), x)

    return IntegerSteps(network, models, lr_shift, feedback=feedback)


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
    """Return what the clients end with, int32 (n, d). Arguments and errors as `training.train_many`.

    Raises:
        TrainerError: a network that is not of dense layers.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.full((3, 64), 32, dtype=np.int8)
    >>> train_many(network, initial_model(network, 1), [x], [[1, 2, 1]], [(1, 2)], [(3, 4)], 1, 5).shape
    (1, 2410)
    """
    check_trainer(INFO, network, lr_shift)
    return train_clients(_make_steps, network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)


INFO = TrainerInfo(
    name="dfa",
    formula="eh_l = sat((B_l e + 4) >> 3), B_l fixed, random, int8; forward and update as int8-sr; batch 1",
    layers=("dense",),
    heads=EVERY_HEAD,
    scopes=EVERY_SCOPE,
    lr_shifts=(4, 14),
    memory="as int8-sr; B_l is drawn anew from its counters",
    core=False,
    same_bytes=EVERY_MACHINE,
    limits="dense layers only",
    paper="A. Noekland, NeurIPS 2016 (arXiv 1609.01596); L. Colombo et al., TIFeD, AIMLSystems 2023 (arXiv 2411.16442)",
)

DFA = Trainer(INFO, train_many, forward, training_bytes)
