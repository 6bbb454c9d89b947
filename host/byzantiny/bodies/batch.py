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
from byzantiny.bodies.training import train_clients
from byzantiny.wire.messages import Offer
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS
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
    """The reference: any trainer, then `encode` of each update."""

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self._ids = [spec.client_id for spec in specs]
        networks, trainers = {spec.network for spec in specs}, {spec.trainer for spec in specs}
        if len(trainers) != 1:
            raise BodyError(f"a batch of trainers {', '.join(sorted(trainers))}: one is needed")
        self._trainer = trainers.pop()
        if len(networks) != 1 or any(spec.base for spec in specs):
            raise BodyError(
                f"a batch of networks {', '.join(sorted(networks))}, or with a base: one whole network is needed"
            )
        self._network = NETWORKS[networks.pop()]
        self._data = [datasets.unpack(spec.dataset)[:2] for spec in specs]

    def models(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int32]:
        """As `BatchTrainer.models`."""
        return self._trained(slots, start, offer)[1]

    def _trained(self, slots: Sequence[int], start: Model, offer: Offer) -> tuple[npt.NDArray[np.int32], ...]:
        xs, ys = [self._data[slot][0] for slot in slots], [self._data[slot][1] for slot in slots]
        keys = self._keys(slots, offer, Stream.SAMPLE_ORDER), self._keys(slots, offer, Stream.TRAINING)
        return train_clients(self._trainer, self._network, start, xs, ys, keys, offer.epochs, offer.lr_shift)

    def updates(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int8]:
        """As `BatchTrainer.updates`."""
        keys = self._keys(slots, offer, Stream.CODES)
        began, trained = self._trained(slots, start, offer)
        layout = self._network.layout
        return np.stack(
            [
                encode(layout, own, local, offer.shifts, offer.l2_bound, key)
                for own, local, key in zip(began, trained, keys, strict=True)
            ]
        )

    def outputs(self, model: Model, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """As `BatchTrainer.outputs`."""
        return forward(self._network, model, x)

    def _keys(self, slots: Sequence[int], offer: Offer, stream: Stream) -> list[tuple[int, int]]:
        return [derive_key(offer.seed, self._ids[slot], offer.round_num, stream) for slot in slots]


def load_batch(name: str | None = None, trainer: str = "int8-sr") -> BatchFactory:
    """Return how a body trains a batch; without a name, the native one where it is installed and has the trainer, else NumPy.

    Raises:
        BodyError: a body that has no batch call.

    >>> load_batch("numpy").__name__
    'NumpyBatch'
    """
    if name is None:
        name = "native" if "native" in body_names() and TRAINERS[trainer].device else "numpy"
    if name == "numpy":
        return NumpyBatch
    body: Any = load_body(name)
    factory: BatchFactory | None = getattr(body, "batch", None)
    if factory is None:
        raise BodyError(
            f"body {name!r} trains by frames alone; in process use `native` or `numpy`, which give the same"
        )
    return factory
