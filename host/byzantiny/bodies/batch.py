"""Many clients' local training in one call, beneath the frames: for sweeps and benchmarks (SPEC 7).

It must equal the way through frames (promise P1). A body that can do it has a static method `batch(specs)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.errors import BodyError
from byzantiny.bodies.registry import body_names, load_body
from byzantiny.wire.messages import Offer
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, Network
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.trainers import TRAINERS

Model = npt.NDArray[np.int32]


class BatchTrainer(Protocol):
    """The clients of its slots; `offer` has seed, round, epochs, learning rate, grid and bound."""

    def updates(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[Any]:
        """Return the codes that the slots would send, int8 (len(slots), d); real rows, of a wire that does not exist."""
        ...

    def models(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int32]:
        """Return the models that the slots have trained, int32 (len(slots), d), before they are encoded."""
        ...

    def outputs(self, model: Model, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Return what a model answers to samples (N, features), int8 (N, outputs), as a device computes it."""
        ...


BatchFactory = Callable[[Sequence[DeviceSpec]], BatchTrainer]


class NumpyBatch:
    """The reference: a trainer's `train_many`, then `encode` of each."""

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self._ids = [spec.client_id for spec in specs]
        self._network, self._trainer = alike(specs)
        self._data = [datasets.unpack(spec.dataset)[:2] for spec in specs]

    def models(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int32]:
        """As `BatchTrainer.models`."""
        xs, ys = [self._data[slot][0] for slot in slots], [self._data[slot][1] for slot in slots]
        orders, steps = self._keys(slots, offer, Stream.SAMPLE_ORDER), self._keys(slots, offer, Stream.TRAINING)
        return TRAINERS[self._trainer].train_many(
            self._network, start, xs, ys, orders, steps, offer.epochs, offer.lr_shift
        )

    def updates(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int8]:
        """As `BatchTrainer.updates`."""
        keys = self._keys(slots, offer, Stream.CODES)
        trained = self.models(slots, start, offer)
        layout = self._network.layout
        return np.stack(
            [
                encode(layout, start, local, offer.shifts, offer.l2_bound, key)
                for local, key in zip(trained, keys, strict=True)
            ]
        )

    def outputs(self, model: Model, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """As `BatchTrainer.outputs`."""
        return forward(self._network, model, x)

    def _keys(self, slots: Sequence[int], offer: Offer, stream: Stream) -> list[tuple[int, int]]:
        return [derive_key(offer.seed, self._ids[slot], offer.round_num, stream) for slot in slots]


def alike(specs: Sequence[DeviceSpec]) -> tuple[Network, str]:
    """Return the network, with its base, and the trainer that all specs of a batch share.

    Raises:
        BodyError: specs of several, a network or a trainer that there is not. LayoutError: a base of another network.
    """
    kinds = {(spec.network, spec.base, spec.trainer) for spec in specs}
    if len(kinds) != 1:
        raise BodyError(f"a batch of {len(kinds)} kinds of clients: one network, base and trainer is needed")
    name, base, trainer = kinds.pop()
    if name not in NETWORKS or trainer not in TRAINERS:
        raise BodyError(f"a batch of network {name!r} with trainer {trainer!r}: there is no such thing")
    return NETWORKS[name].with_base(base), trainer


def load_batch(name: str | None = None, *, trainer: str = "int8-sr") -> BatchFactory:
    """Return how a body trains a batch; without a name, the native one where it is installed and knows the trainer, else NumPy.

    Raises:
        BodyError: a body that has no batch call.

    >>> load_batch("numpy").__name__
    'NumpyBatch'
    """
    if name is None:
        name = "native" if TRAINERS[trainer].info.core and "native" in body_names() else "numpy"
    if name == "numpy":
        return NumpyBatch
    body: Any = load_body(name)
    factory: BatchFactory | None = getattr(body, "batch", None)
    if factory is None:
        raise BodyError(
            f"body {name!r} trains by frames alone; in process use `native` or `numpy`, which give the same"
        )
    return factory
