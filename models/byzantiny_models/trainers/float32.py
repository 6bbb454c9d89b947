"""The float32 control as a client: plain SGD, batch 1, on the same samples in the same order, from the same model.

L. Bottou. Large-scale machine learning with stochastic gradient descent. COMPSTAT 2010. It answers what the integers cost.
What a device could not hold it does: 4 bytes a weight, and a float unit or its library. The update goes onto the same
announced grid. What diverges, because the rate is too large or the announced model is an attacker's, does not end a run: a
coordinate that is no number any more stays where it began, an infinite one ends at its limit.
"""

from __future__ import annotations

import numpy as np

from byzantiny_models.float_training import to_float, train_float_in_order
from byzantiny_models.rng import sample_order
from byzantiny_models.trainers.card import Job, Trained, Trainer, any_network
from byzantiny_models.training import check_job


def run(job: Job) -> Trained:
    """Train in float32 with rate 2^-lr_shift, and bring the model back to the layout's integers, to nearest, within its limits.

    Raises:
        InvalidValueError: samples, epochs or a rate outside what every trainer takes.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> run(Job(network, initial_model(network, 1), x, y, (1, 2), (3, 4), 1, 5)).local.dtype
    dtype('int32')
    """
    check_job(job.epochs, job.lr_shift)
    layout = job.network.layout
    orders = (sample_order(len(job.y), epoch, *job.key_order) for epoch in range(job.epochs))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        local = train_float_in_order(job.network, to_float(layout, job.start), job.x, job.y, orders, 2.0**-job.lr_shift)
    fracs = np.repeat([t.frac for t in layout.tensors], [t.elements for t in layout.tensors])
    whole = np.clip(np.rint(np.ldexp(local.astype(np.float64), fracs)), -layout.limits, layout.limits)
    return Trained(job.start, np.where(np.isnan(whole), job.start, whole).astype(np.int32))


FLOAT32 = Trainer(
    name="float32",
    formula="w -= 2^-lr_shift * e a^T in float32; batch 1",
    paper="L. Bottou, COMPSTAT 2010",
    networks="all",
    bytes_per_weight=4.0,
    reproducible="on one machine",
    device=False,
    train=run,
    check=any_network,
)
