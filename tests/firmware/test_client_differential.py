"""The C client and byzantiny.wire.device answer any frames with the same bytes.

A scripted, hostile host plays random moves, valid and invalid, on both; after every frame the answers must be equal.
The moves know enough of the protocol to get deep: offers are accepted, models trained on, updates pulled.
"""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byzantiny.wire.auth import derive_keys, seal_offer
from byzantiny.wire.codec import decode_frame, encode_frame, encode_offer
from byzantiny.wire.crc import crc32c
from byzantiny.wire.device import DeviceIdentity, DeviceMachine
from byzantiny.wire.messages import (
    PAYLOAD_SIZES,
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
    MetricRequest,
    Ping,
    Reason,
    Receipt,
    ResetNotice,
    Round,
    Start,
    Status,
    Verdict,
)
from byzantiny_firmware.native import NativeBody
from byzantiny_models.errors import LayoutError

SAMPLES = 3
MOVES = 120


def _fits(check, *values):
    try:
        check(*values)
    except LayoutError:
        return False
    return True


class Twins:
    """The same device twice."""

    def __init__(self, rounds, *, max_payload=240, rx_credit=7):
        self.rounds = rounds
        self.spec = rounds.specs(1, SAMPLES, max_payload=max_payload, rx_credit=rx_credit)[0]
        self.native = NativeBody([self.spec])
        self.offers = {}
        self.answers = []
        self.trained = 0
        self.boot(self.spec.boot_id, first=True)

    def boot(self, boot_id, *, first=False):
        if not first:
            self.native.reboot(0, boot_id)
        self.boot_id = boot_id
        banner = [frame for _, frame in self.native.exchange([], 0)]
        hello = decode_frame(banner[0], from_device=True).message
        assert isinstance(hello, Hello)
        layout = self.rounds.LAYOUT
        self.machine = DeviceMachine(
            DeviceIdentity(
                self.spec.client_id, derive_keys(self.spec.secret), self.spec.address, boot_id, self.spec.max_payload,
                self.spec.rx_credit, hello.fw_sha256, hello.build_id, hello.caps, layout.model_bytes, SAMPLES,
                hashlib.sha256(self.spec.dataset).digest(), layout.sha256, layout.model_bytes, layout.d,
                len(layout.tensors), shifts_fit=lambda shifts: _fits(layout.exponents, shifts),
                model_fits=lambda model: _fits(layout.unpack, model),
            )
        )  # fmt: skip
        assert banner == [self.machine.banner()]

    def send(self, frame):
        """One frame to both; their answer, decoded."""
        answers, request = self.machine.on_frame(frame)
        if request is not None:
            work = self.rounds.RoundWork(request.offer.round_num, request.offer_body, request.model)
            codes = self.rounds.expected_codes(self.spec, request.offer, work)
            answers += self.machine.provide(codes, SAMPLES)
            self.trained += 1
        got = [answer for _, answer in self.native.exchange([(0, frame)], 0)]
        assert [a.hex() for a in got] == [a.hex() for a in answers], f"to {frame.hex()}"
        decoded = [decode_frame(answer, from_device=True) for answer in answers]
        self.answers += decoded
        return decoded

    def say(self, message, xfer=0, offset=0, flags=Flag.NONE, address=None):
        address = self.spec.address if address is None else address
        return self.send(encode_frame(Frame(message, address, 0, xfer, offset, flags), to_device=True))

    def open(self, max_payload=None):
        return self.say(HelloAck(1, max_payload or self.spec.max_payload, 32, self.boot_id))

    def push(self, kind, round_num, blob, xfer, chunk=None):
        """A whole object, in order; the last answers."""
        chunk = chunk or self.spec.max_payload
        answers = self.say(Start(round_num, kind, len(blob), chunk, hashlib.sha256(blob).digest()), xfer)
        if not answers or not isinstance(answers[0].message, Ack):
            return answers
        for at in range(answers[0].message.next, len(blob), chunk):
            self.say(Data(blob[at : at + chunk]), xfer, at)
        return self.say(Commit(), xfer)

    def pull(self, start):
        """The device's update, by credits of 5 chunks."""
        blob = bytearray(start.message.total)
        next_ = 0
        while next_ < len(blob):
            for frame in self.say(Ack(next_, 0, 5, Status.OK), start.xfer):
                blob[frame.offset : frame.offset + len(frame.message.payload)] = frame.message.payload
                next_ = frame.offset + len(frame.message.payload)
        assert isinstance(self.say(Ack(next_, 0, 5, Status.OK), start.xfer)[0].message, Commit)
        assert hashlib.sha256(blob).digest() == start.message.sha256
        return bytes(blob)

    def round(self, offer, work):
        """A round as it should go; the update."""
        body = encode_offer(offer)
        self.say(Round(offer.round_num, len(body) + 16, hashlib.sha256(body).digest()))
        sealed = seal_offer(body, derive_keys(self.spec.secret).down)
        receipt = self.push(Kind.OFFER, offer.round_num, sealed, 0x1000 + offer.round_num)[0]
        assert receipt.message.verdict is Verdict.ACCEPTED
        receipt, start = self.push(Kind.MODEL, offer.round_num, work.model, 0x2000 + offer.round_num)
        assert receipt.message.verdict is Verdict.ACCEPTED
        return self.pull(start)


