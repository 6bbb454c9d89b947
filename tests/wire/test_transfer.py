"""The two machines of one object, alone: any order, any loss, hostile acknowledgements."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.wire.messages import Abort, Ack, Commit, Data, Flag, Kind, Start, Status
from byzantiny.wire.transfer import Receiver, Sender


def pair(total: int, chunk: int) -> tuple[bytes, Sender, Receiver]:
    blob = random.Random(total * 7919 + chunk).randbytes(total)
    start = Start(1, Kind.MODEL, total, chunk, hashlib.sha256(blob).digest())
    return blob, Sender(9, start, blob), Receiver(9, start)


@given(st.integers(1, 3000), st.sampled_from([1, 7, 64, 240]), st.integers(1, 40), st.booleans(), st.data())
def test_any_loss_and_order_ends_with_the_same_bytes(total, chunk, credit, eager, data) -> None:
    total = min(total, chunk * 200)
    blob, sender, receiver = pair(total, chunk)
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    ack, rounds = receiver.ack(credit), 0
    while not receiver.complete:
        rounds += 1
        assert rounds < 20_000
        burst = sender.on_ack_eagerly(ack) if eager else sender.on_ack(ack) or sender.on_silence()
        assert sum(isinstance(out.message, Data) for out in burst) <= min(credit, 32)
        rng.shuffle(burst)
        for out in burst:
            if isinstance(out.message, Data) and rng.random() < 0.7:
                receiver.on_data(out.offset, out.message.payload)
        ack = receiver.ack(credit)
    assert receiver.data() == blob
    assert [out.message for out in sender.on_ack_eagerly(ack)] == [Commit()]


@given(st.integers(1, 2000), st.sampled_from([1, 5, 64]), st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary())))
def test_a_receiver_takes_nothing_that_is_not_a_chunk(total, chunk, pieces) -> None:
    _, _, receiver = pair(total, chunk)
    for offset, payload in pieces:
        if receiver.on_data(offset, payload):
            assert offset % chunk == 0
            assert len(payload) == min(chunk, total - offset)
    assert len(receiver.data()) == total
    assert 0 <= receiver.next <= total
    assert not receiver.sack & 1


def test_a_hole_is_filled_at_once_and_nothing_is_sent_twice() -> None:
    _, sender, _ = pair(10 * 64, 64)
    first = sender.on_ack(Ack(0, 0, 4, Status.OK))
    assert [out.offset for out in first] == [0, 64, 128, 192]
    assert [out.flags for out in first] == [Flag.NONE] * 3 + [Flag.ACK_REQ]
    assert sender.on_ack(Ack(0, 0, 4, Status.OK)) == [], "all four may still be under way"
    again = sender.on_ack(Ack(0, 0b0010, 4, Status.OK))
    assert [(out.offset, out.again) for out in again] == [(0, True), (256, False)], "chunk 1 came, so 0 is lost"
    assert sender.on_ack(Ack(0, 0b1110, 4, Status.OK))[0].offset == 320, "0 has been sent after 3: not lost again"


def test_commit_follows_the_final_chunk_and_is_not_repeated_unasked() -> None:
    _, sender, _ = pair(100, 64)
    burst = sender.on_ack(Ack(0, 0, 32, Status.OK))
    assert [type(out.message) for out in burst] == [Data, Data, Commit]
    assert burst[1].flags == Flag.LAST
    assert sender.on_ack(Ack(100, 0, 32, Status.OK)) == []
    assert [type(out.message) for out in sender.on_silence()] == [Commit]


def test_a_receiver_that_has_begun_again_is_believed_after_a_silence() -> None:
    """A START that was delayed on the way opens the finished transfer once more, and COMMIT is answered with ACK 0."""
    _, sender, _ = pair(100, 64)
    sender.on_ack(Ack(0, 0, 32, Status.OK))
    sender.on_ack(Ack(100, 0, 32, Status.OK))
    assert sender.on_ack(Ack(0, 0, 32, Status.OK)) == [], "it may be a late one"
    sender.on_silence()
    assert [out.offset for out in sender.on_ack(Ack(0, 0, 32, Status.OK))][:2] == [0, 64]


def test_a_receiver_that_forgets_for_ever_is_not_served_for_ever() -> None:
    _, sender, _ = pair(10 * 64, 64)
    sent = sum(len(sender.on_ack(Ack(0, n % 2 << 1, 32, Status.OK))) for n in range(10_000))
    assert sent < 300
    sender.on_silence()
    assert sender.on_ack(Ack(0, 0, 32, Status.OK)), "a silence gives it another window"


@pytest.mark.parametrize(("ahead", "taken"), [(31, True), (32, False), (33, False)])
def test_the_window_is_32_chunks(ahead: int, taken: bool) -> None:
    blob, _, receiver = pair(100 * 64, 64)
    receiver.on_data(0, blob[:64])
    offset = 64 * (1 + ahead)
    assert receiver.on_data(offset, blob[offset : offset + 64]) is taken
    assert receiver.sack == (1 << ahead if taken else 0)


def test_no_credit_is_probed_one_chunk_at_a_time() -> None:
    _, sender, receiver = pair(200, 64)
    assert sender.on_ack(Ack(0, 0, 0, Status.OK)) == []
    for offset in (0, 64, 128, 192):
        (probe,) = sender.on_silence()
        assert (probe.offset, probe.flags & Flag.ACK_REQ) == (offset, Flag.ACK_REQ)
        receiver.on_data(probe.offset, probe.message.payload)
        sender.on_ack(receiver.ack(0))
    assert receiver.complete


def test_silence_before_the_first_ack_repeats_start() -> None:
    _, sender, _ = pair(200, 64)
    assert [out.message for out in sender.on_silence()] == [sender.start]


@pytest.mark.parametrize("next_bytes", [1, 63, 201, 2**32 - 1])
@pytest.mark.parametrize("eager", [True, False])
def test_impossible_acknowledgements_end_the_transfer(next_bytes: int, eager: bool) -> None:
    _, sender, _ = pair(200, 64)
    answer = (sender.on_ack_eagerly if eager else sender.on_ack)(Ack(next_bytes, 0, 1, Status.OK))
    assert [out.message for out in answer] == [Abort(Status.BAD_LENGTH)]
    assert sender.ended is Status.BAD_LENGTH


def test_a_status_ends_the_transfer_without_an_answer() -> None:
    _, sender, _ = pair(200, 64)
    assert sender.on_ack(Ack(0, 0, 32, Status.WRONG_MODEL)) == []
    assert sender.ended is Status.WRONG_MODEL


@given(st.lists(st.builds(Ack, st.integers(0, 15).map(lambda n: 64 * n), st.integers(0, 2**32 - 1), st.integers(0, 99),
                          st.just(Status.OK)), max_size=30))  # fmt: skip
def test_no_sequence_of_acks_sends_more_than_a_window(acks) -> None:
    _, sender, _ = pair(960, 64)
    for ack in acks:
        assert len(sender.on_ack(ack)) <= 33
        assert sender.outstanding_bytes <= 64 * 32


@pytest.mark.parametrize(("chunk", "expected"), [(64, 128), (128, 128), (240, 0), (512, 0)])
def test_resuming_with_another_chunk_size_rounds_down(chunk: int, expected: int) -> None:
    blob, _, receiver = pair(1000, 64)
    for offset in (0, 64, 192):
        receiver.on_data(offset, blob[offset : offset + 64])
    receiver.resume(10, Start(1, Kind.MODEL, 1000, chunk, receiver.start.sha256))
    assert (receiver.next, receiver.sack) == (expected, 0b10 if chunk == 64 else 0)


def test_a_complete_object_stays_complete_under_any_chunk_size() -> None:
    blob, _, _ = pair(1000, 64)
    receiver = Receiver(1, Start(1, Kind.MODEL, 1000, 64, bytes(32)), held=blob)
    receiver.resume(2, Start(1, Kind.MODEL, 1000, 240, bytes(32)))
    assert (receiver.next, receiver.complete, receiver.data()) == (1000, True, blob)
