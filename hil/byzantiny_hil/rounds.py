"""A federated round with one open board, in real time: the work, the exchange, and what NumPy says should come of it."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from byzantiny.wire.auth import Keys, derive_keys
from byzantiny.wire.codec import encode_offer
from byzantiny.wire.events import Event, Refused, RoundWork, Silent, Step, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import (
    PROTO,
    TAG_BYTES,
    WINDOW_CHUNKS,
    Ack,
    HelloAck,
    Offer,
    Reason,
    Round,
    Start,
    Status,
    Verdict,
)
from byzantiny_hil.device import Board
from byzantiny_hil.emulated import network_of
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.networks import initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train

DEFAULT_SHIFT = 5
WAIT_S = 0.05
LAST_ROUND = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round with a board came to."""

    start: Start
    """The START of the update that was received."""
    update: bytes
    """The update object: manifest, tag, codes."""
    events: tuple[Event, ...]
    took_s: float


def make_work(board: Board, round_num: int, *, seed: int = 7, epochs: int = 1, lr_shift: int = 9) -> RoundWork:
    """Return a round for the network the board's firmware is built for; its nonce is new."""
    network = network_of(board.mapped)
    layout = network.layout
    model = layout.pack(initial_model(network, seed))
    offer = Offer(
        round_num, seed, secrets.token_bytes(16), hashlib.sha256(model).digest(), layout.sha256, len(model), 0, 60_000,
        epochs, lr_shift, tuple(layout.default_shifts(DEFAULT_SHIFT)),
    )  # fmt: skip
    return RoundWork(round_num, encode_offer(offer), model)


def expected_codes(board: Board, offer: Offer, model: bytes) -> npt.NDArray[np.int8]:
    """Return the codes that the NumPy reference gives for the board's data; the map must name them."""
    assert board.dataset is not None, "the caller knows the data"
    network = network_of(board.mapped)
    start = network.layout.unpack(model)
    x, y, _ = datasets.unpack(board.dataset)
    keys = {stream: derive_key(offer.seed, board.mapped.device_id, offer.round_num, stream) for stream in Stream}
    local = train(
        network, start, x, y, keys[Stream.SAMPLE_ORDER], keys[Stream.TRAINING], offer.epochs, offer.lr_shift
    )  # fmt: skip
    return encode(network.layout, start, local, offer.shifts, offer.l2_bound, keys[Stream.CODES])


def open_session(board: Board) -> HelloAck:
    """Negotiate, and return the terms in force; raises HilError when the board does not echo them."""
    hello = board.ask_hello()
    terms = HelloAck(PROTO, min(hello.max_payload, board.mapped.entry.max_payload), WINDOW_CHUNKS, hello.boot_id)
    echo = board.request(terms, HelloAck)
    if echo != terms:
        raise board.error(f"it echoes {echo} for {terms}; its firmware is another version")
    return terms


def oldest_round(board: Board) -> int:
    """Return the lowest round number the board still takes: that of the offer it accepted last, or 1.

    A board refuses older rounds until it is switched off. Asking costs at most 33 short frames and leaves no trace, so
    that the conformance set runs on a board in the middle of its life and does not raise the number.
    """
    open_session(board)

    def takes(round_num: int) -> bool:
        answer = board.request(Round(round_num, 120 + TAG_BYTES, bytes(32)), Ack)
        return answer.status != Status.STALE_ROUND

    if takes(1):
        return 1
    low, high = 1, LAST_ROUND
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if takes(middle) else (middle, high)
    return high


def run_round(board: Board, work: RoundWork, *, keys: Keys | None = None) -> Outcome:
    """Offer the round and return the update, receipted ACCEPTED.

    `keys` (default: of the board's secret) are for showing that wrong ones are refused. Raises HilError: refused, the
    board is gone, or nothing complete within the map's `round_timeout_s`.
    """
    entry = board.mapped.entry
    session = HostSession(
        board.mapped.device_id,
        keys or derive_keys(board.secret),
        address=entry.address,
        max_payload=entry.max_payload,
        baud=board.baud,
        rng=np.random.default_rng(0),
    )
    board.log.note(f"round {work.round_num}")
    events: list[Event] = []
    began = time.monotonic()
    step = session.begin(work, began)
    while (now := time.monotonic()) - began < entry.round_timeout_s:
        update = _take(board, step, events)
        if update is not None:
            _take(board, session.conclude(update.xfer, Verdict.ACCEPTED, Reason.NONE, now), events)
            session.end()
            return Outcome(update.start, update.data, tuple(events), now - began)
        due = session.next_due
        if due is not None and due <= now:
            step = session.on_time(now)
            continue
        step = Step()
        for frame in board.receive(WAIT_S if due is None else min(WAIT_S, due - now)):
            got = session.on_frame(frame, time.monotonic())
            step = Step(step.frames + got.frames, step.events + got.events)
    said = ", ".join(type(event).__name__ for event in events) or "nothing"
    raise board.error(
        f"round {work.round_num} is not complete after {entry.round_timeout_s} s ({said}); a slow core needs a "
        "longer round_timeout_s in the map"
    )


def _take(board: Board, step: Step, events: list[Event]) -> UpdateReceived | None:
    """Send a step's frames and return its update, if it brought one; raises HilError on a refusal."""
    for frame in step.frames:
        board.send_frame(frame)
    events.extend(step.events)
    for event in step.events:
        if isinstance(event, Refused):
            hint = "; is its secret_file the right one?" if event.cause == Reason.BAD_TAG else ""
            raise board.error(f"it refuses the {event.phase} with {event.name}{hint}")
        if isinstance(event, Silent):
            board.log.note("silent")
    return next((event for event in step.events if isinstance(event, UpdateReceived)), None)