@pytest.mark.parametrize("max_payload", PAYLOAD_SIZES)
def test_a_round_is_the_same_frame_for_frame(rounds, max_payload):
    twins = Twins(rounds, max_payload=max_payload)
    twins.open()
    for number in (1, 2):
        offer, work = rounds.offer_of(number, seed=number, epochs=1, l2_bound=40 * number)
        update = twins.round(offer, work)
        assert (rounds.codes_of(update) == rounds.expected_codes(twins.spec, offer, work)).all()
        twins.say(Receipt(number, Verdict.ACCEPTED, Reason.NONE, hashlib.sha256(update).digest()), 0)
    twins.say(MetricRequest())
    assert twins.trained == 2


def test_the_counter_of_an_update_survives_being_sent_again(rounds):
    twins = Twins(rounds)
    twins.open()
    offer, work = rounds.offer_of(1, epochs=1)
    update = twins.round(offer, work)
    body = encode_offer(offer)
    announcement = Round(1, len(body) + 16, hashlib.sha256(body).digest())
    twins.open()  # renegotiated: the transfer is dropped, the update stays
    start = twins.say(announcement)[0]
    assert twins.pull(start) == update


def test_every_broken_offer_is_refused_by_the_same_name(rounds):
    good, _ = rounds.offer_of(3, epochs=1)
    body = encode_offer(good)
    keys = derive_keys(rounds.specs(1)[0].secret)
    cases = {
        Reason.WRONG_LAYOUT: [replace(good, layout_sha256=bytes(32)), replace(good, model_bytes=4900),
                              replace(good, shifts=(5, 3, 5))],
        Reason.BAD_OFFER: [replace(good, epochs=0), replace(good, lr_shift=3), replace(good, lr_shift=15),
                           replace(good, l2_bound=1 << 20), replace(good, shifts=(5, 3, 5, 13)),
                           replace(good, shifts=(5, 3, 5, -1)), replace(good, shifts=(12, 12, 0, 0))],
    }  # fmt: skip
    bodies = [(encode_offer(offer), reason) for reason, offers in cases.items() for offer in offers]
    bodies += [
        (b"XXXX" + body[4:], Reason.BAD_OFFER),
        (body[:4] + b"\2" + body[5:], Reason.BAD_OFFER),
        (body[:6] + b"\2" + body[7:], Reason.BAD_OFFER),
        (body[:115] + b"\1" + body[116:], Reason.BAD_OFFER),
        (body + bytes(4), Reason.BAD_OFFER),
    ]
    for broken, reason in bodies:
        twins = Twins(rounds)
        twins.open()
        sha = hashlib.sha256(broken).digest()
        twins.say(Round(3, len(broken) + 16, sha))
        receipt = twins.push(Kind.OFFER, 3, seal_offer(broken, keys.down), 9)[0].message
        assert (receipt.verdict, receipt.reason) == (Verdict.REJECTED, reason)
        twins.say(Commit(), 9)
        twins.say(Round(3, len(broken) + 16, sha))
    twins = Twins(rounds)
    twins.open()
    twins.say(Round(4, len(body) + 16, hashlib.sha256(body).digest()))
    assert twins.push(Kind.OFFER, 4, seal_offer(body, keys.down), 9)[0].message.reason is Reason.WRONG_ROUND
    twins.say(Round(3, len(body) + 16, bytes(32)))
    assert twins.push(Kind.OFFER, 3, seal_offer(body, keys.down), 9)[0].message.reason is Reason.UNKNOWN_OFFER
    assert twins.push(Kind.OFFER, 3, seal_offer(body, keys.up), 9)[0].message.reason is Reason.BAD_TAG


