"""The objects that transfers carry: offer and update, bytes <-> fields (docs/wire.md 3). Keys are `wire.auth`."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from typing import Final

from byzantiny.wire.errors import ObjectError
from byzantiny.wire.messages import (
    CLIENT_ID_BYTES,
    MAGIC,
    MANIFEST,
    MANIFEST_BYTES,
    MAX_SHIFT,
    MAX_TENSORS,
    OFFER_FIXED,
    OFFER_FIXED_BYTES,
    PROTO,
    TAG_BYTES,
    UPDATE_HEADER_BYTES,
    Kind,
    Manifest,
    Offer,
    Reason,
    Round,
)

OFFER_OBJECT_MIN_BYTES: Final = OFFER_FIXED_BYTES + 4 + TAG_BYTES
OFFER_OBJECT_MAX_BYTES: Final = OFFER_FIXED_BYTES + MAX_TENSORS + TAG_BYTES
LR_SHIFTS: Final = range(4, 15)
L2_BOUND_LIMIT: Final = 1 << 20

_CLIENT_ID = re.compile(rb"[a-z0-9-]{1,16}\0*")


def encode_client_id(client_id: str) -> bytes:
    """16 bytes of zero-padded ASCII; raises ValueError unless it is 1 to 16 characters of [a-z0-9-].

    >>> encode_client_id("dev-01").rstrip(bytes(1))
    b'dev-01'
    """
    raw = client_id.encode("ascii", "replace")
    if not _CLIENT_ID.fullmatch(raw) or raw.endswith(b"\0"):
        raise ValueError(f"client_id {client_id!r} is not 1 to 16 characters of [a-z0-9-]")
    return raw.ljust(CLIENT_ID_BYTES, b"\0")


def decode_client_id(raw: bytes) -> str:
    """Invert `encode_client_id`; raises ValueError on any other 16 bytes.

    >>> decode_client_id(b"dev-01" + bytes(10))
    'dev-01'
    """
    if len(raw) != CLIENT_ID_BYTES or not _CLIENT_ID.fullmatch(raw):
        raise ValueError(f"client_id {raw!r} is not 1 to 16 bytes of [a-z0-9-], zero-padded to 16")
    return raw.rstrip(b"\0").decode("ascii")


def encode_offer(offer: Offer) -> bytes:
    """The body of an offer (116 bytes and the shifts); its limits are checked by whoever decodes it.

    Raises ValueError where a value does not fit its field.

    >>> body = encode_offer(Offer(1, 7, bytes(16), bytes(32), bytes(32), 4946, 0, 60000, 1, 9, (3, 3)))
    >>> len(body), decode_offer(body).shifts
    (120, (3, 3))
    """
    count = len(offer.shifts)
    if not 1 <= count <= MAX_TENSORS:
        raise ValueError(f"an offer of {count} shifts; 1 to {MAX_TENSORS} fit")
    try:
        fixed = OFFER_FIXED.pack(
            MAGIC, PROTO, Kind.OFFER, offer.round_num, offer.seed, offer.nonce, offer.model_sha256, offer.layout_sha256,
            offer.model_bytes, offer.l2_bound, offer.deadline_ms, offer.epochs, offer.lr_shift, count, 0,
        )  # fmt: skip
        return fixed + struct.pack(f"{count}b{-count % 4}x", *offer.shifts)
    except struct.error as error:
        raise ValueError(f"an offer's value does not fit its field: {error}") from error


def decode_offer(body: bytes) -> Offer:
    """The fields of an offer's body, every limit checked; raises ObjectError(BAD_OFFER) naming what is wrong."""
    if not OFFER_FIXED_BYTES < len(body) <= OFFER_FIXED_BYTES + MAX_TENSORS:
        raise ObjectError(Reason.BAD_OFFER, f"an offer of {len(body)} bytes; 120 to 148 are possible")
    (
        magic, proto, kind, round_num, seed, nonce, model, layout, model_bytes, l2_bound, deadline_ms, epochs, lr_shift,
        count, zero,
    ) = OFFER_FIXED.unpack_from(body)  # fmt: skip
    if (magic, proto, kind) != (MAGIC, PROTO, Kind.OFFER):
        raise ObjectError(
            Reason.BAD_OFFER, f"magic {magic!r}, proto {proto}, kind {kind} is no offer of version {PROTO}"
        )
    if len(body) != OFFER_FIXED_BYTES + count + -count % 4 or zero or any(body[OFFER_FIXED_BYTES + count :]):
        raise ObjectError(
            Reason.BAD_OFFER, f"{len(body)} bytes and {count} tensors do not agree, or padding is not zero"
        )
    shifts = struct.unpack_from(f"{count}b", body, OFFER_FIXED_BYTES)
    offer = Offer(
        round_num, seed, nonce, model, layout, model_bytes, l2_bound, deadline_ms, epochs, lr_shift, shifts
    )  # fmt: skip
    if offer.epochs < 1:
        raise ObjectError(Reason.BAD_OFFER, "epochs is 0; at least 1 is needed")
    if offer.lr_shift not in LR_SHIFTS:
        raise ObjectError(Reason.BAD_OFFER, f"lr_shift {offer.lr_shift} is outside 4..14")
    if not all(0 <= shift <= MAX_SHIFT for shift in offer.shifts):
        raise ObjectError(Reason.BAD_OFFER, f"shifts {offer.shifts} are not all within 0..{MAX_SHIFT}")
    if offer.l2_bound >= L2_BOUND_LIMIT:
        raise ObjectError(Reason.BAD_OFFER, f"l2_bound {offer.l2_bound} is not below {L2_BOUND_LIMIT}")
    return offer


