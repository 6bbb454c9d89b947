"""Untrusted object to trusted update, or a named rejection: pure, and total on bytes.

Every field of an update object is chosen by the client, so each is compared with the coordinator's own state: the keys,
the cohort, the offers it made. The checks come in a fixed order and the first that fails names the rejection; what a
wrong tag covers is never looked at.

An update of an earlier offer of this run is not refused but *late*: it passes the same checks against the offer it
answers, and the ledger records it as STALE. There is no replay counter among the checks: an update is bound to one
offer by its hash and is counted once per (device, round), whatever its counter says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from byzantiny.wire.auth import Keys, verify
from byzantiny.wire.codec import WireError, decode_manifest
from byzantiny.wire.messages import (
    MANIFEST_BYTES,
    UPDATE_HEADER_BYTES,
    Kind,
    Manifest,
    Offer,
    Reason,
    Start,
)
from byzantiny_models.networks import Layout
from byzantiny_models.quantization import isqrt_ceil

MAX_SAMPLES: Final = 65_535


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an update was refused: the code for the receipt, and a sentence with the value and the limit."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Valid:
    """A trusted update; `late` if it answers an earlier offer than the one in force. `codes` are read-only."""

    codes: npt.NDArray[np.int8]
    manifest: Manifest
    squared_norm: int
    """`sum_t 4^(e_t - e_min) * sum c^2`, exact (SPEC 3)."""
    late: bool = False


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """What the coordinator knows: its offers, its cohort, its keys.

    `known_offers` are the offers of this run by hash, the one in force among them or not.
    """

    offer: Offer
    offer_sha256: bytes
    layout: Layout
    cohort: frozenset[str]
    keys: Mapping[str, Keys]
    known_offers: Mapping[bytes, Offer] = field(default_factory=dict)
    key_id: int = 0
    samples: Mapping[str, int] = field(default_factory=dict)
    """How many samples each device was enrolled with: the most it may claim; who is not here may claim MAX_SAMPLES."""


Outcome: TypeAlias = Valid | Rejection


def validate(blob: bytes, start: Start, client_id: str, context: ValidationContext) -> Outcome:
    """Judge one received object by everything but the state of its round; never raises on any bytes.

    `start` is what announced the transfer, `client_id` whose link it came over.
    """
    manifest = _read(blob, start)
    if isinstance(manifest, Rejection):
        return manifest
    refused = _identity(blob, manifest, client_id, context)
    if refused is not None:
        return refused
    offer = _offer_of(manifest, start, client_id, context)
    if isinstance(offer, Rejection):
        return offer
    return _content(blob, manifest, offer, context)


def squared_norm(codes: npt.NDArray[np.int8], layout: Layout, shifts: tuple[int, ...]) -> int:
    """Return `sum_t 4^(e_t - e_min) * sum c^2` of one row, exact.

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 14)))
    >>> squared_norm(np.array([3, -4, 1], np.int8), layout, (5, 6))
    29
    """
    exponents = layout.exponents(shifts)
    lowest = min(exponents)
    squares = np.square(codes.astype(np.int16)).astype(np.int64)  # 128^2 fits an int16
    return sum(
        int(squares[where].sum()) << 2 * (exponent - lowest)
        for where, exponent in zip(layout.slices, exponents, strict=True)
    )


def norm_limit(l2_bound: int, layout: Layout, shifts: tuple[int, ...]) -> int:
    """Return the largest norm that is not refused, `B + 2 ceil(S)`, `S^2 = sum_t 4^(e_t - e_min) d_t`, in steps of e_min.

    An honest device never exceeds `B + 1.5 S`: the norm it clips to B is that of the nearest codes, at most S / 2 from
    the change itself, and stochastic rounding then moves every code by less than one step of its own tensor. With equal
    exponents S is sqrt(d), and this is SPEC 3's `B + 2 ceil(sqrt d)`; docs/decisions/0010 has the general case.

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2400,), "int16", 14), TensorSpec("b", (10,), "int32", 14)))
    >>> norm_limit(1000, layout, (6, 6)), norm_limit(1000, layout, (8, 6))
    (1100, 1392)
    """
    exponents = layout.exponents(shifts)
    lowest = min(exponents)
    longest = sum(t.elements << 2 * (e - lowest) for t, e in zip(layout.tensors, exponents, strict=True))
    return l2_bound + 2 * isqrt_ceil(longest)


def _read(blob: bytes, start: Start) -> Manifest | Rejection:
    """Check the structure: lengths, the announced hash, a manifest that can be read."""
    if start.kind is not Kind.UPDATE:
        return Rejection(Reason.MALFORMED, f"an object of kind {start.kind.name} was sent where an UPDATE is expected")
    if len(blob) != start.total or len(blob) < UPDATE_HEADER_BYTES:
        return Rejection(
            Reason.WRONG_LENGTH,
            f"the object has {len(blob)} bytes, START announced {start.total}, the least is {UPDATE_HEADER_BYTES}",
        )
    try:
        manifest = decode_manifest(blob[:MANIFEST_BYTES])
    except WireError as error:
        return Rejection(Reason.MALFORMED, f"the manifest cannot be read: {error}")
    if manifest.payload_bytes != len(blob) - UPDATE_HEADER_BYTES:
        return Rejection(
            Reason.WRONG_LENGTH,
            f"the manifest says {manifest.payload_bytes} bytes of codes, {len(blob) - UPDATE_HEADER_BYTES} came",
        )
    if hashlib.sha256(blob).digest() != start.sha256:
        return Rejection(Reason.BAD_HASH, f"the object's SHA-256 is not the announced {start.sha256.hex()[:16]}")
    return manifest


def _identity(blob: bytes, manifest: Manifest, client_id: str, context: ValidationContext) -> Rejection | None:
    """Check who sent it: a known device, a key in force, its tag, its own name."""
    keys = context.keys.get(client_id)
    if keys is None:
        return Rejection(Reason.UNKNOWN_DEVICE, f"no secret is enrolled for {client_id!r}")
    if manifest.key_id != context.key_id:
        return Rejection(Reason.UNKNOWN_KEY, f"key_id {manifest.key_id} is not in force, {context.key_id} is")
    if not verify(keys.up, blob[:MANIFEST_BYTES], blob[MANIFEST_BYTES:UPDATE_HEADER_BYTES]):
        return Rejection(Reason.BAD_TAG, f"the tag was not made with the up key of {client_id}")
    if manifest.device_id != client_id:
        return Rejection(Reason.WRONG_DEVICE, f"the manifest names {manifest.device_id!r}, the link is {client_id}'s")
    return None


def _offer_of(manifest: Manifest, start: Start, client_id: str, context: ValidationContext) -> Offer | Rejection:
    """Find the offer the update answers: the one in force, or an earlier one of this run (then the update is late)."""
    current = manifest.offer_sha256 == context.offer_sha256
    answered = context.offer if current else context.known_offers.get(manifest.offer_sha256)
    late = answered is not None and answered.round_num < context.offer.round_num
    # A straggler of an earlier round is late, not an intruder: only the cohort of the round in force is checked.
    if not late and client_id not in context.cohort:
        return Rejection(
            Reason.NOT_IN_COHORT,
            f"{client_id} is not in the cohort of {len(context.cohort)} of round {context.offer.round_num}",
        )
    if answered is None:
        return Rejection(Reason.UNKNOWN_OFFER, f"offer {manifest.offer_sha256.hex()[:16]} was never made by this run")
    if not late and answered is not context.offer:
        return _difference(answered, context.offer)
    if answered.layout_sha256 != context.layout.sha256:
        return Rejection(Reason.WRONG_LAYOUT, f"it is of layout {answered.layout_sha256.hex()[:16]}, not of this one")
    for where, round_num in (("the manifest", manifest.round_num), ("START", start.round_num)):
        if round_num != answered.round_num:
            return Rejection(
                Reason.WRONG_ROUND,
                f"{where} says round {round_num}, the offer it answers is of round {answered.round_num}",
            )
    return answered


def _difference(answered: Offer, offer: Offer) -> Rejection:
    """Name the first field in which an offer of this run differs from the one in force."""
    if answered.round_num != offer.round_num:
        return Rejection(Reason.WRONG_ROUND, f"it answers round {answered.round_num}, round {offer.round_num} is open")
    if answered.nonce != offer.nonce:
        return Rejection(
            Reason.STALE_NONCE, f"it answers nonce {answered.nonce.hex()}, nonce {offer.nonce.hex()} is in force"
        )
    if answered.model_sha256 != offer.model_sha256:
        return Rejection(
            Reason.WRONG_MODEL,
            f"it starts from model {answered.model_sha256.hex()[:16]}, {offer.model_sha256.hex()[:16]} was offered",
        )
    if (answered.layout_sha256, answered.shifts) != (offer.layout_sha256, offer.shifts):
        return Rejection(
            Reason.WRONG_LAYOUT, f"it is on the grid {answered.shifts} of another layout, {offer.shifts} was offered"
        )
    return Rejection(Reason.UNKNOWN_OFFER, "it answers an offer that is no longer in force")


def _content(blob: bytes, manifest: Manifest, offer: Offer, context: ValidationContext) -> Outcome:
    """Check what was sent: as many codes as coordinates, their hash, range and norm, the number of samples."""
    d = context.layout.d
    if manifest.payload_bytes != d:
        return Rejection(Reason.WRONG_LAYOUT, f"it has {manifest.payload_bytes} codes, the layout has {d} coordinates")
    payload = bytes(blob[UPDATE_HEADER_BYTES:])
    if hashlib.sha256(payload).digest() != manifest.payload_sha256:
        return Rejection(
            Reason.BAD_HASH, f"the codes' SHA-256 is not the manifest's {manifest.payload_sha256.hex()[:16]}"
        )
    codes = np.frombuffer(payload, np.int8)
    out_of_range = np.flatnonzero(codes == -128)
    if out_of_range.size:
        return Rejection(
            Reason.CODE_RANGE, f"{out_of_range.size} codes are -128 (first at {out_of_range[0]}), the limits are +-127"
        )
    norm = squared_norm(codes, context.layout, offer.shifts)
    limit = norm_limit(offer.l2_bound, context.layout, offer.shifts)
    if offer.l2_bound and norm > limit**2:
        return Rejection(
            Reason.NORM, f"the squared norm is {norm}, the limit is {limit}^2 for the bound {offer.l2_bound}"
        )
    most = context.samples.get(manifest.device_id, MAX_SAMPLES)
    if not 1 <= manifest.n_samples <= most:
        return Rejection(Reason.SAMPLES, f"it claims {manifest.n_samples} samples, 1 to {most} are possible")
    return Valid(codes, manifest, norm, late=offer is not context.offer)
