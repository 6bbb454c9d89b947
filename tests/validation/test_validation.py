"""Any bytes become a trusted update or a named rejection, and nothing forged becomes an update."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.validation import Rejection, Valid, ValidationContext, norm_limit, squared_norm, validate
from byzantiny.wire.auth import derive_keys, tag
from byzantiny.wire.codec import encode_manifest, encode_offer
from byzantiny.wire.messages import Kind, Manifest, Offer, Reason, Start
from byzantiny_models.encoding import encode
from byzantiny_models.networks import Layout, TensorSpec

LAYOUT = Layout((TensorSpec("w", (5, 3), "int16", 14), TensorSpec("b", (5,), "int32", 12)))
KEYS = {name: derive_keys(name.encode().ljust(32, b"s")) for name in ("dev-01", "dev-02", "dev-03")}
OFFER = Offer(3, 1, b"n" * 16, b"m" * 32, LAYOUT.sha256, LAYOUT.model_bytes, 100, 0, 1, 0, (5, 3))


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def offer_sha(offer: Offer) -> bytes:
    return sha(encode_offer(offer))


def context(**changes: Any) -> ValidationContext:
    base = ValidationContext(OFFER, offer_sha(OFFER), LAYOUT, frozenset({"dev-01", "dev-02"}), KEYS)
    return replace(base, **changes)


CODES = np.arange(20, dtype=np.int8) - 10


def update(
    codes: bytes = CODES.tobytes(), key: bytes = KEYS["dev-01"].up, start: dict[str, Any] | None = None, **changes: Any
) -> tuple[bytes, Start]:
    """A sealed update and its START; `changes` are to the manifest, before the tag."""
    manifest = Manifest(0, "dev-01", 3, offer_sha(OFFER), 1 << 32, 60, len(codes), sha(codes))
    head = encode_manifest(replace(manifest, **changes))
    blob = head + tag(key, head) + codes
    announced = Start(3, Kind.UPDATE, len(blob), 240, sha(blob))
    return blob, replace(announced, **(start or {}))


def reason(blob: bytes, start: Start, client_id: str = "dev-01", **changes: Any) -> Reason:
    outcome = validate(blob, start, client_id, context(**changes))
    assert isinstance(outcome, Rejection)
    assert outcome.text
    return outcome.reason


def test_a_sealed_update_is_valid_and_carries_its_codes_and_exact_norm() -> None:
    outcome = validate(*update(), "dev-01", context())
    assert isinstance(outcome, Valid)
    assert outcome.codes.tolist() == CODES.tolist()
    assert not outcome.codes.flags.writeable
    assert outcome.squared_norm == int((CODES.astype(int) ** 2).sum())
    assert (outcome.manifest.n_samples, outcome.late) == (60, False)


REFUSED: list[tuple[Reason, dict[str, Any]]] = [
    (Reason.MALFORMED, {"start": {"kind": Kind.MODEL}}),
    (Reason.WRONG_LENGTH, {"start": {"total": 147}}),
    (Reason.WRONG_LENGTH, {"payload_bytes": 19}),
    (Reason.BAD_HASH, {"start": {"sha256": bytes(32)}}),
    (Reason.UNKNOWN_KEY, {"key_id": 1}),
    (Reason.BAD_TAG, {"key": KEYS["dev-02"].up}),
    (Reason.BAD_TAG, {"key": KEYS["dev-01"].down}),
    (Reason.WRONG_DEVICE, {"device_id": "dev-02"}),
    (Reason.UNKNOWN_OFFER, {"offer_sha256": bytes(32)}),
    (Reason.WRONG_ROUND, {"round_num": 2}),
    (Reason.WRONG_ROUND, {"start": {"round_num": 4}}),
    (Reason.WRONG_LAYOUT, {"codes": bytes(19)}),
    (Reason.WRONG_LAYOUT, {"codes": bytes(21)}),
    (Reason.BAD_HASH, {"payload_sha256": bytes(32)}),
    (Reason.CODE_RANGE, {"codes": b"\x80" + bytes(19)}),
    (Reason.NORM, {"codes": bytes([127]) + bytes(19)}),
    (Reason.SAMPLES, {"n_samples": 0}),
    (Reason.SAMPLES, {"n_samples": 65_536}),
]


@pytest.mark.parametrize(("expected", "changes"), REFUSED, ids=lambda value: getattr(value, "name", ""))
def test_every_refusal_has_its_name(expected: Reason, changes: dict[str, Any]) -> None:
    assert reason(*update(**changes)) is expected


def test_a_device_claims_no_more_samples_than_it_was_enrolled_with() -> None:
    enrolled = {"dev-01": 60, "dev-02": 5}
    assert isinstance(validate(*update(n_samples=60), "dev-01", context(samples=enrolled)), Valid)
    assert reason(*update(n_samples=61), samples=enrolled) is Reason.SAMPLES
    unknown = context(samples={"dev-02": 5})
    assert isinstance(validate(*update(n_samples=65_535), "dev-01", unknown), Valid), "of whom nothing is known"


def test_the_earliest_check_names_the_refusal() -> None:
    everything_wrong = {"key_id": 7, "offer_sha256": bytes(32), "n_samples": 0, "codes": b"\x80" * 5}
    assert reason(*update(**everything_wrong), "dev-09") is Reason.UNKNOWN_DEVICE
    assert reason(*update(**everything_wrong)) is Reason.UNKNOWN_KEY
    del everything_wrong["key_id"]
    assert reason(*update(**everything_wrong, key=b"x" * 32)) is Reason.BAD_TAG
    assert reason(*update(**everything_wrong), cohort=frozenset()) is Reason.NOT_IN_COHORT
    assert reason(*update(**everything_wrong)) is Reason.UNKNOWN_OFFER


def test_a_device_outside_the_cohort_or_on_anothers_link_is_refused() -> None:
    blob, start = update(device_id="dev-03", key=KEYS["dev-03"].up)
    assert reason(blob, start, "dev-03") is Reason.NOT_IN_COHORT
    assert reason(*update(), "dev-02") is Reason.BAD_TAG


DIFFERENT = [
    (Reason.WRONG_ROUND, replace(OFFER, round_num=4)),
    (Reason.STALE_NONCE, replace(OFFER, nonce=b"o" * 16)),
    (Reason.WRONG_MODEL, replace(OFFER, model_sha256=b"q" * 32)),
    (Reason.WRONG_LAYOUT, replace(OFFER, shifts=(6, 4))),
    (Reason.UNKNOWN_OFFER, replace(OFFER, epochs=2)),
]


@pytest.mark.parametrize(("expected", "other"), DIFFERENT, ids=lambda value: getattr(value, "name", ""))
def test_a_known_offer_that_is_not_in_force_is_named_by_its_first_difference(expected: Reason, other: Offer) -> None:
    blob, start = update(offer_sha256=offer_sha(other), round_num=other.round_num)
    assert reason(blob, start, known_offers={offer_sha(other): other}) is expected


def test_an_update_of_an_earlier_round_is_late_not_refused_even_outside_the_cohort() -> None:
    earlier = replace(OFFER, round_num=2, nonce=b"e" * 16)
    blob, start = update(offer_sha256=offer_sha(earlier), round_num=2, start={"round_num": 2})
    known = {offer_sha(earlier): earlier, offer_sha(OFFER): OFFER}
    for cohort in (frozenset({"dev-01"}), frozenset({"dev-02"})):
        outcome = validate(blob, start, "dev-01", context(known_offers=known, cohort=cohort))
        assert isinstance(outcome, Valid)
        assert outcome.late
        assert outcome.manifest.round_num == 2


def test_an_earlier_update_sent_again_as_one_of_this_round_is_refused() -> None:
    earlier = replace(OFFER, round_num=2, nonce=b"e" * 16)
    known = {offer_sha(earlier): earlier}
    blob, start = update(offer_sha256=offer_sha(earlier), round_num=2)
    assert reason(blob, start, known_offers=known) is Reason.WRONG_ROUND
    assert reason(*update(offer_sha256=offer_sha(earlier)), known_offers=known) is Reason.WRONG_ROUND
    foreign = replace(earlier, layout_sha256=bytes(32), shifts=(5, 3, 1))
    blob, start = update(offer_sha256=offer_sha(foreign), round_num=2, start={"round_num": 2})
    assert reason(blob, start, known_offers={offer_sha(foreign): foreign}) is Reason.WRONG_LAYOUT


def test_the_norm_is_refused_only_above_the_bound_and_the_rounding_it_may_hide() -> None:
    assert norm_limit(100, LAYOUT, (5, 3)) == 110
    at_limit = bytes([110]) + bytes(19)
    assert isinstance(validate(*update(at_limit), "dev-01", context()), Valid)
    above = bytes([110, 1]) + bytes(18)
    assert reason(*update(above)) is Reason.NORM
    unbounded = replace(OFFER, l2_bound=0)
    blob, start = update(bytes([127] * 20), offer_sha256=offer_sha(unbounded))
    outcome = validate(blob, start, "dev-01", context(offer=unbounded, offer_sha256=offer_sha(unbounded)))
    assert isinstance(outcome, Valid)


def test_the_rounding_that_is_allowed_for_weighs_tensors_as_the_norm_does() -> None:
    assert norm_limit(0, LAYOUT, (6, 4)) == norm_limit(0, LAYOUT, (5, 3)) == 2 * 5  # ceil(sqrt 20)
    assert norm_limit(7, LAYOUT, (8, 3)) == 7 + 2 * 32  # ceil(sqrt(15 * 4^3 + 5))
    assert norm_limit(0, LAYOUT, (12, 0)) == 2 * 3966  # ceil(sqrt(15 * 4^10 + 5))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([3, 200, 5000, 2**24]),
    shifts=st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda s: -12 <= s[0] - 14 - (s[1] - 12) <= 12),
    bound=st.sampled_from([1, 2, 50, 1000, 2**20 - 1]),
)
def test_an_honest_update_is_never_refused_for_its_norm_whatever_the_grid(
    seed: int, spread: int, shifts: tuple[int, int], bound: int
) -> None:
    rng = np.random.default_rng(seed)
    start = LAYOUT.saturate(rng.integers(-(2**24), 2**24, LAYOUT.d))
    local = LAYOUT.saturate(start + rng.integers(-spread, spread + 1, LAYOUT.d))
    codes = encode(LAYOUT, start, local, shifts, bound, (seed, 1))
    assert squared_norm(codes, LAYOUT, shifts) <= norm_limit(bound, LAYOUT, shifts) ** 2


def test_on_a_coarse_tensor_rounding_alone_exceeds_what_equal_exponents_would_allow() -> None:
    """All twelve exponents apart: one code of the weights is 4096 steps, so an allowance of 2 ceil(sqrt d) refuses it."""
    local = [100] * 15 + [0] * 5  # a 41st of a step of the weights: rounding makes some of the 15 a whole one
    norms = [
        squared_norm(encode(LAYOUT, [0] * 20, local, (12, 0), 600, (key, 1)), LAYOUT, (12, 0)) for key in range(40)
    ]
    assert max(norms) > (600 + 2 * 5) ** 2
    assert max(norms) <= norm_limit(600, LAYOUT, (12, 0)) ** 2


def test_the_norm_weights_tensors_by_their_exponents_and_is_exact_at_the_extreme() -> None:
    ones = np.ones(20, np.int8)
    assert squared_norm(ones, LAYOUT, (5, 3)) == 20
    assert squared_norm(ones, LAYOUT, (6, 3)) == 15 * 4 + 5
    assert squared_norm(np.full(20, -128, np.int8), LAYOUT, (12, 0)) == 128**2 * (15 * 4**10 + 5)


@given(st.binary(max_size=300), st.integers(0, 400), st.sampled_from(["dev-01", "dev-09", ""]))
def test_any_bytes_give_an_outcome(blob: bytes, total: int, client_id: str) -> None:
    for start in (Start(3, Kind.UPDATE, total, 64, sha(blob)), Start(3, Kind.UPDATE, len(blob), 64, sha(blob))):
        assert isinstance(validate(blob, start, client_id, context()), Rejection)


@given(st.data())
def test_mangling_a_valid_update_anywhere_gives_an_outcome(data: st.DataObject) -> None:
    blob, start = update()
    at = data.draw(st.integers(0, len(blob)))
    piece = data.draw(st.binary(max_size=40))
    mangled = blob[:at] + piece + blob[at + data.draw(st.integers(0, 40)) :]
    outcome = validate(mangled, replace(start, total=len(mangled), sha256=sha(mangled)), "dev-01", context())
    assert isinstance(outcome, Rejection) == (mangled != blob)


def test_every_single_bit_flip_is_refused_even_when_start_is_made_to_agree() -> None:
    blob, start = update()
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason(bytes(flipped), start) is not Reason.NONE
        reason(bytes(flipped), replace(start, sha256=sha(bytes(flipped))))


@given(
    st.builds(
        dict,
        key_id=st.integers(0, 2**32 - 1),
        round_num=st.integers(0, 2**32 - 1),
        counter=st.integers(0, 2**64 - 1),
        n_samples=st.integers(0, 2**32 - 1),
        offer_sha256=st.binary(min_size=32, max_size=32),
    )
)
def test_an_insider_with_the_key_can_write_any_manifest_and_still_gets_an_outcome(fields: dict[str, Any]) -> None:
    assert isinstance(validate(*update(**fields), "dev-01", context()), Valid | Rejection)
