"""The float32 control as a client: SGD in floats from the announced integers, its change on the same announced grid.

`local = start + floor((w - w_start) 2^frac + u)`, u uniform in [0, 1): rounded stochastically to master units, so that no
change is lost on the way to the codes; then saturation, clip and codes are those of every client. A weight that is no
number any more counts as unchanged, an infinite one as saturated. What differs from `float_training.train_float`: the
order of the samples and the noise are the client's own of the round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from byzantiny_models.costs import scratch_bytes
from byzantiny_models.float_training import Floats, FloatSteps, forward_float, scaled_inputs, to_float
from byzantiny_models.inference import Int32s
from byzantiny_models.local_training import Noise, train_clients
from byzantiny_models.networks import Network
from byzantiny_models.rng import Key, draw
from byzantiny_models.trainers.base import (
    EVERY_HEAD,
    EVERY_LAYER,
    EVERY_SCOPE,
    ONE_MACHINE,
    Trainer,
    TrainerInfo,
    parameters,
)


class _Steps:
    def __init__(self, network: Network, models: Int32s, lr_shift: int) -> None:
        self._network, self._start = network, models
        self._begin = np.stack([to_float(network.layout, model) for model in models])
        self._own = self._begin.copy()
        self._inner = FloatSteps(network, self._own, 2.0**-lr_shift)

    def step(self, x: Int32s, y: Int32s, a: Noise, b: Noise) -> None:  # noqa: ARG002 - floats need no noise
        with np.errstate(over="ignore", invalid="ignore"):  # a client that diverges is a result, not a warning
            self._inner.step(scaled_inputs(self._network, x), y)

    def result(self, a: Noise, b: Noise) -> Int32s:
        layout = self._network.layout
        with np.errstate(invalid="ignore"):
            change = self._own.astype(np.float64) - self._begin
        fracs = np.repeat([t.frac for t in layout.tensors], [t.elements for t in layout.tensors])
        noise = draw(np.arange(layout.d, dtype=np.uint32), a[:, np.newaxis], b[:, np.newaxis])
        wide = 2 * layout.limits.astype(np.float64)
        units = np.clip(np.nan_to_num(np.ldexp(change, fracs), nan=0.0), -wide, wide)
        return layout.saturate(self._start + np.floor(units + noise * 2.0**-32).astype(np.int64))


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
    """Return what the clients end with, int32 (n, d), after SGD in float32 with the learning rate 2^-lr_shift.

    Arguments and errors as `training.train_many`.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.full((3, 64), 32, dtype=np.int8)
    >>> train_many(network, initial_model(network, 1), [x], [[1, 2, 1]], [(1, 2)], [(3, 4)], 1, 5).shape
    (1, 2410)
    """
    return train_clients(_Steps, network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)


def outputs(network: Network, model: ArrayLike, x: ArrayLike) -> Floats:
    """Return the float forward pass on an integer model's real values, float32 (N, outputs).

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> outputs(network, initial_model(network, 1), np.zeros((2, 64), dtype=np.int8)).shape
    (2, 10)
    """
    return forward_float(network, to_float(network.layout, model), x)


def training_bytes(network: Network) -> int:
    """Return two models and the work space, all in floats.

    >>> from byzantiny_models.networks import NETWORKS
    >>> training_bytes(NETWORKS["mlp-64-32-10"])
    19744
    """
    return 2 * 4 * sum(parameters(network)) + scratch_bytes(network, output=4, error=4)


FLOAT32 = Trainer(
    TrainerInfo(
        name="float32",
        formula="w -= 2^-k sum e a in float32, batch 1; then start + floor((w - w_start) 2^frac + u), u uniform in [0, 1)",
        layers=EVERY_LAYER,
        heads=EVERY_HEAD,
        scopes=EVERY_SCOPE,
        lr_shifts=(4, 14),
        memory="2 x 4 (weights + biases) + errors and outputs of one sample in floats",
        core=False,
        same_bytes=ONE_MACHINE,
        limits="a control, no product: sums and exponentials are those of the processor and its BLAS",
        paper="H. Robbins, S. Monro, 1951; the gradient is the textbook's",
    ),
    train_many,
    outputs,
    training_bytes,
)
