"""Frames and objects under arbitrary bytes, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.wire import messages as m
from byzantiny.wire.codec import (
    ObjectError,
    WireError,
    decode_client_id,
    decode_frame,
    decode_manifest,
    decode_offer,
    encode_client_id,
    encode_frame,
    encode_manifest,
    encode_offer,
    max_frame_bytes,
    split_offer,
    split_update,
)
from byzantiny.wire.crc import crc32c

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
sha = st.binary(min_size=32, max_size=32)
client_ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=16)
xfers = st.integers(1, 2**32 - 1)
statuses, verdicts, reasons = (st.sampled_from(list(kind)) for kind in (m.Status, m.Verdict, m.Reason))
hellos = st.builds(
    m.Hello, u8, u8, u16, client_ids, st.binary(min_size=8, max_size=8), u32, u32, u32, u32, u16,
    st.sampled_from(list(m.ResetReason)), u32, sha,
)  # fmt: skip
lines = st.text(min_size=1, max_size=40).filter(lambda text: len(text.encode("utf-8", "replace")) <= 128)
of_a_transfer = (
    st.builds(m.Start, u32, st.sampled_from(list(m.Kind)), u32, u32, sha)
    | st.builds(m.Ack, u32, u32, u16, statuses)
    | st.just(m.Commit())
    | st.builds(m.Receipt, u32, verdicts, reasons, sha)
    | st.builds(m.Abort, statuses)
)
both_ways = st.builds(m.HelloAck, u8, u16, u16, u32) | st.builds(m.Ping, u32)
to_device = (
    both_ways
    | st.builds(m.Round, u32, u32, sha)
    | st.sampled_from([m.HelloRequest(), m.MetricRequest(), m.ResetNotice()])
)
from_device = (
    both_ways
    | hellos
    | st.builds(m.Log, lines.filter(lambda text: text.isprintable()))
    | st.builds(m.Metric, st.tuples(*[u32] * 9), u32, u32, u32, u32)
    | st.builds(m.Ack, u32, u32, u16, statuses)
)
flags = st.integers(0, 3).map(m.Flag)
addresses = st.integers(1, 65534)


def frames(control: st.SearchStrategy[m.Message]) -> st.SearchStrategy[m.Frame]:
    return (
        st.builds(m.Frame, control, addresses, u16, st.just(0), st.just(0), flags)
        | st.builds(m.Frame, of_a_transfer, addresses, u16, xfers, st.just(0), flags)
        | st.builds(m.Frame, st.builds(m.Data, st.binary(min_size=1, max_size=300)), addresses, u16, xfers, u32, flags)
    )


@given(frames(to_device))
def test_what_goes_to_a_device_comes_back(frame: m.Frame) -> None:
    assert decode_frame(encode_frame(frame, to_device=True), from_device=False) == frame


@given(frames(from_device))
def test_what_comes_from_a_device_comes_back(frame: m.Frame) -> None:
    assert decode_frame(encode_frame(frame, to_device=False), from_device=True) == frame


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_raise_a_wire_error_or_nothing(data: bytes, way: bool) -> None:
    with pytest.raises(WireError):
        decode_frame(data, from_device=way)


@settings(max_examples=500)
@given(u8, u8, u16, u32, u32, st.binary(max_size=140), st.booleans())
def test_any_header_and_payload_under_a_right_crc(kind, flag, address, xfer, offset, payload, way) -> None:
    """Only what encodes to the same bytes again decodes: the format has one form for each message."""
    head = m.HEADER.pack(0x10 | kind & 15 if kind < 200 else kind, flag & 7, len(payload), address, 0, xfer, offset)
    raw = head + payload + crc32c(head + payload).to_bytes(4, "little")
    try:
        frame = decode_frame(raw, from_device=way)
    except WireError:
        return
    assert encode_frame(frame, to_device=not way) == raw


def test_checks_come_in_their_order() -> None:
    """A frame with every fault names the first; each repaired one uncovers the next."""
    raw = bytearray(encode_frame(m.Frame(m.Data(bytes(9)), 3, 0, 5), to_device=True))
    faults = [
        (m.Reject.LENGTH, 2, 8, 9), (m.Reject.CRC, -1, None, None), (m.Reject.VERSION, 0, 0x23, 0x13),
        (m.Reject.FLAGS, 1, 0x80, 0), (m.Reject.TYPE, 0, 0x1F, 0x13), (m.Reject.ADDRESS, 4, 4, 3),
        (m.Reject.PAYLOAD, 8, 0, 5),
    ]  # fmt: skip
    for _, at, bad, _ in reversed(faults):
        if bad is not None:
            raw[at] = bad
    raw[0] = 0x2F
    seen = []
    for reject, at, _, good in faults:
        with pytest.raises(WireError) as caught:
            decode_frame(bytes(raw), from_device=False, address=3)
        seen.append(caught.value.reject)
        if reject is m.Reject.VERSION:
            raw[0] = 0x1F
        elif good is not None:
            raw[at] = good
        if reject is not m.Reject.LENGTH:
            raw[-4:] = crc32c(bytes(raw[:-4])).to_bytes(4, "little")
    assert seen == [reject for reject, *_ in faults]
    assert decode_frame(bytes(raw), from_device=False, address=3).message == m.Data(bytes(9))


@pytest.mark.parametrize(
    ("size", "room", "fits"), [(240, 240, True), (241, 240, False), (64, 64, True), (65, 64, False)]
)
def test_data_maximum_in_force(size: int, room: int, fits: bool) -> None:
    raw = encode_frame(m.Frame(m.Data(bytes(size)), 1, 0, 5), to_device=True)
    if fits:
        decode_frame(raw, from_device=False, max_payload=room)
        return
    with pytest.raises(WireError) as caught:
        decode_frame(raw, from_device=False, max_payload=room)
    assert caught.value.reject is m.Reject.PAYLOAD


def test_a_control_frame_passes_whatever_the_data_maximum() -> None:
    raw = encode_frame(m.Frame(m.Log("x" * 128), 1), to_device=False)
    decode_frame(raw, from_device=True, max_payload=64, max_frame=max_frame_bytes(64))
    too_long = encode_frame(m.Frame(m.Log("x" * 129), 1), to_device=False)
    for room, reject in [(64, m.Reject.SIZE), (240, m.Reject.PAYLOAD)]:
        with pytest.raises(WireError) as caught:
            decode_frame(too_long, from_device=True, max_payload=64, max_frame=max_frame_bytes(room))
        assert caught.value.reject is reject


@pytest.mark.parametrize(
    ("way", "to", "own", "taken"),
    [
        (False, 3, 3, True), (False, 65535, 3, True), (False, 9, None, True), (False, 4, 3, False),
        (False, 0, None, False), (True, 3, 3, True), (True, 65535, 3, False), (True, 65535, None, False),
        (True, 0, 3, False), (True, 4, 3, False),
    ],
)  # fmt: skip
def test_addresses(way: bool, to: int, own: int | None, taken: bool) -> None:
    raw = encode_frame(m.Frame(m.Ping(1), to), to_device=not way)
    if taken:
        assert decode_frame(raw, from_device=way, address=own).address == to
        return
    with pytest.raises(WireError) as caught:
        decode_frame(raw, from_device=way, address=own)
    assert caught.value.reject is m.Reject.ADDRESS


@pytest.mark.parametrize("message", [m.HelloRequest(), m.Round(1, 2, bytes(32)), m.MetricRequest(), m.ResetNotice()])
def test_a_device_cannot_send_what_is_the_hosts(message: m.Message) -> None:
    with pytest.raises(TypeError, match="host"):
        encode_frame(m.Frame(message, 1), to_device=False)


@pytest.mark.parametrize(
    "frame",
    [m.Frame(m.Ping(-1), 1), m.Frame(m.Ping(1), 65536), m.Frame(m.Ack(2**32, 0, 0, m.Status.OK), 1, 0, 1)],
)
def test_what_does_not_fit_a_field_is_a_value_error(frame: m.Frame) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_frame(frame, to_device=True)


@given(client_ids)
def test_client_ids_come_back(client_id: str) -> None:
    raw = encode_client_id(client_id)
    assert len(raw) == 16
    assert decode_client_id(raw) == client_id


@pytest.mark.parametrize("bad", ["", "A", "a" * 17, "a_b", "a\0", "ä", "a b", "a\n"])
def test_bad_client_ids(bad: str) -> None:
    with pytest.raises(ValueError, match="client_id"):
        encode_client_id(bad)


@pytest.mark.parametrize("bad", [bytes(16), b"a" + bytes(14) + b"b", b"A" + bytes(15), b"a" * 15, b"a\n" + bytes(14)])
def test_bad_client_ids_on_the_wire(bad: bytes) -> None:
    with pytest.raises(ValueError, match="client_id"):
        decode_client_id(bad)


offers = st.builds(
    m.Offer, u32, u64, st.binary(min_size=16, max_size=16), sha, sha, u32, st.integers(0, 2**20 - 1), u32,
    st.integers(1, 255), st.integers(4, 14), st.lists(st.integers(0, 12), min_size=1, max_size=32).map(tuple),
)  # fmt: skip
manifests = st.builds(m.Manifest, u32, client_ids, u32, sha, u64, u32, u32, sha)


@given(offers)
def test_offers_come_back(offer: m.Offer) -> None:
    assert decode_offer(encode_offer(offer)) == offer


@given(manifests)
def test_manifests_come_back(manifest: m.Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(st.binary(max_size=200))
def test_objects_of_any_bytes_raise_an_object_error_or_nothing(data: bytes) -> None:
    for decode in (decode_offer, decode_manifest, split_update):
        with pytest.raises(ObjectError):
            decode(data)
    if not 136 <= len(data) <= 164:
        with pytest.raises(ObjectError, match="offer object"):
            split_offer(data)


@given(offers, st.integers(0, 147), u8)
def test_an_offer_with_a_changed_byte_is_refused_or_another_offer(offer: m.Offer, at: int, value: int) -> None:
    raw = bytearray(encode_offer(offer))
    raw[at % len(raw)] = value
    try:
        changed = decode_offer(bytes(raw))
    except ObjectError:
        return
    assert encode_offer(changed) == bytes(raw)


@pytest.mark.parametrize("shifts", [(), (1,) * 33, (128,)])
def test_offers_that_cannot_be_encoded(shifts: tuple[int, ...]) -> None:
    offer = m.Offer(1, 1, bytes(16), bytes(32), bytes(32), 4, 0, 1, 1, 9, (1,))
    with pytest.raises(ValueError, match="offer"):
        encode_offer(replace(offer, shifts=shifts))