def _with_model(rounds, model):
    """The offer and the work of a round that starts from these bytes."""
    offer, _ = rounds.offer_of(1, epochs=1)
    offer = replace(offer, model_sha256=hashlib.sha256(model).digest(), model_bytes=len(model))
    return offer, rounds.RoundWork(1, encode_offer(offer), model)


@pytest.mark.parametrize("value", [32513, -32513, 1 << 24])
def test_a_model_beyond_its_format_is_refused_and_forgotten(rounds, value):
    model = bytearray(rounds.NETWORK.layout.model_bytes)
    if abs(value) < 1 << 15:
        model[0:2] = value.to_bytes(2, "little", signed=True)
    else:
        model[4096:4100] = value.to_bytes(4, "little", signed=True)
    offer, work = _with_model(rounds, bytes(model))
    twins = Twins(rounds)
    twins.open()
    body = encode_offer(offer)
    announcement = Round(1, len(body) + 16, hashlib.sha256(body).digest())
    twins.say(announcement)
    twins.push(Kind.OFFER, 1, seal_offer(body, derive_keys(twins.spec.secret).down), 5)
    receipt = twins.push(Kind.MODEL, 1, work.model, 6)[0].message
    assert (receipt.verdict, receipt.reason) == (Verdict.REJECTED, Reason.MALFORMED)
    again = twins.say(Start(1, Kind.MODEL, len(model), 240, hashlib.sha256(model).digest()), 7)[0].message
    assert again.next == 0
    assert twins.trained == 0


def test_a_held_model_of_another_hash_is_forgotten_at_start(rounds):
    twins = Twins(rounds)
    twins.open()
    first, work = rounds.offer_of(1, epochs=1, model_seed=1)
    twins.round(first, work)
    other, other_work = rounds.offer_of(2, epochs=1, model_seed=2)
    back, _ = rounds.offer_of(3, epochs=1, model_seed=1)
    keys = derive_keys(twins.spec.secret)
    for offer, model in ((other, other_work.model), (back, work.model)):
        body = encode_offer(offer)
        twins.say(Round(offer.round_num, len(body) + 16, hashlib.sha256(body).digest()))
        twins.push(Kind.OFFER, offer.round_num, seal_offer(body, keys.down), 50 + offer.round_num)
        sha = hashlib.sha256(model).digest()
        ack = twins.say(Start(offer.round_num, Kind.MODEL, len(model), 240, sha), 60 + offer.round_num)[0].message
        assert ack.next == 0


