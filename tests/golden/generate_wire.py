"""Writes tests/golden/wire.jsonl: `python tests/golden/generate_wire.py`.

One flat record a line. `direction` is to_device, from_device or object; `fields` are numbers, text, or bytes in hex
(lists where there are several); `hex` is the frame without COBS or the object; `uart` the same on a serial line.
Records with `reject` are frames that a receiver drops, and the counter it raises; those with `refused` objects it
refuses, and the reason. The file locks the wire: it is regenerated only when docs/wire.md changes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterator
from pathlib import Path

from byzantiny.wire import messages as m
from byzantiny.wire.auth import derive_keys, manifest_for, seal_offer, seal_update
from byzantiny.wire.codec import delimit, encode_frame, encode_manifest, encode_offer
from byzantiny.wire.crc import crc32c

SHA = bytes(range(100, 132))
KEYS = derive_keys(bytes(range(32)))
OFFER = m.Offer(
    7, 0x0123456789ABCDEF, bytes(range(16)), SHA, bytes(range(32)), 4946, 4000, 60_000, 2, 9, (5, 3, 5, 2, 12)
)
CODES = bytes(range(256)) + b"\x00\x80\x7f"
MANIFEST = manifest_for("dev-01", 7, SHA, 77 << 32 | 1, 60, CODES)
HELLO = m.Hello(
    1, 1, 240, "dev-01", b"firmware", 5, 3, 4946, 0xDEADBEEF, 32, m.ResetReason.WATCHDOG, 60, bytes(range(32, 64))
)
BOTH = [
    ("hello-ack", m.Frame(m.HelloAck(1, 240, 32, 0xDEADBEEF), 3, 65535)),
    ("start-update", m.Frame(m.Start(7, m.Kind.UPDATE, 2538, 240, SHA), 3, 5, 0xCAFEF00D)),
    ("start-largest", m.Frame(m.Start(0xFFFFFFFF, m.Kind.DATASET, 0xFFFFFFFF, 0xFFFFFFFF, SHA), 65534, 0, 0xFFFFFFFF)),
    ("data-first", m.Frame(m.Data(bytes(range(240))), 3, 6, 0xCAFEF00D, 0)),
    ("data-last", m.Frame(m.Data(b"\0"), 3, 7, 0xCAFEF00D, 2400, m.Flag.ACK_REQ | m.Flag.LAST)),
    ("data-zeros", m.Frame(m.Data(bytes(64)), 3, 8, 0xCAFEF00D, 64, m.Flag.ACK_REQ)),
    ("ack", m.Frame(m.Ack(480, 0x80000002, 32, m.Status.OK), 3, 9, 0xCAFEF00D)),
    ("commit", m.Frame(m.Commit(), 3, 10, 0xCAFEF00D)),
    ("receipt", m.Frame(m.Receipt(7, m.Verdict.ACCEPTED, m.Reason.NONE, SHA), 3, 11, 0xCAFEF00D)),
    ("receipt-rejected", m.Frame(m.Receipt(7, m.Verdict.REJECTED, m.Reason.REPLAY, SHA), 3, 12, 1)),
    ("abort", m.Frame(m.Abort(m.Status.UNKNOWN_TRANSFER), 3, 13, 0xCAFEF00D)),
    ("ping", m.Frame(m.Ping(0x01020304), 3, 14)),
]
TO_DEVICE = [
    *BOTH,
    ("hello-request", m.Frame(m.HelloRequest(), 3)),
    ("hello-request-broadcast", m.Frame(m.HelloRequest(), m.BROADCAST)),
    ("round", m.Frame(m.Round(7, 140, SHA), 3, 3)),
    ("metric-request", m.Frame(m.MetricRequest(), 3, 4)),
    ("reset-notice", m.Frame(m.ResetNotice(), 3, 5)),
]
FROM_DEVICE = [
    *BOTH,
    ("hello", m.Frame(HELLO, 3)),
    ("ack-round", m.Frame(m.Ack(0, 0, 32, m.Status.NEED_OFFER), 3, 2)),
    ("log", m.Frame(m.Log("training: 60 samples, \u00b5s"), 3, 3)),
    ("metric", m.Frame(m.Metric(tuple(range(9)), 100, 200, 60, 1234), 3, 4)),
]


def plain(value: object) -> object:
    """JSON for one field."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return int(value.value)
    return list(value) if isinstance(value, tuple) else value


def fields_of(item: object) -> dict[str, object]:
    """The fields of a message or an object's dataclass."""
    return {f.name: plain(getattr(item, f.name)) for f in dataclasses.fields(item)}  # type: ignore[arg-type]


def frame_record(name: str, frame: m.Frame, *, to_device: bool) -> dict[str, object]:
    """One frame in one direction."""
    raw = encode_frame(frame, to_device=to_device)
    head = {key: value for key, value in fields_of(frame).items() if key != "message"}
    return {
        "name": name,
        "direction": "to_device" if to_device else "from_device",
        "message": type(frame.message).__name__,
        "fields": {**head, **{f"message.{key}": value for key, value in fields_of(frame.message).items()}},
        "hex": raw.hex(),
        "uart": delimit(raw).hex(),
    }


def sealed(body: bytes) -> bytes:
    """Append the right CRC."""
    return body + crc32c(body).to_bytes(4, "little")


