"""A few rounds between a coordinator's sessions and devices over a tapped link: small, without I/O, in virtual time."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from byzantiny.attacks.frames import Delivery, LinkScene, Passed, Tap
from byzantiny.testing.attack_cases import NETWORK
from byzantiny.wire.auth import Keys, derive_keys
from byzantiny.wire.codec import encode_offer
from byzantiny.wire.device import DeviceIdentity, DeviceMachine
from byzantiny.wire.events import RoundWork, Step, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Offer, Reason, Verdict

CLIENTS = ("c-1", "c-2", "c-3")
HELD = frozenset({"c-2"})
DEADLINE_S = 4.0
_MOST_FRAMES = 20_000


def keys_of(client_id: str) -> Keys:
    """Return a client's keys."""
    return derive_keys(client_id.encode().ljust(32, b"k"))


def scene(*, start: int = 1, stop: int | None = None, keys: bool = True, seed: int = 3) -> LinkScene:
    """Return the links of three clients, of which the adversary holds one."""
    return LinkScene(
        layout=NETWORK.layout,
        clients=CLIENTS,
        held=HELD,
        addresses=dict.fromkeys(CLIENTS, 1),
        deadline_s=DEADLINE_S,
        rng=np.random.default_rng(seed),
        keys={name: keys_of(name) for name in HELD} if keys else {},
        start_round=start,
        stop_round=stop,
    )


def offer_of(round_num: int, model: bytes) -> Offer:
    """Return the offer of a round."""
    layout = NETWORK.layout
    return Offer(
        round_num, 7, bytes([round_num]) * 16, hashlib.sha256(model).digest(), layout.sha256, layout.model_bytes, 0,
        int(DEADLINE_S * 1000), 1, 9, layout.default_shifts(6),
    )  # fmt: skip


@dataclass
class Talk:
    """What was said: every frame after the tap, and the updates that came in whole, by round and client."""

    up: list[Delivery] = field(default_factory=list)
    down: list[Delivery] = field(default_factory=list)
    received: dict[tuple[int, str], bytes] = field(default_factory=dict)


def talk(tap: Tap, rounds: int = 3) -> Talk:
    """Let every client be offered `rounds` rounds; a round ends with all updates in, or at its deadline."""
    return _Room(tap).run(rounds)


class _Room:
    def __init__(self, tap: Tap) -> None:
        self.tap, self.now, self.said = tap, 0.0, Talk()
        self.round_num = 0
        self.sessions = {
            name: HostSession(name, keys_of(name), max_payload=240, rto_s=0.05, rng=np.random.default_rng(0))
            for name in CLIENTS
        }
        self.devices = {name: DeviceMachine(_identity(name)) for name in CLIENTS}
        self._left = _MOST_FRAMES

    def run(self, rounds: int) -> Talk:
        for self.round_num in range(1, rounds + 1):
            model = bytes([self.round_num]) * NETWORK.layout.model_bytes
            body = encode_offer(offer_of(self.round_num, model))
            begun = self.now
            for name, session in self.sessions.items():
                self._host(name, session.begin(RoundWork(self.round_num, body, model), self.now))
            while self.now < begun + DEADLINE_S and not self._complete():
                self.now = min(self._next(), begun + DEADLINE_S)
                self._pass(self.tap.on_time(self.now))
                for name, session in self.sessions.items():
                    self._host(name, session.on_time(self.now))
            for session in self.sessions.values():
                session.end()
        return self.said

    def _complete(self) -> bool:
        return all((self.round_num, name) in self.said.received for name in CLIENTS)

    def _next(self) -> float:
        times = [self.tap.next_due, *(session.next_due for session in self.sessions.values())]
        return max(self.now + 1e-3, min((when for when in times if when is not None), default=self.now + DEADLINE_S))

    def _host(self, name: str, step: Step) -> None:
        for frame in step.frames:
            self._pass(self.tap.down(name, frame, self.now))
        for event in step.events:
            if isinstance(event, UpdateReceived):
                self.said.received.setdefault((self.round_num, name), event.data)
                self._host(name, self.sessions[name].conclude(event.xfer, Verdict.ACCEPTED, Reason.NONE, self.now))

    def _pass(self, passed: Passed) -> None:
        pending = deque([passed])
        while pending and self._left:
            self._left -= 1
            one = pending.popleft()
            self.said.down += one.down
            self.said.up += one.up
            for name, frame in one.down:
                pending.extend(self.tap.up(name, answer, self.now) for answer in self._device(name, frame))
            for name, frame in one.up:
                if name in self.sessions:
                    self._host(name, self.sessions[name].on_frame(frame, self.now))

    def _device(self, name: str, frame: bytes) -> Iterator[bytes]:
        device = self.devices[name]
        answers, request = device.on_frame(frame)
        yield from answers
        if request is not None:
            codes = np.full(NETWORK.layout.d, request.offer.round_num, np.int8)
            yield from device.provide(codes, 24)


def _identity(name: str) -> DeviceIdentity:
    layout = NETWORK.layout
    return DeviceIdentity(
        name, keys_of(name), 1, 77, 240, 32, bytes(8), 1, 1, 65_536, 24, bytes(32), layout.sha256, layout.model_bytes,
        layout.d, len(layout.tensors),
    )  # fmt: skip
