"""Samples, and a simulated link in virtual time between a host's session and a device."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import Deframer, delimit, encode_offer, max_frame_bytes, split_update
from byzantiny.wire.device import DeviceIdentity, DeviceMachine, TrainRequest
from byzantiny.wire.host import HostSession, Refused, RoundWork, Step, UpdateReceived
from byzantiny.wire.messages import Offer, Reason, Verdict

SECRET = bytes(range(32))
LAYOUT = hashlib.sha256(b"layout").digest()
D = 610
MODEL_BYTES = 1300


def make_identity(**changes: object) -> DeviceIdentity:
    identity = DeviceIdentity(
        client_id="dev-01", keys=derive_keys(SECRET), address=3, boot_id=77, max_payload=240, rx_credit=32,
        fw_sha256=b"firmware", build_id=5, caps=1, max_object=65536, n_samples=60, data_sha256=bytes(32),
        layout_sha256=LAYOUT, model_bytes=MODEL_BYTES, d=D, n_tensors=4,
    )  # fmt: skip
    return replace(identity, **changes)


def make_model(seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(MODEL_BYTES)


def make_work(round_num: int = 1, *, model: bytes | None = None, **changes: object) -> RoundWork:
    model = make_model(round_num) if model is None else model
    offer = Offer(
        round_num=round_num, seed=7, nonce=bytes([round_num]) * 16, model_sha256=hashlib.sha256(model).digest(),
        layout_sha256=LAYOUT, model_bytes=len(model), l2_bound=4000, deadline_ms=60_000, epochs=1, lr_shift=9,
        shifts=(5, 3, 5, 2),
    )  # fmt: skip
    return RoundWork(round_num, encode_offer(replace(offer, **changes)), model)


def make_codes(request: TrainRequest) -> bytes:
    """What this fleet's devices learn: a function of the model and the offer, as the real training is."""
    return random.Random(hashlib.sha256(request.model + request.offer_body).digest()).randbytes(D)


