"""What round 1 begins with: the model that the seed draws, one from a file, or the one that an adversary hands over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import AttackError, hand_over
from byzantiny.experiment.cast import byzantine_ids, chosen_of, make_attack
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.resolve import scoped_task
from byzantiny.experiment.shares import share_out
from byzantiny_models.deploy.files import read_file
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.rng import Stream, rng_for
from byzantiny_models.starts import MOST_BYTES, Start, read_start
from byzantiny_models.tasks import Task

Model = npt.NDArray[np.int32]
START_ROUND = (1 << 32) - 2
"""No round has this number: the draws of whoever poisons the first model are nobody else's."""


@dataclass(frozen=True, eq=False)
class Opening:
    """The task as it is trained, its network scoped to what the first model leaves free, and the first model (d,) of that."""

    task: Task
    model: Model
    untouched: Model | None = None
    """What the first model would have been, where an adversary handed over another; a floor is measured on it."""


def open_first(run: RunConfig, seed: int, task: Task, pretrained: Model | None = None) -> Opening:
    """Return what one arm and seed begin with; `pretrained`, of the whole network, stands for `model.start`, if that was read.

    Raises:
        ConfigError: `model.start` names no starting point of the task's network; an attack on the start that cannot be.
    """
    if pretrained is None and run.model.start is not None:
        pretrained = read_named(run.model.start, task.network)[0].model
    whole = _poisoned(run, seed, task, pretrained)
    scoped = scoped_task(run, task, seed, whole)
    model = _first(scoped.network, seed, whole)
    return Opening(scoped, model, None if whole is pretrained else _first(scoped.network, seed, pretrained))


def _first(network: Network, seed: int, whole: Model | None) -> Model:
    """The trained part of a whole model, or of what the seed draws."""
    return initial_model(network, seed) if whole is None else network.project(whole)


def read_named(named: str, network: Network) -> tuple[Start, bytes]:
    """Return the starting point of a file and its bytes.

    Raises:
        ConfigError: it cannot be read, or is no starting point of the network.
    """
    try:
        data = read_file(Path(named), MOST_BYTES)
        return read_start(data, network, named), data
    except InvalidValueError as error:
        raise ConfigError(f"model.start: {error}") from None


def named_sha256(named: str) -> str:
    """Return the hash of a starting point's file. Raises ConfigError if it cannot be read."""
    try:
        return hashlib.sha256(read_file(Path(named), MOST_BYTES)).hexdigest()
    except InvalidValueError as error:
        raise ConfigError(f"model.start: {error}") from None


def poisons_start(attack: Any) -> bool:
    """Return whether an attack hands over the first model."""
    return hasattr(attack, "start")


def _poisoned(run: RunConfig, seed: int, task: Task, pretrained: Model | None) -> Model | None:
    """The whole model that an adversary hands over instead; what would have been, where there is none."""
    attack = make_attack(run)
    if attack is None or not poisons_start(attack) or not run.attack.byzantine:
        return pretrained
    network = task.network.whole
    liars = set(byzantine_ids(run, seed))
    data = [share.of(task) for share in share_out(run, seed, task) if share.client_id in liars]
    first = initial_model(network, seed) if pretrained is None else pretrained
    rng = rng_for(seed, Stream.ATTACK, round_num=START_ROUND)
    try:
        return hand_over(attack, network, data, first, rng, chosen_of(attack, seed, task))
    except AttackError as error:
        raise ConfigError(f"task {task.name}: {error}") from error
