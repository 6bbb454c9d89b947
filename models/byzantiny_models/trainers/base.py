"""What a trainer is: a card, local training on integer models, its own forward pass, and the memory it would need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import TrainerError
from byzantiny_models.inference import Int32s
from byzantiny_models.layers import KINDS, Flatten
from byzantiny_models.networks import SCOPES, Network
from byzantiny_models.rng import Key

EVERY_MACHINE, ONE_MACHINE = "on every machine", "on one machine"
"""Where the same inputs give the same bytes."""


@dataclass(frozen=True, kw_only=True)
class TrainerInfo:
    """The card of a trainer: what it claims, in the order in which it is shown.

    `layers` are kinds of `KINDS` (flattening is no work), `scopes` what `Network.scoped` may leave to it, `lr_shifts` the
    least and the largest; `core` says that the C core, and so every body, runs it; other trainers are NumPy's alone.
    """

    name: str
    formula: str
    layers: tuple[str, ...]
    heads: tuple[str, ...]
    scopes: tuple[str, ...]
    lr_shifts: tuple[int, int]
    memory: str
    core: bool
    same_bytes: str
    limits: str
    paper: str


class TrainMany(Protocol):
    """Local training of n clients."""

    def __call__(
        self,
        network: Network,
        models: ArrayLike,
        xs: Sequence[ArrayLike],
        ys: Sequence[ArrayLike],
        keys_order: Sequence[Key],
        keys_train: Sequence[Key],
        epochs: int,
        lr_shift: int,
    ) -> Int32s:
        """Return the integer models that the clients end with, int32 (n, d); arguments as of `training.train_many`."""
        ...


@dataclass(frozen=True)
class Trainer:
    """A way to train; `outputs(network, model, x)` is what its own forward pass answers, the largest being its choice.

    `training_bytes(network)` models the RAM of the models and the work space that a device would need, not of its code.
    """

    info: TrainerInfo
    train_many: TrainMany
    outputs: Callable[[Network, ArrayLike, ArrayLike], NDArray[Any]]
    training_bytes: Callable[[Network], int]


def check_trainer(info: TrainerInfo, network: Network, lr_shift: int | None = None) -> None:
    """Refuse what a trainer does not train.

    Raises:
        TrainerError: a layer, a head, a scope or a learning rate that is not on its card.

    >>> from byzantiny_models.networks import NETWORKS
    >>> from byzantiny_models.trainers import TRAINERS
    >>> check_trainer(TRAINERS["niti"].info, NETWORKS["cnn-8x8"], 5)
    Traceback (most recent call last):
    byzantiny_models.errors.TrainerError: niti does not train conv2d, of which cnn-8x8 has a layer; \
it trains dense: choose another network or trainer
    """
    for layer in network.layers:
        kind = KINDS[type(layer)]
        if not isinstance(layer, Flatten) and kind not in info.layers:
            raise TrainerError(
                f"{info.name} does not train {kind}, of which {network.name} has a layer; it trains "
                f"{', '.join(info.layers)}: choose another network or trainer"
            )
    if network.head not in info.heads:
        raise TrainerError(
            f"{info.name} does not train a {network.head} head, which {network.name} has; it trains "
            f"{', '.join(info.heads)}: choose another network or trainer"
        )
    if network.base and info.scopes == ("all",):
        raise TrainerError(f"{info.name} trains whole networks, and a part of {network.name} is frozen; use scope all")
    low, high = info.lr_shifts
    if lr_shift is not None and not low <= lr_shift <= high:
        raise TrainerError(f"{info.name} has no lr_shift {lr_shift}: {low} .. {high}; choose one within")


EVERY_LAYER = tuple(kind for kind in KINDS.values() if kind != "flatten")
EVERY_HEAD = ("softmax", "squared-error")
EVERY_SCOPE = (*SCOPES, "chosen tensors")


def parameters(network: Network) -> tuple[int, int]:
    """Return how many weights and biases are trained.

    >>> from byzantiny_models.networks import NETWORKS
    >>> parameters(NETWORKS["mlp-64-32-10"])
    (2368, 42)
    """
    counts = [sum(t.elements for t in network.layout.tensors if t.dtype == kind) for kind in ("int16", "int32")]
    return counts[0], counts[1]


def largest_kernel(network: Network) -> int:
    """Return the weights of the largest kernel.

    >>> from byzantiny_models.networks import NETWORKS
    >>> largest_kernel(NETWORKS["mlp-64-32-10"])
    2048
    """
    return max(int(np.prod(t.shape)) for t in network.layout.tensors)
