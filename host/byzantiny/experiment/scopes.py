"""Which part of the network a run trains: the scope of an arm, bound to the model that its seed begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.schema import RunConfig
from byzantiny.experiment.starting import PinnedStart
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.tasks import Task


def first_model(network: Network, start: PinnedStart | None, seed: int) -> NDArray[np.int32]:
    """Return the whole model that round 1 begins with, int32 (d,): the starting point, or what the seed draws."""
    return initial_model(network.whole, seed) if start is None else start.start.model


def scoped_task(task: Task, run: RunConfig, arm: str, first: NDArray[np.int32]) -> Task:
    """Return the task with the network that the arm trains: `training.scope`, the rest frozen at `first`, int32 (d,) of the whole.

    Raises:
        ConfigError: a tensor that the network does not have, or none.
    """
    if run.training.scope == "all":
        return task
    try:
        return replace(task, network=task.network.scoped(run.training.scope, first))
    except InvalidValueError as error:
        names = ", ".join(tensor.name for tensor in task.network.whole.layout.tensors)
        raise ConfigError(f"arms.{arm}: training.scope: {error}; {task.network.name} has {names}") from error
