"""The NumPy body behind the wire: its update is the reference's, over any link, and a reboot is a power cycle."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from byzantiny.bodies import BodyError, DeviceSpec, body_names, load_body, registry
from byzantiny.bodies.numpy_body import NumpyBody
from byzantiny.transport.base import Inbox
from byzantiny.transport.channel import Channel, LinkFaults
from byzantiny.transport.memory import MemoryTransport
from byzantiny.validation import Valid, ValidationContext, validate
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import encode_offer
from byzantiny.wire.host import HostSession, RoundWork, UpdateReceived
from byzantiny.wire.messages import Offer, Reason, Verdict
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train

NETWORK = NETWORKS["mlp-64-32-10"]
LAYOUT = NETWORK.layout
SHIFTS = LAYOUT.default_shifts(5)
MODEL = initial_model(NETWORK, 1)


def dataset(number: int) -> bytes:
    rng = np.random.default_rng(number)
    n = 5 + number
    return datasets.pack(rng.integers(0, 65, (n, 64)), rng.integers(0, 10, n), 10)


def spec(number: int, **changes: Any) -> DeviceSpec:
    fields: dict[str, Any] = {
        "client_id": f"dev-{number:02d}",
        "secret": bytes([number]) * 32,
        "dataset": dataset(number),
    }
    return DeviceSpec(**{**fields, **changes})


def offer(round_num: int = 1, **changes: Any) -> Offer:
    packed = LAYOUT.pack(MODEL)
    fields: dict[str, Any] = {
        "round_num": round_num, "seed": 9, "nonce": bytes([round_num]) * 16,
        "model_sha256": hashlib.sha256(packed).digest(), "layout_sha256": LAYOUT.sha256, "model_bytes": len(packed),
        "l2_bound": 400, "deadline_ms": 0, "epochs": 1, "lr_shift": 9, "shifts": SHIFTS,
    }  # fmt: skip
    return Offer(**{**fields, **changes})


def expected(device: DeviceSpec, made: Offer) -> list[int]:
    x, y, _ = datasets.unpack(device.dataset)
    keys = [
        derive_key(made.seed, device.client_id, made.round_num, stream)
        for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING, Stream.CODES)
    ]
    local = train(NETWORK, MODEL, x, y, keys[0], keys[1], made.epochs, made.lr_shift)
    return list(encode(LAYOUT, MODEL, local, made.shifts, made.l2_bound, keys[2]).tolist())


class Run:
    """Host sessions on one side, a body on the other, virtual time between."""

    def __init__(self, specs: list[DeviceSpec], faults: LinkFaults | None = None) -> None:
        self.specs = {device.client_id: device for device in specs}
        self.names = list(self.specs)
        self.body = NumpyBody(specs)
        self.now_s = 0.0
        self.inbox = Inbox()
        self.transport: MemoryTransport | Channel = MemoryTransport(self._exchange)
        if faults is not None:
            self.transport = Channel(self.transport, seed=3, clock=lambda: self.now_s, up=faults, down=faults)
        self.transport.open(self.inbox)
        self.sessions = {
            name: HostSession(name, derive_keys(device.secret), rng=np.random.default_rng(0))
            for name, device in self.specs.items()
        }

    def _exchange(self, frames: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        slots = [(self.names.index(name), frame) for name, frame in frames]
        return [(self.names[slot], frame) for slot, frame in self.body.exchange(slots, int(self.now_s * 1000))]

    def round(self, made: Offer, reboot_after: int | None = None) -> dict[str, Valid]:
        body = encode_offer(made)
        keys = {name: derive_keys(device.secret) for name, device in self.specs.items()}
        context = ValidationContext(made, hashlib.sha256(body).digest(), LAYOUT, frozenset(self.names), keys)
        done: dict[str, Valid] = {}
        for name, session in self.sessions.items():
            self._send(name, session.begin(RoundWork(made.round_num, body, LAYOUT.pack(MODEL)), self.now_s).frames)
        for count in range(20_000):
            if len(done) == len(self.names):
                return done
            if count == reboot_after:
                self.body.reboot(0, 99)
            self.transport.pump()
            arrived = self.inbox.drain(0.0)
            if not arrived:
                self._advance()
            for name, frame in arrived:
                step = self.sessions[name].on_frame(frame, self.now_s)
                self._send(name, step.frames)
                for event in step.events:
                    if isinstance(event, UpdateReceived):
                        outcome = validate(event.data, event.start, name, context)
                        assert isinstance(outcome, Valid), outcome
                        done[name] = outcome
                        conclusion = self.sessions[name].conclude(event.xfer, Verdict.ACCEPTED, Reason.NONE, self.now_s)
                        self._send(name, conclusion.frames)
        pytest.fail(f"the round did not end; {sorted(done)} are done")

    def _advance(self) -> None:
        dues = [session.next_due for session in self.sessions.values() if session.next_due is not None]
        if isinstance(self.transport, Channel) and self.transport.next_due is not None:
            dues.append(self.transport.next_due)
        self.now_s = max(self.now_s, min(dues))
        for name, session in self.sessions.items():
            if session.next_due is not None and session.next_due <= self.now_s:
                self._send(name, session.on_time(self.now_s).frames)

    def _send(self, name: str, frames: tuple[bytes, ...]) -> None:
        for frame in frames:
            self.transport.send(name, frame)


def test_every_slot_sends_the_update_of_the_reference_round_after_round() -> None:
    run = Run([spec(number) for number in range(1, 5)])
    for number in (1, 2):
        made = offer(number)
        for name, valid in run.round(made).items():
            assert valid.codes.tolist() == expected(run.specs[name], made)
            assert valid.manifest.n_samples == len(datasets.unpack(run.specs[name].dataset)[1])
            assert valid.manifest.counter == 1 << 32 | number
    run.body.close()


def test_a_bad_link_changes_nothing_but_the_time() -> None:
    faults = LinkFaults(drop=0.1, duplicate=0.05, reorder=0.1, corrupt=0.05, delay_s=0.01)
    run = Run([spec(1), spec(2)], faults)
    for name, valid in run.round(offer()).items():
        assert valid.codes.tolist() == expected(run.specs[name], offer())
    assert run.now_s > 0.05


@pytest.mark.parametrize("moment", [1, 2, 3, 5, 8, 13, 18])
def test_a_reboot_at_any_moment_gives_the_same_update(moment: int) -> None:
    run = Run([spec(1), spec(2)])
    valid = run.round(offer(), reboot_after=moment)["dev-01"]
    assert valid.codes.tolist() == expected(run.specs["dev-01"], offer())


def test_the_first_exchange_returns_the_banners_and_a_reboot_another() -> None:
    body = NumpyBody([spec(1), spec(2)])
    assert [slot for slot, _ in body.exchange([], 0)] == [0, 1]
    assert body.exchange([], 0) == []
    body.reboot(1, 5)
    assert [slot for slot, _ in body.exchange([], 0)] == [1]


def test_frames_behind_the_one_that_starts_training_are_answered_after_it() -> None:
    """One call with many frames is the same as many calls: what a device that trains in between would do."""
    frames: list[bytes] = []
    together = Run([spec(1)])

    class Tap(NumpyBody):
        def exchange(self, sent: Any, now_ms: int) -> list[tuple[int, bytes]]:
            frames.extend(frame for _, frame in sent)
            return super().exchange(sent, now_ms)

    together.body = Tap([spec(1)])
    together.round(offer())
    one, many = NumpyBody([spec(1)]), NumpyBody([spec(1)])
    singly = many.exchange([], 0)
    for frame in frames:
        singly += many.exchange([(0, frame)], 0)
    assert one.exchange([(0, frame) for frame in frames], 0) == singly


def test_a_device_that_cannot_be_is_refused_with_the_remedy() -> None:
    with pytest.raises(BodyError, match=r"network 'cnn' is none of mlp-64-32-10"):
        NumpyBody([spec(1, network="cnn")])
    with pytest.raises(BodyError, match="3 features and 2 classes does not fit"):
        NumpyBody([spec(1, dataset=datasets.pack(np.zeros((1, 3), int), [1], 2))])


def test_bodies_are_found_by_name_and_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "numpy" in body_names()
    assert load_body("numpy") is NumpyBody
    with pytest.raises(BodyError, match=r"unknown body `abacus`; known: .*numpy"):
        load_body("abacus")

    class Point:
        name = "emulated"

        def load(self) -> object:
            raise ModuleNotFoundError("No module named 'unicorn'", name="unicorn")

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()])
    with pytest.raises(BodyError, match=r"needs unicorn, which is not installed; pip install 'byzantiny\[emulator\]'"):
        load_body("emulated")
