"""INT8-SR without a master: weights are int8 and nothing more, which halves the RAM and needs stochastic rounding.

S. Gupta, A. Agrawal, K. Gopalakrishnan, P. Narayanan. Deep learning with limited numerical precision. ICML 2015, arXiv
1502.02551: to nearest, steps below half a weight's unit are lost. What differs from `int8-sr`: the shift of a weight's step
is 8 more, and the round's model is rounded to int8 before it is trained, so the update is a difference of int8 weights.
Biases stay int32.
"""

from __future__ import annotations

import numpy as np

from byzantiny_models.quantization import derive_weights
from byzantiny_models.trainers.card import Int32s, Job, Trained, Trainer, any_network
from byzantiny_models.training import Variant, train_many

GRAIN = 8
"""Bits of a master below an int8 weight."""


def run(job: Job) -> Trained:
    """Train int8 weights: `w8 -= SR(e a^T, s + 8)`, saturated at +-127.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> trained = run(Job(network, initial_model(network, 1), x, y, (1, 2), (3, 4), 1, 5))
    >>> int((trained.local[: 32 * 64] % 256).max()), int((trained.start[: 32 * 64] % 256).max())
    (0, 0)
    """
    start = coarse(job)
    local = train_many(
        job.network, start, [job.x], [job.y], [job.key_order], [job.key_train], job.epochs, job.lr_shift, Variant(GRAIN)
    )[0]
    return Trained(start, local)


def coarse(job: Job) -> Int32s:
    """Return the round's model with its weights rounded to int8, as masters: multiples of 256."""
    layout = job.network.layout
    start: Int32s = np.array(layout.check(job.start), dtype=np.int32)
    for where, tensor in zip(layout.slices, layout.tensors, strict=True):
        if tensor.dtype == "int16":
            start[where] = derive_weights(start[where]) << GRAIN
    return start


INT8_ONLY = Trainer(
    name="int8-only",
    formula="w8 -= SR(e a^T), 8 bits coarser; no master; batch 1",
    paper="after S. Gupta et al., ICML 2015, arXiv 1502.02551",
    networks="all",
    bytes_per_weight=1.0,
    reproducible="everywhere",
    device=False,
    train=run,
    check=any_network,
)
