"""The local training of clients that are due together, by whichever trainer they have; what both NumPy ways of a body share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny_models.networks import Network
from byzantiny_models.rng import Key
from byzantiny_models.trainers import TRAINERS, Job
from byzantiny_models.training import train_many

Models = npt.NDArray[np.int32]


def train_clients(
    trainer: str,
    network: Network,
    starts: npt.ArrayLike,
    xs: Sequence[npt.NDArray[Any]],
    ys: Sequence[npt.NDArray[Any]],
    keys: tuple[Sequence[Key], Sequence[Key]],
    epochs: int,
    lr_shift: int,
) -> tuple[Models, Models]:
    """Return the models that each client's training began and ended with, int32 (n, d): an update is their difference.

    `starts` is (d,), one for all, or (n, d); `keys` are those of the sample order and of the training. INT8-SR trains all clients
    side by side, any other trainer one after the other.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> x, y = np.full((3, 64), 32, dtype=np.int8), np.array([1, 2, 1])
    >>> began, ended = train_clients("int8-sr", network, initial_model(network, 1), [x], [y], ([(1, 2)], [(3, 4)]), 1, 5)
    >>> began.shape, ended.shape
    ((1, 2410), (1, 2410))
    """
    began = np.broadcast_to(np.asarray(starts, dtype=np.int32), (len(xs), network.layout.d))
    orders, steps = keys
    if trainer == "int8-sr":
        return began, train_many(network, began, xs, ys, orders, steps, epochs, lr_shift)
    trained = [
        TRAINERS[trainer].train(Job(network, start, x, y, order, step, epochs, lr_shift))
        for start, x, y, order, step in zip(began, xs, ys, orders, steps, strict=True)
    ]
    return np.stack([one.start for one in trained]), np.stack([one.local for one in trained])