class HostileHost:
    """Random moves; `play` makes one."""

    def __init__(self, rounds, seed):
        self.rng = random.Random(seed)
        self.rounds = rounds
        payload = self.rng.choice(PAYLOAD_SIZES[:4])
        self.twins = Twins(rounds, max_payload=payload, rx_credit=self.rng.choice((1, 2, 7, 32, 65535)))
        self.keys = derive_keys(self.twins.spec.secret)
        self.payload = payload
        self.offer, self.work = rounds.offer_of(1, epochs=1)
        self.blob, self.kind, self.xfer, self.chunk = b"", Kind.OFFER, 1, payload
        self.moves = (
            (6, self.open), (2, self.greet), (1, self.reset_notice), (1, self.reboot), (3, self.next_offer),
            (8, self.announce), (8, self.start), (14, self.data), (5, self.commit), (8, self.ack), (2, self.end),
            (6, self.deliver), (4, self.corrupt), (2, self.garbage), (2, self.count),
        )  # fmt: skip

    def play(self):
        moves = self.moves
        self.rng.choices([move for _, move in moves], [weight for weight, _ in moves])[0]()

    def any(self, usual, *others):
        """Mostly the usual value."""
        return usual if self.rng.random() < 0.8 else self.rng.choice(others)

    def open(self):
        payload = self.any(self.payload, *PAYLOAD_SIZES, 65, 0)
        message = HelloAck(
            self.any(1, 0, 2), payload, self.any(32, 0, 1), self.any(self.twins.boot_id, 1, self.twins.boot_id + 1)
        )
        if isinstance(self.twins.say(message)[0].message, HelloAck):
            self.chunk = payload

    def greet(self):
        self.twins.say(self.any(HelloRequest(), Ping(self.rng.getrandbits(32))), address=self.any(1, 65535))

    def reset_notice(self):
        self.twins.say(ResetNotice())

    def reboot(self):
        self.twins.boot(self.rng.getrandbits(32))

    def next_offer(self):
        number = max(1, self.offer.round_num + self.any(1, 0, 2, -1))
        self.offer, self.work = self.rounds.offer_of(
            number, seed=self.rng.getrandbits(64), epochs=self.any(1, 2, 0), lr_shift=self.any(9, 4, 14, 15),
            base=self.rng.randrange(3, 10), l2_bound=self.any(0, 25, 1000), model_seed=self.any(1, 2),
        )  # fmt: skip
        if self.rng.random() < 0.1:
            self.offer = replace(self.offer, shifts=tuple(self.rng.randrange(13) for _ in self.offer.shifts))

    @property
    def body(self):
        return encode_offer(self.offer)

    def announce(self):
        body = self.body
        self.twins.say(
            Round(
                self.any(self.offer.round_num, self.offer.round_num + 1),
                self.any(len(body) + 16, 0, 135, 164, 165, 2**32 - 1),
                self.any(hashlib.sha256(body).digest(), bytes(32)),
            )
        )

    def start(self):
        self.kind = self.rng.choice((Kind.OFFER, Kind.MODEL))
        self.blob = seal_offer(self.body, self.keys.down) if self.kind == Kind.OFFER else self.work.model
        if self.rng.random() < 0.1:
            self.blob = self.blob[:-1] + bytes([self.blob[-1] ^ 1])
        if self.rng.random() < 0.05:  # a bias beyond its format, in a model that the offer names
            self.work = replace(self.work, model=self.work.model[:-1] + b"\x7f")
            self.offer = replace(self.offer, model_sha256=hashlib.sha256(self.work.model).digest())
        self.xfer = self.any(self.xfer, self.rng.randrange(1, 2**32))
        chunk = self.any(self.chunk, 0, 1, 64, 100, 241, 4096, 2**32 - 1)
        answers = self.twins.say(
            Start(
                self.any(self.offer.round_num, 0, self.offer.round_num + 1),
                self.any(self.kind, Kind.UPDATE, Kind.DATASET, Kind.OFFER),
                self.any(len(self.blob), 0, 1, len(self.blob) + 1, 2**32 - 1),
                chunk,
                self.any(hashlib.sha256(self.blob).digest(), hashlib.sha256(self.work.model).digest(), bytes(32)),
            ),
            self.xfer,
        )
        if answers and isinstance(answers[0].message, Ack):
            self.chunk = chunk

    def data(self):
        chunk = max(1, min(self.chunk, self.payload))
        count = max(1, -(-len(self.blob) // chunk))
        first = self.rng.randrange(count)
        for index in range(first, min(count, first + self.rng.choice((1, 2, 40)))):
            if self.rng.random() < 0.1:
                continue
            at = self.any(index * chunk, index * chunk + 1, 2**32 - 1, 40 * chunk)
            piece = self.blob[index * chunk : (index + 1) * chunk] or b"x"
            piece = self.any(piece, piece[:-1] or b"y", piece + b"z", bytes(self.rng.randrange(1, 600)))
            flags = self.any(Flag.NONE, Flag.ACK_REQ, Flag.LAST, Flag.ACK_REQ | Flag.LAST)
            self.twins.say(Data(piece), self.any(self.xfer, 5), at, flags)

    def commit(self):
        self.twins.say(Commit(), self.any(self.xfer, 5))

    def deliver(self):
        """An object as it should be: without this, hardly any script would get to train."""
        self.twins.open(self.payload)
        body = self.body
        self.chunk = self.payload
        answer = self.twins.say(Round(self.offer.round_num, len(body) + 16, hashlib.sha256(body).digest()))[0].message
        sealed = seal_offer(body, self.keys.down)
        self.xfer = self.rng.randrange(1, 2**32)
        if isinstance(answer, Ack) and answer.status == Status.NEED_OFFER:
            self.twins.push(Kind.OFFER, self.offer.round_num, sealed, self.xfer)
        elif isinstance(answer, Ack):
            self.twins.push(Kind.MODEL, self.offer.round_num, self.work.model, self.xfer)

    def last_start(self):
        starts = [frame for frame in self.twins.answers[-200:] if isinstance(frame.message, Start)]
        return starts[-1] if starts else None

    def ack(self):
        start = self.last_start()
        xfer = start.xfer if start and self.rng.random() < 0.9 else 77
        total, chunk = (start.message.total, start.message.chunk) if start else (1000, 64)
        next_ = self.rng.choice((0, chunk, total, total // chunk * chunk, total + 1, 1, 2**32 - 1))
        self.twins.say(
            Ack(next_, self.any(0, self.rng.getrandbits(32)), self.any(32, 0, 1, 65535),
                self.any(Status.OK, Status.NEED_MODEL)), xfer
        )  # fmt: skip

    def end(self):
        start = self.last_start()
        xfer = self.rng.choice((start.xfer if start else 3, self.xfer, 99))
        self.twins.say(
            self.rng.choice((Abort(Status.OK), Abort(Status.UNSUPPORTED),
                             Receipt(1, Verdict.STALE, Reason.NONE, bytes(32)))), xfer
        )  # fmt: skip

    def corrupt(self):
        """A frame with one thing wrong, and mostly a CRC that is right."""
        message, xfer = self.rng.choice(
            ((Ping(1), 0), (Start(1, Kind.MODEL, 1, 64, bytes(32)), 4), (Data(b"abc"), 4), (Commit(), 4),
             (Ack(0, 0, 1, Status.OK), 4), (Abort(Status.OK), 4), (Round(1, 136, bytes(32)), 0), (HelloRequest(), 0),
             (HelloAck(1, 240, 1, 1), 0), (Receipt(1, Verdict.ACCEPTED, Reason.NONE, bytes(32)), 4))
        )  # fmt: skip
        frame = bytearray(encode_frame(Frame(message, 1, 0, xfer), to_device=True)[:-4])
        for _ in range(self.rng.randrange(1, 3)):
            frame[self.rng.randrange(len(frame))] ^= 1 << self.rng.randrange(8)
        if self.rng.random() < 0.2:
            frame.append(0)
        crc = crc32c(bytes(frame)) ^ self.any(0, 1)
        self.twins.send(bytes(frame) + struct.pack("<I", crc))

    def garbage(self):
        self.twins.send(self.rng.randbytes(self.rng.choice((0, 1, 19, 20, 21, 148, 149, 260, 261, 5000))))

    def count(self):
        self.twins.say(MetricRequest())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_any_frames_are_answered_with_the_same_bytes(rounds, seed):
    host = HostileHost(rounds, seed)
    for _ in range(MOVES):
        host.play()


def test_the_hostile_host_gets_deep(rounds):
    trained = sent = 0
    for seed in range(16):
        host = HostileHost(rounds, seed)
        for _ in range(MOVES):
            host.play()
        trained += host.twins.trained
        sent += sum(isinstance(frame.message, Data) for frame in host.twins.answers)
    assert trained >= 8
    assert sent >= 100


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_any_frames_are_answered_with_the_same_bytes_for_long(rounds):
    for seed in range(3000):
        host = HostileHost(rounds, seed + 10**6)
        for _ in range(MOVES):
            host.play()
