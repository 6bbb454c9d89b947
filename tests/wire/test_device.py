"""The device, row by row of docs/wire.md 5, and under whatever frames come."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.wire.auth import seal_offer, verify
from byzantiny.wire.codec import decode_frame, encode_frame, split_update
from byzantiny.wire.device import DeviceMachine
from byzantiny.wire.identity import transfer_id
from byzantiny.wire.messages import (
    BROADCAST,
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
    Metric,
    MetricRequest,
    Ping,
    Reason,
    Receipt,
    Reject,
    ResetNotice,
    Round,
    Start,
    Status,
    Verdict,
)


class Bench:
    """A device on the bench: messages in, messages out."""

    def __init__(self, identity) -> None:
        self.identity = identity
        self.machine = DeviceMachine(identity)
        self.request = None

    def put(self, message, xfer=0, offset=0, flags=Flag.NONE, address=None) -> list:
        frame = Frame(message, self.identity.address if address is None else address, 0, xfer, offset, flags)
        frames, request = self.machine.on_frame(encode_frame(frame, to_device=True))
        self.request = request or self.request
        self.frames = [decode_frame(raw, from_device=True) for raw in frames]
        assert all(f.address == self.identity.address for f in self.frames)
        return [f.message for f in self.frames]

    def open(self, max_payload=None) -> None:
        terms = HelloAck(1, max_payload or self.identity.max_payload, 32, self.identity.boot_id)
        assert self.put(terms) == [terms]

    def push(self, kind, round_num, blob, xfer, digest=None) -> list:
        digest = digest or hashlib.sha256(blob).digest()
        answer = self.put(Start(round_num, kind, len(blob), 64, digest), xfer)
        if not isinstance(answer[0], Ack):
            return answer
        for offset in range(answer[0].next, len(blob), 64):
            self.put(Data(blob[offset : offset + 64]), xfer, offset)
        return self.put(Commit(), xfer)

    def announce(self, work) -> list:
        digest = hashlib.sha256(work.offer_body).digest()
        return self.put(Round(work.round_num, len(work.offer_body) + 16, digest))

    def offer(self, work, xfer=1) -> list:
        self.announce(work)
        return self.push(Kind.OFFER, work.round_num, seal_offer(work.offer_body, self.identity.keys.down), xfer)

    def model(self, work, xfer=2) -> list:
        return self.push(Kind.MODEL, work.round_num, work.model, xfer)


@pytest.fixture
def bench(identity):
    b = Bench(identity())
    b.open()
    return b


def statuses(messages) -> list[Status]:
    return [m.status for m in messages]


def test_a_closed_session_answers_hello_to_everything_but_the_probes(identity) -> None:
    b = Bench(identity())
    for message, xfer in [(HelloRequest(), 0), (ResetNotice(), 0), (Round(1, 136, bytes(32)), 0),
                          (Data(b"x"), 5), (Commit(), 5), (Ack(0, 0, 1, Status.OK), 5), (Abort(Status.OK), 5),
                          (Start(1, Kind.MODEL, 9, 9, bytes(32)), 5)]:  # fmt: skip
        assert [type(m) for m in b.put(message, xfer)] == [Hello]
    assert b.put(Ping(9)) == [Ping(9)]
    assert isinstance(b.put(MetricRequest())[0], Metric)
    assert isinstance(b.put(HelloRequest(), address=BROADCAST)[0], Hello)


@pytest.mark.parametrize(
    "terms",
    [HelloAck(2, 240, 32, 77), HelloAck(1, 240, 32, 78), HelloAck(1, 512, 32, 77), HelloAck(1, 100, 32, 77),
     HelloAck(1, 240, 0, 77)],
)  # fmt: skip
def test_terms_it_cannot_accept_leave_the_session_as_it_was(identity, terms: HelloAck) -> None:
    b = Bench(identity())
    assert isinstance(b.put(terms)[0], Hello)
    assert isinstance(b.put(Round(1, 136, bytes(32)))[0], Hello), "still closed"
    b.open()
    assert isinstance(b.put(terms)[0], Hello)
    assert isinstance(b.put(Round(1, 136, bytes(32)))[0], Ack), "still open"


def test_a_round_from_announcement_to_update(bench, work, codes_of) -> None:
    w = work()
    assert statuses(bench.announce(w)) == [Status.NEED_OFFER]
    assert bench.offer(w)[0].verdict is Verdict.ACCEPTED
    assert statuses(bench.announce(w)) == [Status.NEED_MODEL]
    assert bench.model(w)[0].verdict is Verdict.ACCEPTED
    assert (bench.request.model, bench.request.offer_body) == (w.model, w.offer_body)
    assert statuses(bench.announce(w)) == [Status.OK], "it trains"
    codes = codes_of(bench.request)
    (raw,) = bench.machine.provide(codes, 60)
    start = decode_frame(raw, from_device=True)
    assert bench.announce(w) == [start.message]
    assert bench.frames[0].xfer == start.xfer == transfer_id(1, 77, 3)
    burst = bench.put(Ack(0, 0, 32, Status.OK), start.xfer)
    blob = b"".join(m.payload for m in burst)
    assert hashlib.sha256(blob).digest() == start.message.sha256
    assert bench.frames[-1].flags == Flag.LAST | Flag.ACK_REQ
    assert bench.put(Ack(len(blob), 0, 32, Status.OK), start.xfer) == [Commit()]
    parts = split_update(blob)
    assert verify(bench.identity.keys.up, parts.manifest_bytes, parts.tag)
    assert parts.codes == codes
    assert parts.manifest.counter == 77 << 32 | 1
    assert bench.put(Receipt(1, Verdict.ACCEPTED, Reason.NONE, start.message.sha256), start.xfer) == []
    (again,) = bench.announce(w)
    assert again == start.message
    assert bench.frames[0].xfer == transfer_id(2, 77, 3), "a new transfer of the same object"


def test_older_rounds_are_stale_and_newer_ones_drop_the_update(bench, work, codes_of) -> None:
    bench.offer(work(5))
    bench.model(work(5))
    bench.machine.provide(codes_of(bench.request), 60)
    assert statuses(bench.announce(work(4))) == [Status.STALE_ROUND]
    assert isinstance(bench.announce(work(5))[0], Start)
    xfer = bench.frames[0].xfer
    assert bench.offer(work(6), 7)[0].verdict is Verdict.ACCEPTED
    assert bench.put(Ack(0, 0, 32, Status.OK), xfer) == [Abort(Status.UNKNOWN_TRANSFER)]
    assert statuses(bench.announce(work(6))) == [Status.NEED_MODEL]


def test_the_offer_once_more_keeps_the_update_and_the_model_once_more_does_not_train_again(
    bench, work, codes_of
) -> None:
    w = work()
    bench.offer(w)
    bench.model(w)
    first = bench.request
    assert [type(m) for m in bench.model(w, 3)] == [Receipt], "it trains already"
    assert bench.request is first
    bench.machine.provide(codes_of(first), 60)
    bench.offer(w, 4)
    assert [type(m) for m in bench.model(w, 5)] == [Receipt, Start]
    assert bench.request is first


def test_codes_of_an_offer_that_has_been_replaced_go_nowhere(bench, work, codes_of) -> None:
    bench.offer(work(1))
    bench.model(work(1))
    old = bench.request
    bench.offer(work(2), 5)
    bench.model(work(2), 6)
    assert bench.machine.provide(codes_of(old), 60, offer_body=old.offer_body) == []
    assert len(bench.machine.provide(codes_of(bench.request), 60, offer_body=bench.request.offer_body)) == 1


def test_provide_counts_codes_and_needs_a_request(bench) -> None:
    with pytest.raises(ValueError, match="610"):
        bench.machine.provide(b"short", 60)
    assert bench.machine.provide(bytes(610), 60) == []


def test_a_held_model_is_not_sent_again(bench, work) -> None:
    model = work(1).model
    bench.offer(work(1))
    bench.model(work(1))
    bench.offer(work(2, model=model), 5)
    (ack,) = bench.put(Start(2, Kind.MODEL, len(model), 64, hashlib.sha256(model).digest()), 6)
    assert ack.next == len(model)
    before = bench.request
    bench.put(Commit(), 6)
    assert bench.request is not before


BAD_OFFERS = {
    "lr_shift": ({"lr_shift": 3}, Reason.BAD_OFFER), "epochs": ({"epochs": 0}, Reason.BAD_OFFER),
    "shifts": ({"shifts": (13, 0, 0, 0)}, Reason.BAD_OFFER), "l2": ({"l2_bound": 1 << 20}, Reason.BAD_OFFER),
    "layout": ({"layout_sha256": bytes(32)}, Reason.WRONG_LAYOUT), "size": ({"model_bytes": 9}, Reason.WRONG_LAYOUT),
    "tensors": ({"shifts": (1, 1, 1)}, Reason.WRONG_LAYOUT),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_OFFERS)
def test_offers_it_refuses_by_name(bench, work, case: str) -> None:
    changes, reason = BAD_OFFERS[case]
    bad = work(1, **changes)
    (receipt,) = bench.offer(bad)
    assert (receipt.verdict, receipt.reason) == (Verdict.REJECTED, reason)
    assert bench.put(Commit(), 1) == [receipt], "a repeated COMMIT gets the same"
    assert statuses(bench.announce(bad)) == [Status.NEED_OFFER]


def test_offers_that_are_forged_damaged_or_not_the_announced_one(bench, work) -> None:
    w, down = work(), bench.identity.keys.down
    bench.announce(w)
    assert bench.push(Kind.OFFER, 1, seal_offer(w.offer_body, bytes(32)), 1)[0].reason is Reason.BAD_TAG
    assert bench.push(Kind.OFFER, 1, seal_offer(w.offer_body, down), 2, bytes(32))[0].reason is Reason.BAD_HASH
    bench.announce(replace(w, round_num=2))
    assert bench.push(Kind.OFFER, 2, seal_offer(w.offer_body, down), 6)[0].reason is Reason.WRONG_ROUND
    bench.announce(w)
    other = work(1, seed=8)
    assert bench.push(Kind.OFFER, 1, seal_offer(other.offer_body, down), 3)[0].reason is Reason.UNKNOWN_OFFER
    bench.offer(work(9), 4)
    bench.announce(replace(work(1), round_num=9))
    assert bench.push(Kind.OFFER, 9, seal_offer(w.offer_body, down), 5)[0].reason is Reason.STALE_ROUND


def test_limits_of_the_layout_are_the_identitys(identity, work) -> None:
    b = Bench(identity(shifts_fit=lambda shifts: shifts[0] < 5, model_fits=lambda model: model[0] == 1))
    b.open()
    assert b.offer(work())[0].reason is Reason.BAD_OFFER
    w = work(1, shifts=(4, 3, 5, 2))
    b.offer(w, 3)
    assert b.model(w, 4)[0].reason is (Reason.NONE if w.model[0] == 1 else Reason.MALFORMED)
    good = work(2, model=b"\1" + w.model[1:], shifts=(4, 3, 5, 2))
    b.offer(good, 5)
    assert b.model(good, 6)[0].verdict is Verdict.ACCEPTED


def test_a_damaged_model_is_forgotten(bench, work) -> None:
    w = work()
    bench.offer(w)
    bad = bytes(len(w.model))
    assert bench.push(Kind.MODEL, 1, bad, 2, hashlib.sha256(w.model).digest())[0].reason is Reason.BAD_HASH
    assert bench.request is None
    assert bench.model(w, 3)[0].verdict is Verdict.ACCEPTED


def test_starts_it_refuses(bench, work) -> None:
    w = work()
    sha = hashlib.sha256(w.model).digest()

    def start(*args) -> Status:
        return bench.put(Start(*args), 9)[0].status

    assert start(1, Kind.OFFER, 136, 64, sha) is Status.NO_OFFER
    assert start(1, Kind.MODEL, 1300, 64, sha) is Status.NO_OFFER
    bench.announce(w)
    assert start(1, Kind.OFFER, 137, 64, sha) is Status.BAD_LENGTH
    assert start(2, Kind.OFFER, 136, 64, sha) is Status.WRONG_ROUND
    bench.offer(w)
    assert start(2, Kind.MODEL, 1300, 64, sha) is Status.WRONG_ROUND
    assert start(1, Kind.MODEL, 1300, 64, bytes(32)) is Status.WRONG_MODEL
    assert start(1, Kind.MODEL, 1299, 64, sha) is Status.BAD_LENGTH
    assert start(1, Kind.MODEL, 1300, 0, sha) is Status.BAD_LENGTH
    assert start(1, Kind.MODEL, 1300, 241, sha) is Status.BAD_LENGTH
    assert start(1, Kind.UPDATE, 1300, 64, sha) is Status.WRONG_KIND
    assert start(1, Kind.DATASET, 1300, 64, sha) is Status.WRONG_KIND
    assert start(1, Kind.MODEL, 1300, 240, sha) is Status.OK


def test_an_offer_of_an_impossible_size_is_never_begun(bench) -> None:
    for size in (0, 135, 165, 2**32 - 1):
        bench.put(Round(1, size, bytes(32)))
        assert statuses(bench.put(Start(1, Kind.OFFER, size, 64, bytes(32)), 9)) == [Status.BAD_LENGTH]


def test_data_is_acknowledged_when_asked_when_dropped_and_while_there_is_a_hole(bench, work) -> None:
    w = work()
    bench.offer(w)
    bench.put(Start(1, Kind.MODEL, 1300, 64, hashlib.sha256(w.model).digest()), 2)
    assert bench.put(Data(w.model[:64]), 2, 0) == []
    assert bench.put(Data(w.model[:64]), 2, 0) == [Ack(64, 0, 32, Status.OK)]
    assert bench.put(Data(w.model[128:192]), 2, 128) == [Ack(64, 2, 32, Status.OK)]
    assert bench.put(Data(w.model[192:256]), 2, 192) == [Ack(64, 6, 32, Status.OK)]
    assert bench.put(Data(w.model[:63]), 2, 64) == [Ack(64, 6, 32, Status.OK)]
    assert bench.put(Data(w.model[64:128]), 2, 64) == []
    assert bench.put(Data(w.model[256:320]), 2, 256, Flag.ACK_REQ) == [Ack(320, 0, 32, Status.OK)]
    assert bench.put(Commit(), 2) == [Ack(320, 0, 32, Status.OK)]


def test_unknown_transfers_are_aborted_and_ends_are_not_answered(bench) -> None:
    for message in (Data(b"x"), Commit(), Ack(0, 0, 1, Status.OK)):
        assert bench.put(message, 99) == [Abort(Status.UNKNOWN_TRANSFER)]
        assert bench.frames[0].xfer == 99
    assert bench.put(Abort(Status.OK), 99) == []
    assert bench.put(Receipt(1, Verdict.ACCEPTED, Reason.NONE, bytes(32)), 99) == []


def test_reset_notice_closes_and_keeps_what_is_held(bench, work, codes_of) -> None:
    w = work()
    bench.offer(w)
    bench.model(w)
    bench.machine.provide(codes_of(bench.request), 60)
    assert isinstance(bench.put(ResetNotice())[0], Hello)
    assert isinstance(bench.announce(w)[0], Hello)
    bench.open(64)
    (start,) = bench.announce(w)
    assert (start.kind, start.chunk) == (Kind.UPDATE, 64)


def test_an_abort_or_another_negotiation_ends_the_sending(bench, work, codes_of) -> None:
    w = work()
    bench.offer(w)
    bench.model(w)
    bench.machine.provide(codes_of(bench.request), 60)
    xfers = [transfer_id(n, 77, 3) for n in (1, 2, 3)]
    assert bench.put(Abort(Status.OK), xfers[0]) == []
    assert bench.put(Ack(0, 0, 1, Status.OK), xfers[0]) == [Abort(Status.UNKNOWN_TRANSFER)]
    bench.announce(w)
    assert bench.frames[0].xfer == xfers[1]
    bench.open()
    assert bench.put(Ack(0, 0, 1, Status.OK), xfers[1]) == [Abort(Status.UNKNOWN_TRANSFER)]
    bench.announce(w)
    assert bench.put(Ack(1, 0, 1, Status.OK), xfers[2]) == [Abort(Status.BAD_LENGTH)]


def test_counters(bench) -> None:
    bench.machine.on_frame(b"")
    bench.machine.on_frame(bytes(20))
    bench.machine.count_reject(Reject.COBS)
    (metric,) = bench.put(MetricRequest())
    assert metric == Metric((1, 1, 0, 1, 0, 0, 0, 0, 0), 2, 1, 0, 0)


def test_log_lines_are_cut_at_a_character(bench) -> None:
    text = decode_frame(bench.machine.say("µ" * 100 + "x"), from_device=True).message.text
    assert text == "µ" * 64
    with pytest.raises(ValueError, match="0 bytes"):
        bench.machine.say("")


@settings(max_examples=60)
@given(st.data())
def test_no_frames_in_any_order_raise_or_provoke_more_than_a_window(data) -> None:
    """Valid frames with values that matter, in any order: a device is a total function with bounded answers."""
    from tests.wire.conftest import make_identity, make_work

    works = [make_work(1), make_work(2)]
    b = Bench(make_identity())
    offers = [seal_offer(w.offer_body, b.identity.keys.down) for w in works]
    xfer = st.sampled_from([1, 2, *(transfer_id(n, 77, 3) for n in (1, 2))])
    blobs = st.sampled_from([*offers, *(w.model for w in works)])
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.integers(0, 9)):
            case 0:
                b.put(HelloAck(1, data.draw(st.sampled_from([64, 240, 512])), 1, 77))
            case 1:
                b.announce(data.draw(st.sampled_from(works)))
            case 2:
                blob = data.draw(blobs)
                kind, n = data.draw(st.sampled_from([Kind.OFFER, Kind.MODEL])), data.draw(st.integers(1, 2))
                b.put(
                    Start(n, kind, len(blob), data.draw(st.sampled_from([64, 240])), hashlib.sha256(blob).digest()), 1
                )
            case 3:
                blob, offset = data.draw(blobs), 64 * data.draw(st.integers(0, 20))
                b.put(Data(blob[offset : offset + 64] or b"x"), data.draw(xfer), offset)
            case 4:
                b.put(Commit(), data.draw(xfer))
            case 5:
                b.put(
                    Ack(64 * data.draw(st.integers(0, 12)), data.draw(st.integers(0, 99)), 40, Status.OK),
                    data.draw(xfer),
                )
            case 6:
                b.put(data.draw(st.sampled_from([HelloRequest(), ResetNotice(), MetricRequest(), Ping(1)])))
            case 7:
                b.put(Abort(Status.OK), data.draw(xfer))
            case 8:
                w = data.draw(st.sampled_from(works))
                b.offer(w)
                b.model(w)
            case 9:
                b.machine.provide(bytes(610), 60)
        assert len(getattr(b, "frames", [])) <= 32
