"""INT8-SR: the product. int8 forward pass, int16 error, int16 masters, stochastic rounding (byzantiny_models.training)."""

from __future__ import annotations

from byzantiny_models.trainers.card import Job, Trained, Trainer, any_network
from byzantiny_models.training import train


def run(job: Job) -> Trained:
    """Train as every body does.

    >>> import numpy as np
    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> run(Job(network, initial_model(network, 1), x, y, (1, 2), (3, 4), 1, 5)).local.shape
    (2410,)
    """
    local = train(
        job.network, job.start, job.x, job.y, job.key_order, job.key_train, epochs=job.epochs, lr_shift=job.lr_shift
    )
    return Trained(job.start, local)


INT8_SR = Trainer(
    name="int8-sr",
    formula="w16 -= SR(e a^T); w8 = (w16 + 128) >> 8; batch 1",
    paper="this project (docs/training.md); kin: M. Wang et al., NITI, TPDS 2022, arXiv 2009.13108",
    networks="all",
    bytes_per_weight=2.0,
    reproducible="everywhere",
    device=True,
    train=run,
    check=any_network,
)