def rejects() -> Iterator[dict[str, object]]:
    """Frames to the device that are dropped, for each counter but the two of the line."""
    good = encode_frame(m.Frame(m.HelloAck(1, 240, 32, 9), 3), to_device=True)
    ack = encode_frame(m.Frame(m.Ack(0, 0, 1, m.Status.OK), 3, 0, 9), to_device=True)
    start = encode_frame(m.Frame(m.Start(1, m.Kind.MODEL, 9, 9, SHA), 3, 0, 9), to_device=True)
    data = encode_frame(m.Frame(m.Data(b"abc"), 3, 0, 9), to_device=True)

    def patched(raw: bytes, at: int, value: bytes) -> bytes:
        return sealed(raw[:at] + value + raw[at + len(value) : -4])

    cases = [
        ("empty", "SIZE", b""),
        ("short", "SIZE", good[:19]),
        ("cut", "LENGTH", good[:-1]),
        ("zero-appended", "LENGTH", good + b"\0"),
        ("bit-flipped", "CRC", good[:20] + bytes([good[20] ^ 1]) + good[21:]),
        ("version-2", "VERSION", patched(good, 0, b"\x21")),
        ("flag-bit-2", "FLAGS", patched(good, 1, b"\x04")),
        ("type-13", "TYPE", patched(good, 0, b"\x1d")),
        ("log-to-device", "TYPE", patched(data, 0, b"\x19")),
        ("address-of-the-host", "ADDRESS", patched(good, 4, b"\0\0")),
        ("control-of-a-wrong-length", "PAYLOAD", sealed(patched(good, 2, b"\x0b")[:-5])),
        ("reserved-byte", "PAYLOAD", patched(good, 17, b"\1")),
        ("xfer-not-zero", "PAYLOAD", patched(good, 8, b"\1")),
        ("offset-not-zero", "PAYLOAD", patched(good, 12, b"\1")),
        ("ack-without-xfer", "PAYLOAD", patched(ack, 8, bytes(4))),
        ("ack-of-unknown-status", "PAYLOAD", patched(ack, 26, b"\x03")),
        ("start-without-xfer", "PAYLOAD", patched(start, 8, bytes(4))),
        ("start-of-unknown-kind", "PAYLOAD", patched(start, 20, b"\x05")),
        ("start-reserved", "PAYLOAD", patched(start, 23, b"\x01")),
        ("data-empty", "PAYLOAD", sealed(patched(data, 2, b"\0")[:16])),
    ]
    for name, reject, raw in cases:
        yield {"name": name, "direction": "to_device", "reject": reject, "hex": raw.hex()}


def objects() -> Iterator[dict[str, object]]:
    """The offer, the manifest, an update, and what is refused of them."""
    body, head = encode_offer(OFFER), encode_manifest(MANIFEST)
    keys = {"secret": bytes(range(32)).hex(), "up": KEYS.up.hex(), "down": KEYS.down.hex()}
    offer, manifest = fields_of(OFFER), fields_of(MANIFEST)
    yield {"name": "keys", "direction": "object", "message": "Keys", "fields": keys, "hex": ""}
    yield {"name": "offer", "direction": "object", "message": "Offer", "fields": offer, "hex": body.hex()}
    yield {
        "name": "offer-object", "direction": "object", "message": "OfferObject", "fields": {"down": keys["down"]},
        "hex": seal_offer(body, KEYS.down).hex(),
    }  # fmt: skip
    yield {"name": "manifest", "direction": "object", "message": "Manifest", "fields": manifest, "hex": head.hex()}
    yield {
        "name": "update", "direction": "object", "message": "Update",
        "fields": {"up": keys["up"], "codes": CODES.hex()},
        "hex": seal_update(MANIFEST, KEYS.up, CODES).hex(),
    }  # fmt: skip
    bad_offers = [
        ("magic", 0, b"X"), ("proto", 4, b"\2"), ("kind", 6, b"\3"), ("zero", 115, b"\1"), ("padding", 121, b"\1"),
        ("n-tensors-0", 114, b"\0"), ("n-tensors-9", 114, b"\x09"), ("epochs-0", 112, b"\0"),
        ("lr-shift-3", 113, b"\3"), ("lr-shift-15", 113, b"\x0f"), ("shift-13", 116, b"\x0d"),
        ("shift-minus-1", 116, b"\xff"), ("l2-bound", 104, (1 << 20).to_bytes(4, "little")),
    ]  # fmt: skip
    for name, at, value in bad_offers:
        raw = body[:at] + value + body[at + len(value) :]
        yield {
            "name": f"offer-{name}",
            "direction": "object",
            "message": "Offer",
            "refused": "BAD_OFFER",
            "hex": raw.hex(),
        }
    for name, at, value in [("magic", 0, b"X"), ("proto", 4, b"\2"), ("kind", 6, b"\1"), ("device-id", 12, b"D")]:
        raw = head[:at] + value + head[at + len(value) :]
        yield {
            "name": f"manifest-{name}", "direction": "object", "message": "Manifest", "refused": "MALFORMED",
            "hex": raw.hex(),
        }  # fmt: skip


def records() -> Iterator[dict[str, object]]:
    """Every record of the file, in order."""
    for name, frame in TO_DEVICE:
        yield frame_record(name, frame, to_device=True)
    for name, frame in FROM_DEVICE:
        yield frame_record(name, frame, to_device=False)
    yield from rejects()
    yield from objects()


if __name__ == "__main__":
    target = Path(__file__).with_name("wire.jsonl")
    target.write_text("".join(json.dumps(record) + "\n" for record in records()), encoding="utf-8")
