"""What a trainer is: a client's local training as a function of a job, and the card that says what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layers import Dense
from byzantiny_models.networks import Network
from byzantiny_models.rng import Key
from byzantiny_models.training import LR_SHIFTS

Int32s = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Job:
    """One client's local training: the model it starts from, int32 (d,), its samples, its keys, the rate 2^-lr_shift."""

    network: Network
    start: Int32s
    x: NDArray[Any]
    y: NDArray[Any]
    key_order: Key
    key_train: Key
    epochs: int
    lr_shift: int


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of it, int32 (d,) each: the model that training really began with, and the one it ended with.

    The update is their difference: a trainer with coarser weights than the model's begins with rounded ones.
    """

    start: Int32s
    local: Int32s


@dataclass(frozen=True, slots=True)
class Trainer:
    """The card of a trainer, and what it does.

    `device`: whether the C core trains like this, so that every body can; else only NumPy clients. `reproducible`: to the
    bit on every machine, or on one machine only, where sums go through its BLAS. `bytes_per_weight`: what a weight costs in a
    device's RAM while training, gradients included. `lr_shifts`: the rates 2^-k, by k, that it takes.
    """

    name: str
    formula: str
    paper: str
    networks: str
    bytes_per_weight: float
    reproducible: Literal["everywhere", "on one machine"]
    device: bool
    train: Callable[[Job], Trained]
    check: Callable[[Network], None]
    lr_shifts: range = LR_SHIFTS


def any_network(network: Network) -> None:
    """Take every network of the layer table.

    >>> from byzantiny_models.networks import NETWORKS
    >>> any_network(NETWORKS["cnn-8x8"])
    """


def dense_classifier(trainer: str, network: Network) -> None:
    """Raise unless a network is fully trained dense layers with a softmax head.

    Raises:
        InvalidValueError: another layer, a squared-error head, or a frozen tensor.

    >>> from byzantiny_models.networks import NETWORKS
    >>> dense_classifier("niti", NETWORKS["cnn-8x8"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    byzantiny_models.errors.InvalidValueError: trainer niti on cnn-8x8: it takes dense layers with a softmax head, ...
    """
    plain = all(isinstance(layer, Dense) for layer in network.layers) and network.head == "softmax"
    if not plain or not all(network.trainable):
        raise InvalidValueError(
            f"trainer {trainer} on {network.name}: it takes dense layers with a softmax head, all trained; choose int8-sr, or "
            "a network like mlp-64-32-10"
        )


def check_rate(trainer: str, lr_shifts: range, lr_shift: int) -> None:
    """Raise unless a rate 2^-lr_shift is one that a trainer takes; none is brought into its limits in silence.

    Raises:
        InvalidValueError: another one.

    >>> check_rate("niti", range(4, 8), 8)
    Traceback (most recent call last):
    byzantiny_models.errors.InvalidValueError: trainer niti with lr_shift 8: it takes 4 .. 7; set training.lr_shift within
    """
    if lr_shift not in lr_shifts:
        raise InvalidValueError(
            f"trainer {trainer} with lr_shift {lr_shift}: it takes {lr_shifts[0]} .. {lr_shifts[-1]}; set training.lr_shift within"
        )
