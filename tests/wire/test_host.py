"""The host's session against devices that misbehave, and its timers."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import decode_frame, encode_frame
from byzantiny.wire.device import DeviceMachine
from byzantiny.wire.host import (
    Greeted,
    HostSession,
    LogLine,
    Metrics,
    OfferAccepted,
    Refused,
    Silent,
    UpdateReceived,
)
from byzantiny.wire.messages import (
    Abort,
    Ack,
    Commit,
    Data,
    Flag,
    Frame,
    Hello,
    HelloAck,
    HelloRequest,
    Kind,
    Log,
    Metric,
    Reason,
    Receipt,
    Reject,
    ResetNotice,
    ResetReason,
    Round,
    Start,
    Status,
    Verdict,
)
from byzantiny.wire.pacing import Backoff, LinkQuality

HELLO = Hello(1, 1, 240, "dev-01", bytes(8), 1, 1, 9, 7, 32, ResetReason.POWER_ON, 60, bytes(32))


class Desk:
    """A session on the desk: messages in, messages out."""

    def __init__(self, **options) -> None:
        options = {"address": 3, "rng": np.random.default_rng(1), **options}
        self.session = HostSession("dev-01", derive_keys(bytes(range(32))), **options)
        self.events: list = []
        self.now = 0.0

    def _took(self, step) -> list:
        self.events += step.events
        self.frames = [decode_frame(raw, from_device=False) for raw in step.frames]
        return [f.message for f in self.frames]

    def begin(self, work) -> list:
        self.work = work
        return self._took(self.session.begin(work, self.now))

    def put(self, message, xfer=0, offset=0, flags=Flag.NONE) -> list:
        raw = encode_frame(Frame(message, 3, 0, xfer, offset, flags), to_device=False)
        return self._took(self.session.on_frame(raw, self.now))

    def wait(self) -> list:
        self.now = self.session.next_due
        return self._took(self.session.on_time(self.now))

    def to_round(self, work) -> list:
        assert self.begin(work) == [HelloRequest()]
        (terms,) = self.put(HELLO)
        return self.put(terms)

    def conclude(self, *args) -> list:
        return self._took(self.session.conclude(*args, self.now))


@pytest.fixture
def desk():
    return Desk()


def update_of(work, d: int = 610) -> bytes:
    return random.Random(work.round_num).randbytes(128 + d)


def start_of(work, blob: bytes, chunk: int = 240) -> Start:
    return Start(work.round_num, Kind.UPDATE, len(blob), chunk, hashlib.sha256(blob).digest())


def send_update(desk, work, blob: bytes, xfer: int = 5) -> list:
    desk.put(start_of(work, blob), xfer)
    for offset in range(0, len(blob), 240):
        desk.put(Data(blob[offset : offset + 240]), xfer, offset, Flag.ACK_REQ)
    return desk.put(Commit(), xfer)


def test_negotiation_takes_the_smaller_maximum(work) -> None:
    desk = Desk(max_payload=4096, credit=9)
    desk.begin(work())
    assert desk.put(HELLO) == [HelloAck(1, 240, 9, 7)]
    assert isinstance(desk.put(HelloAck(1, 240, 9, 7))[0], Round)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"device_id": "dev-02"}, Reason.WRONG_DEVICE), ({"proto_min": 2, "proto_max": 3}, Status.UNSUPPORTED),
     ({"max_payload": 63}, Status.BAD_LENGTH)],
)  # fmt: skip
def test_devices_it_cannot_talk_to_are_refused_by_name(desk, work, changes, cause) -> None:
    desk.begin(work())
    assert desk.put(replace(HELLO, **changes)) == []
    assert desk.events == [Refused(cause, "hello")]
    assert desk.session.next_due is None


def test_a_stale_round_is_refused_at_once(desk, work) -> None:
    desk.to_round(work())
    assert desk.put(Ack(0, 0, 32, Status.STALE_ROUND)) == []
    assert desk.events[-1] == Refused(Status.STALE_ROUND, "round")
    assert desk.session.next_due is None


def test_a_rejected_offer_is_refused_with_its_reason(desk, work) -> None:
    desk.to_round(work())
    (start,) = desk.put(Ack(0, 0, 32, Status.NEED_OFFER))
    xfer = desk.frames[0].xfer
    assert desk.put(Receipt(1, Verdict.REJECTED, Reason.BAD_TAG, start.sha256), xfer) == []
    assert desk.events[-1] == Refused(Reason.BAD_TAG, "offer")


def test_a_mishap_is_tried_again_and_the_last_time_behind_a_reset(desk, work) -> None:
    desk.to_round(work())
    sent = []
    for _ in range(4):
        (start,) = desk.put(Ack(0, 0, 32, Status.NEED_OFFER))
        answer = desk.put(Receipt(1, Verdict.REJECTED, Reason.BAD_HASH, start.sha256), desk.frames[0].xfer)
        sent.append([type(m) for m in answer])
        if answer == [ResetNotice()]:
            (terms,) = desk.put(HELLO)
            desk.put(terms)
    assert sent == [[Round], [Round], [ResetNotice], []]
    assert desk.events[-1] == Refused(Reason.BAD_HASH, "offer")


def test_an_unknown_transfer_leads_back_to_round_without_an_event(desk, work) -> None:
    desk.to_round(work())
    desk.put(Ack(0, 0, 32, Status.NEED_OFFER))
    before = list(desk.events)
    assert isinstance(desk.put(Abort(Status.UNKNOWN_TRANSFER), desk.frames[0].xfer)[0], Round)
    assert desk.events == before


def test_the_verdict_waits_and_is_repeated(desk, work) -> None:
    desk.to_round(work())
    blob = update_of(desk.work)
    assert send_update(desk, desk.work, blob) == []
    assert desk.events[-1] == UpdateReceived(5, start_of(desk.work, blob), blob)
    assert desk.session.next_due is None
    assert desk.put(Commit(), 5) == [], "no verdict yet"
    receipt = Receipt(1, Verdict.ACCEPTED, Reason.NONE, hashlib.sha256(blob).digest())
    assert desk.conclude(5, Verdict.ACCEPTED, Reason.NONE) == [receipt]
    assert desk.put(Commit(), 5) == [receipt]
    (ack,) = desk.put(start_of(desk.work, blob), 6)
    assert ack.next == len(blob), "the same object under another id is not sent again"
    assert desk.put(Commit(), 6) == [receipt]
    assert [type(e) for e in desk.events].count(UpdateReceived) == 1


def test_a_receipt_goes_to_the_id_the_device_uses_now(desk, work) -> None:
    desk.to_round(work())
    blob = update_of(desk.work)
    send_update(desk, desk.work, blob)
    desk.put(start_of(desk.work, blob), 6)
    assert desk.put(Commit(), 6) == []
    desk.conclude(5, Verdict.DUPLICATE, Reason.NONE)
    assert desk.frames[0].xfer == 6


def test_another_update_of_the_same_round_is_reported_too(desk, work) -> None:
    """Which of them counts is for the ledger, not for the link."""
    desk.to_round(work())
    send_update(desk, desk.work, b"a" * 738, 5)
    desk.conclude(5, Verdict.ACCEPTED, Reason.NONE)
    send_update(desk, desk.work, b"b" * 738, 6)
    assert [e.data[:1] for e in desk.events if isinstance(e, UpdateReceived)] == [b"a", b"b"]
    assert desk.conclude(6, Verdict.CONFLICT, Reason.NONE)[0].verdict is Verdict.CONFLICT


def test_an_update_with_a_wrong_hash_never_reaches_the_coordinator(desk, work) -> None:
    desk.to_round(work())
    start = Start(1, Kind.UPDATE, 200, 240, bytes(32))
    desk.put(start, 5)
    desk.put(Data(bytes(200)), 5, 0, Flag.ACK_REQ)
    answer = desk.put(Commit(), 5)
    assert answer[0] == Receipt(1, Verdict.REJECTED, Reason.BAD_HASH, bytes(32))
    assert isinstance(answer[1], Round)
    assert not any(isinstance(e, UpdateReceived) for e in desk.events)


@pytest.mark.parametrize(
    ("kind", "total", "chunk", "status"),
    [(Kind.MODEL, 700, 240, Status.WRONG_KIND), (Kind.UPDATE, 2**32 - 1, 240, Status.BAD_LENGTH),
     (Kind.UPDATE, 128, 240, Status.BAD_LENGTH), (Kind.UPDATE, 779, 240, Status.BAD_LENGTH),
     (Kind.UPDATE, 700, 0, Status.BAD_LENGTH), (Kind.UPDATE, 700, 241, Status.BAD_LENGTH)],
)  # fmt: skip
def test_claims_of_impossible_updates_take_no_memory(desk, work, kind, total, chunk, status) -> None:
    desk.to_round(work())
    assert desk.put(Start(1, kind, total, chunk, bytes(32)), 5)[0] == Abort(status)
    assert desk.session._intake.xfer is None


def test_before_any_round_nothing_is_received(desk) -> None:
    assert desk.put(Start(1, Kind.UPDATE, 200, 64, bytes(32)), 5) == [Abort(Status.NO_OFFER)]
    assert desk.put(HELLO) == []
    assert desk.events == [Greeted(HELLO)]


def test_many_updates_before_any_verdict_are_bounded_and_harmless(desk, work) -> None:
    desk.to_round(work())
    for n in range(30):
        send_update(desk, desk.work, bytes([n]) * 200, 100 + n)
    for n in range(30):
        desk.conclude(100 + n, Verdict.CONFLICT, Reason.NONE)
    assert len(desk.session._intake._records) <= 8


def test_an_echo_of_other_terms_opens_nothing(desk, work) -> None:
    desk.begin(work())
    desk.put(HELLO)
    assert desk.put(HelloAck(1, 64, 32, 7)) == []
    assert isinstance(desk.put(HelloAck(1, 240, 32, 7))[0], Round)


def test_a_receipt_of_another_object_ends_nothing(desk, work) -> None:
    desk.to_round(work())
    (start,) = desk.put(Ack(0, 0, 32, Status.NEED_OFFER))
    xfer = desk.frames[0].xfer
    assert desk.put(Receipt(1, Verdict.ACCEPTED, Reason.NONE, bytes(32)), xfer) == []
    assert desk.put(Receipt(1, Verdict.ACCEPTED, Reason.NONE, start.sha256), xfer + 1 & 0xFFFFFFFF or 1) == []
    assert not any(isinstance(e, OfferAccepted) for e in desk.events)


def test_duplicates_of_data_are_not_acknowledged(desk, work) -> None:
    """The device answers each ACK with a burst: an ACK for each duplicate would double the traffic every time."""
    desk.to_round(work())
    blob = update_of(desk.work)
    desk.put(start_of(desk.work, blob), 5)
    assert len(desk.put(Data(blob[:240]), 5, 0, Flag.ACK_REQ)) == 1
    assert desk.put(Data(blob[:240]), 5, 0, Flag.ACK_REQ) == []
    assert desk.wait() == [Ack(240, 0, 32, Status.OK)], "the timer asks again"


class Nagging:
    """Devices that answer every frame so as to get another one."""

    def __init__(self, work, desk) -> None:
        self.work, self.desk, self.n = work, desk, 0

    def hello(self, m):
        return [(m, 0)] if isinstance(m, HelloAck) else [(HELLO, 0)]

    def reboots(self, m):
        self.n += 1
        return [(replace(HELLO, boot_id=self.n), 0)]

    def aborts(self, m):
        return self._polite(m) or [(Abort(Status.UNKNOWN_TRANSFER), self.xfer)]

    def starts(self, m):
        return self._open(m) or [(start_of(self.work, update_of(self.work)), 5)]

    def new_starts(self, m):
        self.n += 1
        return self._open(m) or [(start_of(self.work, self.n.to_bytes(200, "little")), 5)]

    def commits_too_early(self, m):
        return self._open(m) or [(start_of(self.work, update_of(self.work)), 5), (Commit(), 5)]

    def commits_without_end(self, m):
        if isinstance(m, Ack) and m.next == 0:
            return [(Data(bytes(200)), 5)]
        if isinstance(m, Ack | Receipt):
            return [(Commit(), 5)]
        return self._open(m) or [(start_of(self.work, bytes(200)), 5)]

    def new_updates(self, m):
        if isinstance(m, Ack) and m.next == 0:
            return [(Data(self.blob), 5), (Commit(), 5)]
        self.n += 1
        self.blob = self.n.to_bytes(200, "little")
        return self._open(m) or [(start_of(self.work, self.blob), 5)]

    def strange_data(self, m):
        return self._open(m) or [(Data(b"x"), 77)]

    def forgets_chunks(self, m):
        self.n += 1
        return self._polite(m) or [(Ack(0, self.n % 2 << 1, 32, Status.OK), self.xfer)]

    def accepts_for_ever(self, m):
        if isinstance(m, Start):
            self.start = m
            return [
                (Receipt(1, Verdict.ACCEPTED, Reason.NONE, m.sha256), self.xfer),
                (Ack(0, 0, 32, Status.NEED_OFFER), 0),
            ]
        return self._polite(m)

    def impossible_acks(self, m):
        return self._polite(m) or [(Ack(1, 0, 1, Status.OK), self.xfer)]

    def _open(self, m):
        return (
            [(HELLO, 0)] if isinstance(m, HelloRequest | ResetNotice) else [(m, 0)] if isinstance(m, HelloAck) else []
        )

    def _polite(self, m):
        return self._open(m) or ([(Ack(0, 0, 32, Status.NEED_OFFER), 0)] if isinstance(m, Round) else [])


@pytest.mark.parametrize("habit", [name for name in vars(Nagging) if not name.startswith("_")])
def test_no_device_holds_the_host_in_a_loop(work, habit: str) -> None:
    """With time standing still the host falls silent; with time passing it goes on, once per retransmission time."""
    desk = Desk()
    nagging = Nagging(work(), desk)
    waiting = [(m, 0) for m in desk.begin(nagging.work)]
    said = 0
    while waiting:
        message, nagging.xfer = waiting.pop(0)
        for answer, xfer in getattr(nagging, habit)(message):
            flags = Flag.ACK_REQ if isinstance(answer, Data) else Flag.NONE
            desk.put(answer, xfer, 0, flags)
            waiting += [(f.message, f.xfer) for f in desk.frames]
            for event in [e for e in desk.events if isinstance(e, UpdateReceived)]:
                desk.events.remove(event)
                desk.conclude(event.xfer, Verdict.CONFLICT, Reason.NONE)
                waiting += [(f.message, f.xfer) for f in desk.frames]
        said += 1
        assert said < 1000


def test_any_bytes_are_counted_and_never_raise(desk, work) -> None:
    desk.to_round(work())
    rng = random.Random(0)
    for _ in range(300):
        step = desk.session.on_frame(rng.randbytes(rng.randrange(60)), 0.0)
        assert step.frames == step.events == ()
    assert sum(desk.session.stats.rejects) == 300
    assert desk.session.stats.rejects[Reject.SIZE] > 0


def test_log_lines_and_counters_are_passed_on(desk) -> None:
    metric = Metric((0,) * 9, 1, 2, 3, 4)
    assert desk.put(Log("hello")) == desk.put(metric) == []
    assert desk.events == [LogLine("hello"), Metrics(metric)]


def test_retransmissions_double_to_two_seconds_with_jitter(desk, work) -> None:
    desk.begin(work())
    times = [0.0]
    for _ in range(12):
        desk.wait()
        times.append(desk.now)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    for gap, base in zip(gaps, [0.25, 0.5, 1.0, 2.0, *[2.0] * 8], strict=True):
        assert 0.8 * base <= gap <= 1.2 * base
    assert len({round(gap / 2, 6) for gap in gaps[3:]}) > 5, "jitter"
    assert desk.events == [Silent()]
    assert desk.session.stats.frames_resent == 12


def test_retransmission_time_of_a_serial_line_covers_what_is_under_way() -> None:
    backoff = Backoff(0.25, 115_200, np.random.default_rng(0))
    for outstanding in (0, 100, 8000, 40_000):
        base = 2 * outstanding * 10 / 115_200 + 0.04
        assert 0.8 * base <= backoff.delay_s(outstanding) <= 1.2 * base


def test_quality_falls_and_recovers_within_the_sizes() -> None:
    quality = LinkQuality(240)
    for _ in range(192):
        quality.record(again=True)
    assert quality.payload == 64
    for _ in range(127):
        quality.record(again=False)
    assert quality.payload == 64
    quality.record(again=False)
    assert quality.payload == 128
    for _ in range(500):
        quality.record(again=False)
    assert quality.payload == 240
    with pytest.raises(ValueError, match="64"):
        LinkQuality(63)


def test_a_tenth_of_resent_frames_is_borne() -> None:
    quality = LinkQuality(240)
    for n in range(320):
        quality.record(again=n % 11 == 0)
    assert quality.payload == 240


def test_a_relay_of_both_machines_passes_a_round(identity, work, world, codes_of) -> None:
    """The same offer body, twice: a session towards the body, a machine with the device's keys towards the coordinator."""
    w = world(max_payload=4096, host_payload=4096)
    relay = DeviceMachine(identity(boot_id=9, max_payload=4096))
    inner = HostSession(
        "dev-01", derive_keys(bytes(range(32))), address=3, max_payload=240, rng=np.random.default_rng(0)
    )
    body = DeviceMachine(identity(boot_id=10))
    outer = w.session
    outer.on_frame(relay.banner(), 0.0)
    down = list(outer.begin(work(), 0.0).frames)
    received: list[bytes] = []
    while down:
        up, request = relay.on_frame(down.pop(0))
        if request is not None:
            up += relay.provide(
                bytes(reversed(honest(inner, body, request, codes_of))), 60, offer_body=request.offer_body
            )
        for frame in up:
            step = outer.on_frame(frame, 0.0)
            down += step.frames
            received += [e.data for e in step.events if isinstance(e, UpdateReceived)]
    assert len(received) == 1


def honest(inner: HostSession, body: DeviceMachine, request, codes_of) -> bytes:
    """What the relay's own body makes of the request, through the wire."""
    from byzantiny.wire.codec import split_update
    from byzantiny.wire.host import RoundWork

    down = list(inner.begin(RoundWork(request.offer.round_num, request.offer_body, request.model), 0.0).frames)
    while down:
        up, due = body.on_frame(down.pop(0))
        if due is not None:
            up += body.provide(codes_of(due), 60)
        for frame in up:
            step = inner.on_frame(frame, 0.0)
            down += step.frames
            for event in step.events:
                if isinstance(event, UpdateReceived):
                    return split_update(event.data).codes
    raise AssertionError("the body has not answered")
