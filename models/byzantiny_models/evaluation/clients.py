"""The global model on each client's own data, and what is left of it: the mean and the tail."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.drift import Drift
from byzantiny_models.inference import forward
from byzantiny_models.networks import Network
from byzantiny_models.tasks import Task

Shares = Mapping[str, NDArray[np.integer[Any]]]
"""By client, the indices of its training samples."""
TAIL = 0.10


@dataclass(frozen=True)
class Tails:
    """Over clients: the mean, the 10 % quantile (linear between the two nearest) and the worst."""

    mean: float
    p10: float
    worst: float


def client_scores(
    task: Task, network: Network, model: ArrayLike, shares: Shares, drifts: Mapping[str, Drift] | None = None
) -> dict[str, float]:
    """Return the accuracy of the integer model on each client's own samples, by client, in their order.

    Samples are those the client was given, through its own sensor where it drifts, before any attack touched them. Empty
    for a task whose outputs are no classes: one client's data are one class there.

    Raises:
        InvalidValueError: a model of another network, or indices beyond the training set.

    >>> from byzantiny_models.networks import initial_model
    >>> from byzantiny_models.tasks import load_task
    >>> task = load_task("digits")
    >>> found = client_scores(task, task.network, initial_model(task.network, 1), {"a": np.arange(50), "b": np.arange(9)})
    >>> sorted(found)
    ['a', 'b']
    """
    if network.head != "softmax" or not shares:
        return {}
    used = np.unique(np.concatenate([np.asarray(share) for share in shares.values()]))
    right = np.zeros(len(task.train_y), dtype=bool)
    right[used] = np.argmax(forward(network, model, task.train_x[used]), axis=1) == task.train_y[used]
    scores = {client: float(right[share].mean()) for client, share in shares.items() if len(share)}
    for client, drift in (drifts or {}).items():
        if client in scores:
            shown = forward(network, model, drift(task.train_x[shares[client]]))
            scores[client] = float((np.argmax(shown, axis=1) == task.train_y[shares[client]]).mean())
    return scores


def tails(scores: Mapping[str, float], without: Collection[str] = ()) -> Tails | None:
    """Return the tails over all clients but those `without`; None where nobody is left.

    >>> tails({"a": 1.0, "b": 0.5, "c": 0.0}, without=["c"])
    Tails(mean=0.75, p10=0.55, worst=0.5)
    """
    left = [score for client, score in scores.items() if client not in without]
    if not left:
        return None
    return Tails(math.fsum(left) / len(left), float(np.quantile(left, TAIL)), min(left))
