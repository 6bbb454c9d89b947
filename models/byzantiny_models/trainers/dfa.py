"""Direct feedback alignment in INT8-SR's arithmetic: every hidden layer's error comes through a fixed random matrix.

A. Nokland. Direct feedback alignment provides learning in deep neural networks. NeurIPS 2016, arXiv 1609.01596. Integers:
PocketNN (J. Song, F. Lin, 2022, arXiv 2201.02863) and TIFeD (AI-Tech-Research-Lab, 2024), which this stands for. What
differs from them: ReLU and power-of-two scales instead of piecewise tanh, stochastic rounding instead of floor division
(which biases negatives), batch 1. No transpose of the weights is read, so layers could train while the error is still on
its way.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.layers import Dense
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.plans import layer_plans
from byzantiny_models.quantization import derive_weights
from byzantiny_models.trainers.card import Job, Trained, Trainer, dense_classifier
from byzantiny_models.training import Variant, train_many

_SEED = 0x444641
"""The matrices are drawn once, like a second initial model, and are the same for every client and round."""


def run(job: Job) -> Trained:
    """Train with `e_l = B_l e` instead of `W^T e`.

    >>> from byzantiny_models.networks import NETWORKS
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> run(Job(network, initial_model(network, 1), x, y, (1, 2), (3, 4), 1, 5)).local.shape
    (2410,)
    """
    check(job.network)
    variant = Variant(feedback=feedback(job.network))
    local = train_many(
        job.network, job.start, [job.x], [job.y], [job.key_order], [job.key_train], job.epochs, job.lr_shift, variant
    )[0]
    return Trained(job.start, local)


@functools.lru_cache(maxsize=8)
def feedback(network: Network) -> tuple[NDArray[np.int8], ...]:
    """Return a fixed matrix for every hidden layer, int8 Q6 (outputs of the network, outputs of the layer).

    Each is drawn as the kernel of a layer of that shape is initialised: rows of the network's own last kernel for its widths.

    >>> from byzantiny_models.networks import NETWORKS
    >>> [matrix.shape for matrix in feedback(NETWORKS["mlp-64-32-10"])]
    [(10, 32)]
    """
    matrices = []
    for number, plan in enumerate(layer_plans(network)[:-1]):
        alone = Network(f"feedback-{number}", (Dense(plan.outputs, network.outputs, "linear"),))
        drawn = initial_model(alone, _SEED + number)[alone.layout.slices[0]]
        matrices.append(derive_weights(drawn).reshape(network.outputs, plan.outputs).astype(np.int8))
    return tuple(matrices)


def check(network: Network) -> None:
    """Raise unless the network is dense layers with a softmax head.

    Raises:
        InvalidValueError: anything else.
    """
    dense_classifier("dfa", network)


DFA = Trainer(
    name="dfa",
    formula="e_l = B_l e with B_l fixed and random; w16 -= SR(e_l a^T); batch 1",
    paper="A. Nokland, NeurIPS 2016, arXiv 1609.01596; J. Song, F. Lin, PocketNN, 2022, arXiv 2201.02863",
    networks="dense layers, softmax head",
    bytes_per_weight=2.0,
    reproducible="everywhere",
    device=False,
    train=run,
    check=check,
)
