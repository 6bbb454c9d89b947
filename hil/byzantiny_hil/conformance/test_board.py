# ruff: noqa: D103 - a test's name says what it shows
"""The conformance set: identity, exchange both ways, a round whose codes are NumPy's, damage, power.

Every test leaves the board as it found it, but for its counters and the update it holds; none raises the number of the
round that it accepts. They may run in any order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest

from byzantiny.wire.auth import derive_keys, verify
from byzantiny.wire.codec import decode_offer, split_update
from byzantiny.wire.events import ModelAccepted, OfferAccepted, RoundWork
from byzantiny.wire.messages import (
    PAYLOAD_SIZES,
    PROTO,
    TAG_BYTES,
    UPDATE_HEADER_BYTES,
    Cap,
    Hello,
    Kind,
    Offer,
    Reject,
    Round,
)
from byzantiny_hil.conformance.damage import damaged
from byzantiny_hil.device import Board
from byzantiny_hil.emulated import network_of
from byzantiny_hil.errors import HilError
from byzantiny_hil.rounds import Outcome, expected_codes, make_work, oldest_round, open_session, run_round

NOISE_BYTES = 700
"""More than any frame, so that the receiver has to give one up."""


@dataclass(frozen=True)
class Finished:
    """A round that is over."""

    work: RoundWork
    offer: Offer
    outcome: Outcome
    hello: Hello


@pytest.fixture(scope="session")
def finished(board: Board) -> Finished:
    """One round with the board, whose parts several tests look at."""
    work = make_work(board, oldest_round(board))
    outcome = run_round(board, work)
    return Finished(work, decode_offer(work.offer_body), outcome, board.hello)


def test_hello_is_that_of_the_map_and_its_fields_are_possible(board: Board) -> None:
    hello = board.ask_hello()
    assert hello.device_id == board.mapped.device_id
    assert hello.proto_min <= PROTO <= hello.proto_max
    assert hello.max_payload in PAYLOAD_SIZES
    assert hello.rx_credit >= 1
    assert hello.max_object >= network_of(board.mapped).layout.model_bytes
    assert hello.caps & Cap.TRAIN_INT8_SR
    assert hello.n_samples >= 1
    assert any(hello.fw_sha256), "the firmware's hash is all zeros: it was built outside the build"


def test_hello_names_the_data_that_the_map_names(board: Board) -> None:
    if board.dataset is None:
        pytest.skip(_no_data(board))
    assert board.hello.data_sha256 == hashlib.sha256(board.dataset).digest(), (
        "the data in the board's flash are not those of dataset_file"
    )


def test_ping_is_echoed_and_the_counters_count_it(board: Board) -> None:
    before = board.metric()
    sent = board.frames_sent
    for nonce in (0, 1, 0x00FF00FF, 0xFFFFFFFF):
        board.ping(nonce)
    after = board.metric()
    assert after.frames_received - before.frames_received == board.frames_sent - sent
    assert after.frames_sent - before.frames_sent == board.frames_sent - sent
    assert after.rejects == before.rejects


def test_offer_and_model_go_down_and_the_update_comes_up_whole(board: Board, finished: Finished) -> None:
    events = [type(event) for event in finished.outcome.events]
    assert OfferAccepted in events
    assert ModelAccepted in events
    start, update = finished.outcome.start, finished.outcome.update
    assert (start.kind, start.round_num, start.total) == (Kind.UPDATE, finished.work.round_num, len(update))
    assert start.sha256 == hashlib.sha256(update).digest()
    parts = split_update(update)
    manifest = parts.manifest
    assert verify(derive_keys(board.secret).up, parts.manifest_bytes, parts.tag), "the update's tag is not its secret's"
    assert (manifest.device_id, manifest.round_num) == (board.mapped.device_id, finished.work.round_num)
    assert manifest.offer_sha256 == hashlib.sha256(finished.work.offer_body).digest()
    assert manifest.payload_bytes == len(parts.codes) == network_of(board.mapped).layout.d
    assert len(update) == UPDATE_HEADER_BYTES + len(parts.codes)
    assert manifest.payload_sha256 == hashlib.sha256(parts.codes).digest()
    assert manifest.n_samples == finished.hello.n_samples
    assert manifest.counter >> 32 == finished.hello.boot_id


def test_the_codes_of_a_round_are_numpys_bytes(board: Board, finished: Finished) -> None:
    if board.dataset is None:
        pytest.skip(_no_data(board))
    expected = expected_codes(board, finished.offer, finished.work.model)
    codes = np.frombuffer(split_update(finished.outcome.update).codes, np.int8)
    differing = np.flatnonzero(codes != expected)
    assert np.abs(expected).max() > 0, "nothing was learned, so nothing is shown"
    assert differing.size == 0, f"{differing.size} of {codes.size} codes differ, the first at {differing[0]}"


def test_an_offer_with_another_secret_is_refused(board: Board) -> None:
    steps = board.metric().training_steps
    forged = derive_keys(hashlib.sha256(b"somebody else").digest())
    with pytest.raises(HilError, match="refuses the offer with BAD_TAG"):
        run_round(board, make_work(board, oldest_round(board)), keys=forged)
    assert board.metric().training_steps == steps


@pytest.mark.parametrize("reject", list(Reject), ids=lambda reject: reject.name.lower())
def test_a_damaged_frame_is_counted_under_its_name_and_never_answered(board: Board, reject: Reject) -> None:
    before = board.metric()
    board.send_bytes(damaged(reject, board.mapped.entry.address))
    after = board.metric()  # the next frame is read as ever
    grown = {name.name: b - a for name, a, b in zip(Reject, before.rejects, after.rejects, strict=True) if a != b}
    assert grown == {reject.name: 1}
    assert after.frames_sent - before.frames_sent == 1


def test_line_noise_and_half_a_frame_cost_nothing_but_a_count(board: Board) -> None:
    before = board.metric()
    whole = damaged(Reject.ADDRESS, board.mapped.entry.address)
    board.send_bytes(np.random.default_rng(1).bytes(NOISE_BYTES) + whole[: len(whole) // 2])
    board.ping(0xC0FFEE)
    after = board.metric()
    assert sum(after.rejects) > sum(before.rejects)
    assert after.training_steps == before.training_steps
    board.ask_hello()


def test_a_reset_notice_closes_the_session(board: Board) -> None:
    open_session(board)
    boot_id = board.hello.boot_id
    assert board.reset_notice().boot_id == boot_id
    answer = board.request(Round(1, 120 + TAG_BYTES, bytes(32)), Hello)
    assert answer.device_id == board.mapped.device_id, "a closed session answers HELLO, whatever is asked"


def test_a_power_cycle_brings_the_banner_and_the_same_codes(board: Board, finished: Finished) -> None:
    if not board.can_power_cycle:
        pytest.skip(f"{board.name} cannot be power-cycled from here")
    boot_id = board.hello.boot_id
    assert board.power_cycle().boot_id != boot_id
    assert board.metric().training_steps == 0
    assert oldest_round(board) == 1
    again = run_round(board, make_work(board, finished.work.round_num))
    assert split_update(again.update).codes == split_update(finished.outcome.update).codes


def _no_data(board: Board) -> str:
    return (
        f"{board.name} reports data {board.hello.data_sha256.hex()[:16]}; name their file in the map "
        "(dataset_file) to compare its codes with NumPy's"
    )
