"""The reference body: the wire's device machine, and the integer trainer in NumPy, for any number of slots."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.base import DeviceSpec, Frame
from byzantiny.bodies.errors import BodyError
from byzantiny.suggest import unknown_name
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.device import DeviceIdentity, DeviceMachine, TrainRequest
from byzantiny.wire.messages import Cap
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.networks import NETWORKS, Network
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.trainers import TRAINERS, Trainer, check_trainer

FIRMWARE: Final = hashlib.sha256(b"byzantiny numpy body 1").digest()[:8]
"""What HELLO says runs here; other bodies say the hash of their image."""


@dataclass(slots=True)
class _Slot:
    spec: DeviceSpec
    network: Network
    trainer: Trainer
    x: npt.NDArray[np.int8]
    y: npt.NDArray[np.uint8]
    machine: DeviceMachine
    pending: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)


class NumpyBody:
    """Executes its slots one frame at a time, and trains together those that are due together.

    A slot takes no further frame until it has trained, as a real device could not, so that its answers are those of the
    other bodies frame for frame. `exchange` is a function of the frames alone: `now_ms` is not used.
    """

    realtime = False

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self._slots = [_slot(spec) for spec in specs]
        self._banners = set(range(len(self._slots)))

    def exchange(self, frames: Sequence[Frame], now_ms: int) -> list[Frame]:  # noqa: ARG002 - the seam has a clock
        """Deliver frames to slots; returns what the slots send, slot by slot in order."""
        for number in sorted(self._banners):
            self._slots[number].sent.append(self._slots[number].machine.banner())
        touched = self._banners | {number for number, _ in frames}
        self._banners = set()
        for number, frame in frames:
            self._slots[number].pending.append(frame)
        busy = [self._slots[number] for number in sorted(touched)]
        while busy:
            due = [(slot, request) for slot in busy if (request := _run(slot)) is not None]
            _train(due)
            busy = [slot for slot, _ in due]
        out: list[Frame] = []
        for number in sorted(touched):
            slot = self._slots[number]
            out += ((number, frame) for frame in slot.sent)
            slot.sent.clear()
        return out

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle one slot: session, offer, model and update are gone."""
        old = self._slots[slot]
        self._slots[slot] = _Slot(
            old.spec, old.network, old.trainer, old.x, old.y, _machine(old.spec, old.network, len(old.y), boot_id)
        )
        self._banners.add(slot)

    def close(self) -> None:
        """Forget the slots; idempotent."""
        self._slots = []
        self._banners = set()


def _slot(spec: DeviceSpec) -> _Slot:
    network = NETWORKS.get(spec.network)
    if network is None:
        raise BodyError(
            f"{spec.client_id}: network {spec.network!r} is none of {', '.join(NETWORKS)}; choose one of them"
        )
    trainer = TRAINERS.get(spec.trainer)
    if trainer is None:
        raise BodyError(unknown_name(f"trainer of {spec.client_id}", spec.trainer, TRAINERS))
    network = network.with_base(spec.base)
    check_trainer(trainer.info, network)
    x, y, classes = datasets.unpack(spec.dataset)
    if (x.shape[1], classes) != (network.features, network.classes):
        raise BodyError(
            f"{spec.client_id}: a data set of {x.shape[1]} features and {classes} classes does not fit {network.name}, "
            f"which has {network.features} and {network.classes}; choose the network of the task"
        )
    return _Slot(spec, network, trainer, x, y, _machine(spec, network, len(y), spec.boot_id))


def _machine(spec: DeviceSpec, network: Network, n_samples: int, boot_id: int) -> DeviceMachine:
    layout = network.layout
    return DeviceMachine(
        DeviceIdentity(
            client_id=spec.client_id,
            keys=derive_keys(spec.secret),
            address=spec.address,
            boot_id=boot_id,
            max_payload=spec.max_payload,
            rx_credit=spec.rx_credit,
            fw_sha256=FIRMWARE,
            build_id=1,
            caps=int(Cap.TRAIN_INT8_SR) if spec.trainer == "int8-sr" else 0,
            max_object=layout.model_bytes,
            n_samples=n_samples,
            data_sha256=hashlib.sha256(spec.dataset).digest(),
            layout_sha256=layout.sha256,
            model_bytes=layout.model_bytes,
            d=layout.d,
            n_tensors=len(layout.tensors),
        )
    )


def _run(slot: _Slot) -> TrainRequest | None:
    """Feed a slot its frames until none is left or training is due."""
    while slot.pending:
        answers, request = slot.machine.on_frame(slot.pending.popleft())
        slot.sent += answers
        if request is not None:
            return request
    return None


def _train(due: list[tuple[_Slot, TrainRequest]]) -> None:
    """Train the slots that are due, in one call for each network, trainer, number of epochs and learning rate."""
    groups: dict[tuple[Network, str, int, int], list[tuple[_Slot, TrainRequest]]] = {}
    for slot, request in due:
        which = (slot.network, slot.spec.trainer, request.offer.epochs, request.offer.lr_shift)
        groups.setdefault(which, []).append((slot, request))
    for (network, trainer, epochs, lr_shift), group in groups.items():
        starts = np.stack([network.layout.unpack(request.model) for _, request in group])

        def keys(stream: Stream, group: list[tuple[_Slot, TrainRequest]] = group) -> list[tuple[int, int]]:
            return [derive_key(r.offer.seed, slot.spec.client_id, r.offer.round_num, stream) for slot, r in group]

        trained = TRAINERS[trainer].train_many(
            network,
            starts,
            [slot.x for slot, _ in group],
            [slot.y for slot, _ in group],
            keys(Stream.SAMPLE_ORDER),
            keys(Stream.TRAINING),
            epochs,
            lr_shift,
        )
        for (slot, request), start, local, key in zip(group, starts, trained, keys(Stream.CODES), strict=True):
            codes = encode(network.layout, start, local, request.offer.shifts, request.offer.l2_bound, key)
            slot.sent += slot.machine.provide(codes, len(slot.y), offer_body=request.offer_body)
