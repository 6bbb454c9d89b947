"""COBS against published vectors; the deframer against noise."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.wire.codec import Deframer, WireError, cobs_decode, cobs_encode, delimit
from byzantiny.wire.messages import Reject

ONES = bytes([1]) * 300
VECTORS = [
    (b"", b"\x01"),
    (b"\0", b"\x01\x01"),
    (b"\0\0", b"\x01\x01\x01"),
    (bytes.fromhex("110022"), bytes.fromhex("02110222")),
    (bytes.fromhex("11223300"), bytes.fromhex("0411223301")),
    (bytes.fromhex("11223344"), bytes.fromhex("0511223344")),
    (bytes.fromhex("11000000"), bytes.fromhex("0211010101")),
    (ONES[:254], b"\xff" + ONES[:254]),
    (ONES[:255], b"\xff" + ONES[:254] + b"\x02\x01"),
    (ONES[:254] + b"\0", b"\xff" + ONES[:254] + b"\x01\x01"),
    (ONES[:253] + b"\0", b"\xfe" + ONES[:253] + b"\x01"),
]


@pytest.mark.parametrize(("data", "encoded"), VECTORS)
def test_published_cobs_vectors(data: bytes, encoded: bytes) -> None:
    assert cobs_encode(data) == encoded
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize("bad", ["", "00", "0511", "0100", "03110022", "ff01"])
def test_decoder_refuses(bad: str) -> None:
    with pytest.raises(WireError) as caught:
        cobs_decode(bytes.fromhex(bad))
    assert caught.value.reject is Reject.COBS


@given(st.binary(max_size=600) | st.binary(max_size=3).map(lambda b: b * 200))
def test_roundtrip_without_zeros_and_within_the_bound(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1
    assert cobs_decode(encoded) == data


@given(st.binary(max_size=300))
def test_decode_raises_nothing_but_wire_errors(data: bytes) -> None:
    with contextlib.suppress(WireError):
        cobs_decode(data)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.data())
def test_frames_survive_any_cutting_of_the_stream(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(delimit, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    deframer, out = Deframer(300), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += deframer.feed(stream[start:end])
    assert out == frames
    assert (deframer.cobs_rejects, deframer.size_rejects) == (0, 0)


@given(st.binary(max_size=2000))
def test_after_any_noise_the_frame_behind_a_zero_is_heard(noise: bytes) -> None:
    deframer = Deframer(100)
    deframer.feed(noise)
    assert deframer.feed(delimit(b"the frame"))[-1] == b"the frame"


def test_what_is_too_long_is_counted_once_and_holds_no_memory() -> None:
    deframer = Deframer(100)
    for _ in range(50):
        assert deframer.feed(b"\x02" * 1000) == []
    assert len(deframer._held) <= 101
    assert deframer.feed(b"\0\x02\x09\0") == [b"\x09"]
    assert (deframer.size_rejects, deframer.cobs_rejects) == (1, 0)


def test_the_longest_frame_passes_and_a_longer_one_does_not() -> None:
    deframer = Deframer(260)
    assert deframer.feed(delimit(ONES[:260])) == [ONES[:260]]
    assert deframer.feed(delimit(ONES[:262])) == []
    assert deframer.size_rejects == 1


def test_empty_frames_are_no_errors_and_broken_ones_are_counted() -> None:
    deframer = Deframer()
    assert deframer.feed(b"\0\0\0\x05\x11\0\0") == []
    assert (deframer.cobs_rejects, deframer.size_rejects) == (1, 0)