def encode_manifest(manifest: Manifest) -> bytes:
    """The 112 bytes an update's tag covers; raises ValueError where a value does not fit its field.

    >>> raw = encode_manifest(Manifest(0, "dev-01", 1, bytes(32), 1 << 32 | 1, 60, 2410, bytes(32)))
    >>> len(raw), decode_manifest(raw).device_id
    (112, 'dev-01')
    """
    try:
        return MANIFEST.pack(
            MAGIC, PROTO, Kind.UPDATE, manifest.key_id, encode_client_id(manifest.device_id), manifest.round_num,
            manifest.offer_sha256, manifest.counter, manifest.n_samples, manifest.payload_bytes,
            manifest.payload_sha256,
        )  # fmt: skip
    except struct.error as error:
        raise ValueError(f"a manifest's value does not fit its field: {error}") from error


def decode_manifest(raw: bytes) -> Manifest:
    """The fields of a manifest; raises ObjectError(MALFORMED). What they claim is for `validation` to check."""
    if len(raw) != MANIFEST_BYTES:
        raise ObjectError(Reason.MALFORMED, f"a manifest of {len(raw)} bytes; {MANIFEST_BYTES} are needed")
    magic, proto, kind, key_id, device_id, *rest = MANIFEST.unpack(raw)
    if (magic, proto, kind) != (MAGIC, PROTO, Kind.UPDATE):
        raise ObjectError(
            Reason.MALFORMED, f"magic {magic!r}, proto {proto}, kind {kind} is no update of version {PROTO}"
        )
    try:
        return Manifest(key_id, decode_client_id(device_id), *rest)
    except ValueError as error:
        raise ObjectError(Reason.MALFORMED, str(error)) from error


@dataclass(frozen=True, slots=True)
class UpdateParts:
    """An update object taken apart; nothing in it has been verified."""

    manifest: Manifest
    manifest_bytes: bytes
    tag: bytes
    codes: bytes


def split_update(blob: bytes) -> UpdateParts:
    """Take manifest || tag || codes apart; raises ObjectError(MALFORMED) when it is too short or no manifest.

    >>> raw = encode_manifest(Manifest(0, "dev-01", 1, bytes(32), 1, 60, 3, bytes(32)))
    >>> split_update(raw + bytes(16) + b"abc").codes
    b'abc'
    """
    if len(blob) <= UPDATE_HEADER_BYTES:
        raise ObjectError(
            Reason.MALFORMED, f"an update of {len(blob)} bytes; more than {UPDATE_HEADER_BYTES} are needed"
        )
    head = blob[:MANIFEST_BYTES]
    return UpdateParts(
        decode_manifest(head), head, blob[MANIFEST_BYTES:UPDATE_HEADER_BYTES], blob[UPDATE_HEADER_BYTES:]
    )


def split_offer(blob: bytes) -> tuple[bytes, bytes]:
    """Take body || tag apart, undecoded; raises ObjectError(BAD_OFFER) when the length is impossible.

    >>> split_offer(bytes(120) + b"t" * 16)[1]
    b'tttttttttttttttt'
    """
    if not OFFER_OBJECT_MIN_BYTES <= len(blob) <= OFFER_OBJECT_MAX_BYTES:
        raise ObjectError(Reason.BAD_OFFER, f"an offer object of {len(blob)} bytes; 136 to 164 are possible")
    return blob[:-TAG_BYTES], blob[-TAG_BYTES:]


def judge_offer(
    body: bytes, announced: Round, layout_sha256: bytes, model_bytes: int, n_tensors: int, oldest: int = 0
) -> Offer | Reason:
    """What a device makes of an offer's body whose tag is right: its fields, or the first reason that refuses it.

    `oldest` is the round of the offer accepted before; the order is that of docs/wire.md 5.

    >>> offer = Offer(1, 7, bytes(16), bytes(32), bytes(32), 4, 0, 60000, 1, 9, (3,))
    >>> body = encode_offer(offer)
    >>> announced = Round(1, len(body) + 16, hashlib.sha256(body).digest())
    >>> judge_offer(body, announced, bytes(32), 4, 1) == offer, judge_offer(body, announced, bytes(32), 4, 2).name
    (True, 'WRONG_LAYOUT')
    """
    values = OFFER_FIXED.unpack_from(body)
    round_num, layout, size, count = values[3], values[7], values[8], values[13]
    if round_num < oldest:
        return Reason.STALE_ROUND
    if round_num != announced.round_num:
        return Reason.WRONG_ROUND
    if hashlib.sha256(body).digest() != announced.offer_sha256:
        return Reason.UNKNOWN_OFFER
    if (layout, size, count) != (layout_sha256, model_bytes, n_tensors):
        return Reason.WRONG_LAYOUT
    try:
        return decode_offer(body)
    except ObjectError as error:
        return error.reason
