"""What a damaged byte stream can do: frames get lost, none ever arrives changed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from byzantiny.wire import messages as m
from byzantiny.wire.codec import Deframer, WireError, decode_frame, delimit, encode_frame

SHA = bytes(range(32))
SAMPLES = {
    "hello-request": (m.Frame(m.HelloRequest(), 1, 2), True),
    "hello": (m.Frame(m.Hello(1, 1, 240, "dev-01", b"firmware", 1, 1, 9, 7, 32, m.ResetReason(0), 60, SHA), 1), False),
    "hello-ack": (m.Frame(m.HelloAck(1, 240, 32, 7), 1, 300), True),
    "start": (m.Frame(m.Start(1, m.Kind.UPDATE, 738, 240, SHA), 1, 4, 0xCAFE), False),
    "data": (m.Frame(m.Data(bytes(range(32))), 1, 5, 0xCAFE, 32, m.Flag.ACK_REQ), False),
    "data-zeros": (m.Frame(m.Data(bytes(32)), 1, 5, 0xCAFE), True),
    "ack": (m.Frame(m.Ack(240, 6, 32, m.Status.OK), 1, 6, 0xCAFE), True),
    "commit": (m.Frame(m.Commit(), 1, 7, 0xCAFE), False),
    "receipt": (m.Frame(m.Receipt(1, m.Verdict.ACCEPTED, m.Reason.NONE, SHA), 1, 8, 0xCAFE), True),
    "abort": (m.Frame(m.Abort(m.Status.WRONG_KIND), 1, 9, 0xCAFE), True),
    "round": (m.Frame(m.Round(1, 136, SHA), 1, 10), True),
    "log": (m.Frame(m.Log("a line"), 1, 11), False),
    "metric-request": (m.Frame(m.MetricRequest(), 1, 12), True),
    "metric": (m.Frame(m.Metric((0,) * 9, 1, 2, 3, 4), 1, 13), False),
    "ping": (m.Frame(m.Ping(9), 1, 14), True),
    "reset-notice": (m.Frame(m.ResetNotice(), 1, 15), True),
}
LARGE = {
    "data-240": (m.Frame(m.Data(random.Random(1).randbytes(240)), 1, 5, 0xCAFE, 240), False),
    "data-512": (m.Frame(m.Data(random.Random(2).randbytes(512)), 1, 5, 0xCAFE, 512), False),
}
NEXT = m.Frame(m.Ping(0x01010101), 1, 77)


def heard(stream: bytes, *, from_device: bool) -> list[m.Frame]:
    frames = []
    for piece in Deframer().feed(stream):
        try:
            frames.append(decode_frame(piece, from_device=from_device))
        except WireError:
            continue
    return frames


def check(name: str, damages: Iterator[bytes]) -> int:
    """Each damaged stream is followed by a good frame, so that every zero has something behind it."""
    frame, to_device = {**SAMPLES, **LARGE}[name]
    behind = delimit(encode_frame(NEXT, to_device=to_device))
    count = 0
    for damaged in damages:
        for got in heard(damaged + behind, from_device=not to_device):
            assert got in (frame, NEXT), damaged.hex()
        count += 1
    return count


def stream_of(name: str) -> bytes:
    frame, to_device = {**SAMPLES, **LARGE}[name]
    return delimit(encode_frame(frame, to_device=to_device))


def flipped(raw: bytes, *bits: int) -> bytes:
    value = int.from_bytes(raw, "little")
    for bit in bits:
        value ^= 1 << bit
    return value.to_bytes(len(raw), "little")


@pytest.mark.parametrize("name", [*SAMPLES, *LARGE])
def test_no_single_bit_error_delivers_anything_wrong(name: str) -> None:
    raw = stream_of(name)
    assert check(name, (flipped(raw, bit) for bit in range(8 * len(raw)))) == 8 * len(raw)


@pytest.mark.parametrize("name", [*SAMPLES, *LARGE])
def test_no_lost_byte_delivers_anything_wrong(name: str) -> None:
    raw = stream_of(name)
    check(name, (raw[:at] + raw[at + 1 :] for at in range(len(raw))))


def values(name: str) -> range | list[int]:
    return [0, 1, 2, 0x7F, 0xFE, 0xFF] if name in LARGE or name not in ("ack", "commit") else range(256)


@pytest.mark.parametrize("name", [*SAMPLES, *LARGE])
def test_no_replaced_or_inserted_byte_delivers_anything_wrong(name: str) -> None:
    raw = stream_of(name)
    every = list(itertools.product(range(len(raw)), values(name)))
    check(name, (raw[:at] + bytes([value]) + raw[at + 1 :] for at, value in every))
    check(name, (raw[:at] + bytes([value]) + raw[at:] for at, value in every))


@pytest.mark.soak
@pytest.mark.parametrize("name", [*SAMPLES, *LARGE])
def test_no_replaced_or_inserted_byte_of_any_value_delivers_anything_wrong(name: str) -> None:
    raw = stream_of(name)
    every = list(itertools.product(range(len(raw)), range(256)))
    check(name, (raw[:at] + bytes([value]) + raw[at + 1 :] for at, value in every))
    check(name, (raw[:at] + bytes([value]) + raw[at:] for at, value in every))


def pairs(raw: bytes) -> Iterator[bytes]:
    return (flipped(raw, a, b) for a, b in itertools.combinations(range(8 * len(raw)), 2))


def test_no_two_bit_error_delivers_a_wrong_commit() -> None:
    assert check("commit", pairs(stream_of("commit"))) > 15_000


@pytest.mark.soak
@pytest.mark.parametrize("name", SAMPLES)
def test_no_two_bit_error_delivers_anything_wrong(name: str) -> None:
    check(name, pairs(stream_of(name)))


@pytest.mark.parametrize("name", LARGE)
def test_no_sampled_burst_or_two_bit_error_delivers_anything_wrong(name: str) -> None:
    raw, rng = stream_of(name), random.Random(name)
    bits = range(8 * len(raw))
    check(name, (flipped(raw, *rng.sample(bits, 2)) for _ in range(1500)))
    check(name, (flipped(raw, *rng.sample(range(s, s + 32), 8)) for s in rng.choices(bits[:-32], k=500)))
