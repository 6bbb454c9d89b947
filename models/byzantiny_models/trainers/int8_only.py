"""INT8-SR without a master: the int8 weights themselves move, by stochastic rounding. For the smallest parts.

Paper: stochastic rounding of updates, S. Gupta et al., ICML 2015 (arXiv 1502.02551). What differs from `int8-sr`: eight
bits less of a weight, so SR rounds at the weights of the forward pass, and most steps are rounded to nothing; the shift
reaches 24, which two roundings of 8 bits and the rest do within 32 bits (`stochastic_shift_wide`).

A client takes the announced model's int8 weights, and its change is theirs: a multiple of 256 master units, so that on a
grid of shift 8 a code is a step of a weight. The coordinator keeps int16 masters, in which fractions of a step add up.

Overflow: |sum e a| <= 2^31 - 2^17 (plans.py) and the parts of the noise stay below 2^16; a weight before saturation is
within 127 + 2^23, the shift being at least 9 (8 + the least of INT8-SR, 2, less 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from byzantiny_models.bases import WEIGHT_MAX
from byzantiny_models.costs import scratch_bytes
from byzantiny_models.inference import Int32s, forward
from byzantiny_models.layouts import MASTER_FRAC, WEIGHT_FRAC
from byzantiny_models.local_training import Noise, train_clients
from byzantiny_models.networks import Network
from byzantiny_models.quantization import derive_weights, stochastic_shift_wide
from byzantiny_models.rng import Key
from byzantiny_models.steps import WeightFormat
from byzantiny_models.trainers.base import (
    EVERY_HEAD,
    EVERY_LAYER,
    EVERY_MACHINE,
    EVERY_SCOPE,
    Trainer,
    TrainerInfo,
    parameters,
)
from byzantiny_models.training import IntegerSteps


def _as_they_are(weights: Int32s) -> Int32s:
    return weights


WEIGHTS = WeightFormat(WEIGHT_FRAC, WEIGHT_MAX, _as_they_are, stochastic_shift_wide)
"""int8 weights, Q6, in int32 arrays."""


class _Steps:
    def __init__(self, network: Network, models: Int32s, lr_shift: int) -> None:
        self._layout, self._start = network.layout, models
        self._kernels = np.repeat(
            [spec.dtype == "int16" for spec in network.layout.tensors],
            [spec.elements for spec in network.layout.tensors],
        )
        self._begin = np.where(self._kernels, derive_weights(models), models).astype(np.int32)
        self._own = self._begin.copy()
        self._inner = IntegerSteps(network, self._own, lr_shift, WEIGHTS)

    def step(self, x: Int32s, y: Int32s, a: Noise, b: Noise) -> None:
        self._inner.step(x, y, a, b)

    def result(self, a: Noise, b: Noise) -> Int32s:  # noqa: ARG002 - nothing is left to round
        change = self._own - self._begin
        change[:, self._kernels] <<= MASTER_FRAC - WEIGHT_FRAC
        return self._layout.saturate(self._start + change)


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
    """Return what the clients end with, int32 (n, d): `start + 256 (w8 local - w8 start)`, biases as `int8-sr`.

    `w8 -= SR(sum e a, frac_e + frac_a + k - 6)`, within +-127. Arguments and errors as `training.train_many`.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.full((3, 64), 32, dtype=np.int8)
    >>> start = initial_model(network, 1)
    >>> trained = train_many(network, start, [x], [[1, 2, 1]], [(1, 2)], [(3, 4)], 1, 5)
    >>> int(abs((trained[0] - start)[:2048] % 256).max())
    0
    """
    return train_clients(_Steps, network, models, xs, ys, keys_order, keys_train, epochs, lr_shift)


def training_bytes(network: Network) -> int:
    """Return two models with int8 weights and the work space.

    >>> from byzantiny_models.networks import NETWORKS
    >>> training_bytes(NETWORKS["mlp-64-32-10"])
    5328
    """
    weights, biases = parameters(network)
    return 2 * (weights + 4 * biases) + scratch_bytes(network)


INT8_ONLY = Trainer(
    TrainerInfo(
        name="int8-only",
        formula="w8 -= SR(sum e a, frac_e + frac_a + k - 6), biases as int8-sr; batch 1",
        layers=EVERY_LAYER,
        heads=EVERY_HEAD,
        scopes=EVERY_SCOPE,
        lr_shifts=(4, 14),
        memory="2 x (1 weight + 4 biases) + errors (int16) and outputs (int8) of one sample",
        core=False,
        same_bytes=EVERY_MACHINE,
        limits="as int8-sr; what changes a weight by less than half a step of int8 in a round is lost on the way down",
        paper="S. Gupta et al., ICML 2015 (arXiv 1502.02551), for the rounding",
    ),
    train_many,
    forward,
    training_bytes,
)