@dataclass(frozen=True)
class Channel:
    """What the link does to frames, each with a probability; `noise` flips a bit of a frame's bytes on the line."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    noise: float = 0.0
    uart: bool = False
    training_s: float = 0.0


@dataclass
class Link:
    """One direction: what to send over it, and when what comes out arrives."""

    channel: Channel
    rng: random.Random
    deframer: Deframer = field(default_factory=lambda: Deframer(max_frame_bytes(4096)))

    def carry(self, frame: bytes) -> list[tuple[float, bytes]]:
        c, rng = self.channel, self.rng
        if rng.random() < c.drop:
            return []
        arrived = self._line(frame) if c.uart else [frame]
        out = []
        for piece in arrived:
            copies = 2 if rng.random() < c.duplicate else 1
            out += [(rng.uniform(0.02, 0.3) if rng.random() < c.reorder else 0.01, piece) for _ in range(copies)]
        return out

    def _line(self, frame: bytes) -> list[bytes]:
        raw = bytearray(delimit(frame))
        while self.rng.random() < self.channel.noise:
            raw[self.rng.randrange(len(raw))] ^= 1 << self.rng.randrange(8)
        return self.deframer.feed(bytes(raw))


class World:
    """A coordinator that keeps the first update of a round, its session, a channel, and a device that may reboot."""

    def __init__(
        self, seed: int = 0, channel: Channel = Channel(), *, max_payload: int = 240, credit: int = 32,
        host_payload: int | None = None, rto_s: float = 0.25,
    ) -> None:  # fmt: skip
        self.random = random.Random(seed)
        self.channel = channel
        self.now = 0.0
        self.max_payload, self.credit, self.host_payload, self.rto_s = max_payload, credit, host_payload, rto_s
        self.down, self.up = Link(channel, self.random), Link(channel, self.random)
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.work: RoundWork | None = None
        self.accepted: dict[int, bytes] = {}
        self.verdicts: list[Verdict] = []
        self.events: list[object] = []
        self.provided: dict[int, set[bytes]] = {}
        self.trained = self.boots = self.delivered = 0
        self.after: Callable[[int], None] | None = None
        self.session = self._session()
        self.boot()

    def _session(self) -> HostSession:
        return HostSession(
            "dev-01", derive_keys(SECRET), address=3, max_payload=self.host_payload or self.max_payload,
            rto_s=self.rto_s, rng=np.random.default_rng(self.random.getrandbits(32)),
        )  # fmt: skip

    def boot(self) -> None:
        """Power on, or a power cycle: RAM is lost."""
        self.boots += 1
        self.machine = DeviceMachine(
            make_identity(boot_id=100 + self.boots, max_payload=self.max_payload, rx_credit=self.credit)
        )
        self.to_host([self.machine.banner()])

    def restart_host(self) -> None:
        """A new coordinator process: only what is accepted is known."""
        self.session = self._session()
        if self.work is not None and self.work.round_num not in self.accepted:
            self.take(self.session.begin(self.work, self.now))

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + delay_s, next(self.order), action))

    def to_host(self, frames: list[bytes]) -> None:
        for frame in frames:
            for delay, piece in self.up.carry(frame):
                self.at(delay, lambda piece=piece: self.host_gets(piece))

    def host_gets(self, frame: bytes) -> None:
        self.take(self.session.on_frame(frame, self.now))
        self._count()

    def device_gets(self, frame: bytes) -> None:
        machine = self.machine
        frames, request = machine.on_frame(frame)
        self.to_host(frames)
        if request is not None:
            self.at(self.channel.training_s, lambda: self.finish(machine, request))
        self._count()

    def finish(self, machine: DeviceMachine, request: TrainRequest) -> None:
        if machine is not self.machine:
            return
        self.trained += 1
        codes = make_codes(request)
        self.provided.setdefault(request.offer.round_num, set()).add(codes)
        self.to_host(machine.provide(codes, 60, offer_body=request.offer_body))

    def _count(self) -> None:
        self.delivered += 1
        if self.after is not None:
            self.after(self.delivered)

    def take(self, step: Step) -> None:
        for frame in step.frames:
            for delay, piece in self.down.carry(frame):
                self.at(delay, lambda piece=piece: self.device_gets(piece))
        self.events += step.events
        for event in step.events:
            if isinstance(event, UpdateReceived):
                verdict = self.judge(event)
                self.verdicts.append(verdict)
                self.take(self.session.conclude(event.xfer, verdict, Reason.NONE, self.now))

    def judge(self, event: UpdateReceived) -> Verdict:
        codes, round_num = split_update(event.data).codes, event.start.round_num
        assert codes in self.provided[round_num], "what arrives is what a device has provided"
        if self.work is None or round_num != self.work.round_num:
            return Verdict.STALE
        if round_num in self.accepted:
            return Verdict.DUPLICATE if self.accepted[round_num] == event.data else Verdict.CONFLICT
        self.accepted[round_num] = event.data
        return Verdict.ACCEPTED

    def run(self, work: RoundWork, *, longest_s: float = 600.0, max_frames: int = 100_000) -> str:
        """One round; 'complete', the name of what was refused, or 'deadline'."""
        self.work = work
        deadline = self.now + longest_s
        self.take(self.session.begin(work, self.now))
        first = self.delivered
        while work.round_num not in self.accepted:
            refused = next((e for e in self.events if isinstance(e, Refused)), None)
            if refused is not None:
                return refused.name
            due = self.session.next_due
            if not self.queue and due is None:
                return "nothing left to happen"
            if self.queue and (due is None or self.queue[0][0] <= due):
                self.now, _, action = heapq.heappop(self.queue)
                action()
            else:
                assert due is not None
                self.now = max(self.now, due)
                self.take(self.session.on_time(self.now))
            if self.now > deadline:
                return "deadline"
            assert self.delivered - first < max_frames, "the two sides talk without end"
        return "complete"


@pytest.fixture
def identity():
    return make_identity


@pytest.fixture
def work():
    return make_work


@pytest.fixture
def world():
    return World


@pytest.fixture
def channel():
    return Channel


@pytest.fixture
def codes_of():
    return make_codes
