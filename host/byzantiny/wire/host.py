"""The host's side of the wire: one device, one round at a time, and every timer of both directions (docs/wire.md 6).

No I/O and no clock: frames and the time come in, frames and events go out. A device, or whoever writes in its name, may
send anything at any time; nothing it sends raises, takes memory beyond the size of an update, or is answered for ever.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from byzantiny.wire.auth import Keys, seal_offer
from byzantiny.wire.codec import WireError, decode_frame, max_frame_bytes
from byzantiny.wire.events import (
    Event,
    Greeted,
    LinkStats,
    LogLine,
    Metrics,
    ModelAccepted,
    OfferAccepted,
    Rebooted,
    Refused,
    RoundWork,
    Silent,
    Step,
    UpdateReceived,
)
from byzantiny.wire.intake import Intake
from byzantiny.wire.messages import (
    PAYLOAD_SIZES,
    PROTO,
    TAG_BYTES,
    WINDOW_CHUNKS,
    Abort,
    Ack,
    Commit,
    Data,
    Frame,
    Hello,
    HelloAck,
    HelloRequest,
    Kind,
    Log,
    Metric,
    Reason,
    Receipt,
    ResetNotice,
    Round,
    Start,
    Status,
    Verdict,
)
from byzantiny.wire.outbox import Outbox, Patience
from byzantiny.wire.pacing import Backoff, LinkQuality
from byzantiny.wire.transfer import Outgoing, Sender

__all__ = [
    "Event", "Greeted", "HostSession", "LinkStats", "LogLine", "Metrics", "ModelAccepted", "OfferAccepted", "Rebooted",
    "Refused", "RoundWork", "Silent", "Step", "UpdateReceived",
]  # fmt: skip

MISHAPS: Final = 3
SILENT_TRIES: Final = 6
_MISHAPS: Final = frozenset({Status.BAD_LENGTH, Status.NO_OFFER, Status.WRONG_ROUND, Status.WRONG_MODEL})
_REJECTED_BY_MISHAP: Final = frozenset({Reason.BAD_HASH, Reason.WRONG_ROUND, Reason.UNKNOWN_OFFER})


class Phase(enum.Enum):
    """What the session waits for."""

    IDLE = "idle"
    HELLO = "hello"
    TERMS = "terms"
    ROUND = "round"
    OFFER = "offer"
    MODEL = "model"
    TRAINING = "training"
    UPDATE = "update"
    VERDICT = "verdict"
    DONE = "done"


_AT_REST: Final = frozenset({Phase.IDLE, Phase.VERDICT, Phase.DONE})
_NEGOTIATING: Final = frozenset({Phase.HELLO, Phase.TERMS})


class HostSession:
    """One device as the host sees it. `now` is in seconds, from any origin, and never goes back.

    `max_payload` is the link's DATA maximum, `credit` what the host can take at once, `baud` a serial line's speed
    (None: no such line, and `rto_s` is the retransmission time). `rng` only jitters.

    >>> from byzantiny.wire.auth import derive_keys
    >>> session = HostSession("dev-01", derive_keys(bytes(32)), rng=np.random.default_rng(0))
    >>> step = session.begin(RoundWork(1, bytes(120), bytes(4)), now=0.0)
    >>> decode_frame(step.frames[0], from_device=False).message, 0.2 <= session.next_due <= 0.3
    (HelloRequest(), True)
    """

    def __init__(
        self,
        client_id: str,
        keys: Keys,
        *,
        address: int = 1,
        max_payload: int = 240,
        credit: int = WINDOW_CHUNKS,
        baud: int | None = None,
        rto_s: float = 0.25,
        rng: np.random.Generator,
    ) -> None:
        self.client_id = client_id
        self.hello: Hello | None = None
        self.stats = LinkStats()
        self.next_due: float | None = None
        self._keys, self._address, self._max_payload, self._credit = keys, address, max_payload, credit
        self._rng = rng
        self._backoff = Backoff(rto_s, baud, rng)
        self._quality = LinkQuality(max_payload)
        self._patience = Patience()
        self._outbox = Outbox(address, self.stats)
        self._intake = Intake(
            credit=credit,
            max_payload=max_payload,
            quality=self._quality,
            outbox=self._outbox,
            patience=self._patience,
        )
        self._phase = Phase.IDLE
        self._work: RoundWork | None = None
        self._proposed: HelloAck | None = None
        self._terms: HelloAck | None = None
        """What the device has echoed, while there is no sign that it is no longer in force."""
        self._sender: Sender | None = None
        self._mishaps = self._unheard = 0
        self._events: list[Event] = []

    # What the owner calls

    def begin(self, work: RoundWork, now: float) -> Step:
        """Offer this round to the device, whatever was under way."""
        self._work, self._sender = work, None
        self._mishaps = self._unheard = 0
        self._patience.renew()
        self._backoff.succeed()
        if self.hello is None:
            self._enter(Phase.HELLO, now)
        elif self._terms is None or self._terms.max_payload != self._payload_for(self.hello):
            self._enter(Phase.TERMS, now)
        else:
            self._enter(Phase.ROUND, now)
        return self._step()

    def on_frame(self, frame: bytes, now: float) -> Step:
        """Take one frame from the device."""
        self.stats.frames_up += 1
        self.stats.bytes_up += len(frame)
        try:
            decoded = decode_frame(
                frame,
                from_device=True,
                max_payload=self._max_payload,
                address=self._address,
                max_frame=max_frame_bytes(PAYLOAD_SIZES[-1]),
            )
        except WireError as error:
            self.stats.rejects[error.reject] += 1
            return Step()
        self._unheard = 0
        self._dispatch(decoded, now)
        return self._step()

    def on_time(self, now: float) -> Step:
        """Do what is due: after a silent retransmission time, ask again."""
        if self.next_due is None or now < self.next_due:
            return Step()
        self._backoff.fail()
        self._patience.regain()
        self._unheard += 1
        if self._unheard == SILENT_TRIES:
            self._events.append(Silent())
        if self._phase is Phase.UPDATE:
            self._quality.record(again=True)
        self._ask(now, again=True)
        return self._step()

    def conclude(self, xfer: int, verdict: Verdict, reason: Reason, now: float) -> Step:
        """Send the verdict on a received update, and keep it for repeated COMMITs; nothing for an update long past."""
        del now
        start = self._intake.conclude(xfer, verdict, reason)
        if start is not None and self._phase is Phase.VERDICT and self._is_current(start):
            self._rest(Phase.DONE)
        return self._step()

    def end(self) -> None:
        """The round is over: nothing is sent again; an update that still comes is received and reported."""
        self._sender = None
        self._rest(Phase.IDLE)

    # Frames

    def _dispatch(self, frame: Frame, now: float) -> None:
        match frame.message:
            case Hello() as hello:
                self._on_hello(hello, now)
            case HelloAck() as terms:
                self._on_echo(terms, now)
            case Ack() as ack if frame.xfer == 0:
                self._on_standing(ack.status, now)
            case Ack() as ack:
                self._on_ack(frame.xfer, ack, now)
            case Receipt() as receipt:
                self._on_receipt(frame.xfer, receipt, now)
            case Abort(status):
                self._on_abort(frame.xfer, status, now)
            case Start() as start:
                self._on_start(frame.xfer, start, now)
            case Data(payload):
                self._on_data(frame, payload, now)
            case Commit():
                self._on_commit(frame.xfer, now)
            case Log(text):
                self._events.append(LogLine(text))
            case Metric() as metric:
                self._events.append(Metrics(metric))

    def _on_hello(self, hello: Hello, now: float) -> None:
        cause = self._objection(hello)
        if cause is not None:
            if self._phase not in _AT_REST:
                self._refuse(cause, "hello")
            return
        known, self.hello, self._terms = self.hello, hello, None
        rebooted = known is not None and known.boot_id != hello.boot_id
        if known is None or rebooted:
            self._events.append(Rebooted(hello) if rebooted else Greeted(hello))
        if self._phase in _AT_REST:
            return
        if self._phase is Phase.HELLO:
            self._backoff.succeed()
            self._enter(Phase.TERMS, now)
        elif (rebooted or self._phase is not Phase.TERMS) and self._patience.spend():
            self._enter(Phase.TERMS, now)
        elif self._phase is not Phase.TERMS:
            self._wait(Phase.TERMS)

    def _objection(self, hello: Hello) -> Status | Reason | None:
        if hello.device_id != self.client_id:
            return Reason.WRONG_DEVICE
        if not hello.proto_min <= PROTO <= hello.proto_max:
            return Status.UNSUPPORTED
        return Status.BAD_LENGTH if hello.max_payload < PAYLOAD_SIZES[0] else None

    def _on_echo(self, terms: HelloAck, now: float) -> None:
        if self._phase is Phase.TERMS and terms == self._proposed:
            self._terms = terms
            self._backoff.succeed()
            self._enter(Phase.ROUND, now)

    def _on_standing(self, status: Status, now: float) -> None:
        """The answer to ROUND."""
        if self._phase not in (Phase.ROUND, Phase.TRAINING):
            return
        match status:
            case Status.NEED_OFFER | Status.NEED_MODEL:
                if self._patience.spend():
                    self._backoff.succeed()
                    self._push(Phase.OFFER if status == Status.NEED_OFFER else Phase.MODEL, now)
            case Status.OK:
                self._phase = Phase.TRAINING
            case _:
                self._refuse(status, self._phase.value)

    def _on_ack(self, xfer: int, ack: Ack, now: float) -> None:
        sender = self._sender
        if sender is None or sender.xfer != xfer:
            return
        before = sender.next
        burst = sender.on_ack(ack)
        if sender.ended is not None:
            self._send_all(burst, xfer)
            self._mishap(sender.ended, now)
            return
        if sender.next > before:
            self._backoff.succeed()
        if burst:
            self._send_all(burst, xfer)
            self._arm(now)

    def _on_receipt(self, xfer: int, receipt: Receipt, now: float) -> None:
        sender = self._sender
        if sender is None or sender.xfer != xfer or receipt.sha256 != sender.start.sha256:
            return
        self._sender = None
        if receipt.verdict is not Verdict.ACCEPTED:
            if receipt.reason in _REJECTED_BY_MISHAP:
                self._mishap(receipt.reason, now)
            else:
                self._refuse(receipt.reason, self._phase.value)
            return
        self._backoff.succeed()
        if self._phase is Phase.OFFER:
            self._events.append(OfferAccepted())
            self._push(Phase.MODEL, now)
        else:
            self._events.append(ModelAccepted())
            self._wait(Phase.TRAINING)
            self._arm(now)

    def _on_abort(self, xfer: int, status: Status, now: float) -> None:
        if self._sender is not None and self._sender.xfer == xfer:
            self._sender = None
        elif self._intake.xfer == xfer and self._phase is Phase.UPDATE:
            status = Status.UNKNOWN_TRANSFER  # why a device gives up sending says nothing of the round
        else:
            return
        if status == Status.UNKNOWN_TRANSFER:
            self._back(now)
        elif status in _MISHAPS:
            self._mishap(status, now)
        else:
            self._refuse(status, self._phase.value)

    # Receiving an update

    def _on_start(self, xfer: int, start: Start, now: float) -> None:
        if not self._patience.spend():
            return
        under_way = self._phase not in _AT_REST and self._phase not in _NEGOTIATING
        refusal = self._intake.refusal(start, None if self._work is None else len(self._work.model))
        if refusal is not None:
            self._outbox.send(Abort(refusal), xfer)
            if under_way:
                self._mishap(refusal, now)
            return
        self._intake.open(xfer, start)
        if under_way and self._is_current(start):
            self._backoff.succeed()
            self._wait(Phase.UPDATE)
            self._arm(now)

    def _on_data(self, frame: Frame, payload: bytes, now: float) -> None:
        new, acknowledged = self._intake.on_data(frame, payload)
        if new:
            self._backoff.succeed()
        if acknowledged and self._phase is Phase.UPDATE:
            self._arm(now)

    def _on_commit(self, xfer: int, now: float) -> None:
        done = self._intake.on_commit(xfer)
        if done is None:
            return
        if done.event is not None:
            self._events.append(done.event)
        if self._phase is not Phase.UPDATE or not self._is_current(done.start):
            return
        if done.broken:
            self._mishap(Reason.BAD_HASH, now)
        else:
            self._rest(Phase.DONE if done.concluded else Phase.VERDICT)

    def _is_current(self, start: Start) -> bool:
        return self._work is not None and start.round_num == self._work.round_num

    # Ways through a round

    def _push(self, phase: Phase, now: float) -> None:
        assert self._work is not None, "there is a round to push for"
        assert self._terms is not None, "nothing is pushed before the terms are in force"
        work, model = self._work, phase is Phase.MODEL
        blob = work.model if model else work.sealed or seal_offer(work.offer_body, self._keys.down)
        chunk = min(self._quality.payload, self._terms.max_payload)
        digest = hashlib.sha256(blob).digest()
        start = Start(work.round_num, Kind.MODEL if model else Kind.OFFER, len(blob), chunk, digest)
        self._sender = Sender(int(self._rng.integers(1, 1 << 32)), start, blob)
        self._phase = phase
        self._outbox.send(start, self._sender.xfer)
        self._arm(now)

    def _back(self, now: float) -> None:
        """To ROUND: at once while there is patience, else with the next retransmission time."""
        if self._patience.spend():
            self._enter(Phase.ROUND, now)
        else:
            self._wait(Phase.ROUND)

    def _mishap(self, cause: Status | Reason, now: float) -> None:
        """A refusal that another try may cure; the last try begins with a clean slate."""
        phase = self._phase.value
        self._mishaps += 1
        if self._mishaps > MISHAPS:
            self._refuse(cause, phase)
        elif self._mishaps == MISHAPS:
            self._terms = None
            self._outbox.send(ResetNotice())
            self._wait(Phase.HELLO)
            self._arm(now)
        else:
            self._back(now)

    def _refuse(self, cause: Status | Reason, phase: str) -> None:
        self._sender = None
        self._events.append(Refused(cause, phase))
        self._rest(Phase.IDLE)

    def _rest(self, phase: Phase) -> None:
        self._phase, self.next_due = phase, None

    def _wait(self, phase: Phase) -> None:
        self._phase, self._sender = phase, None

    def _enter(self, phase: Phase, now: float) -> None:
        self._wait(phase)
        self._ask(now, again=False)

    def _ask(self, now: float, *, again: bool) -> None:
        """Send what the phase waits for an answer to."""
        match self._phase:
            case Phase.HELLO:
                self._outbox.send(HelloRequest(), again=again)
            case Phase.TERMS:
                self._propose(again=again)
            case Phase.ROUND | Phase.TRAINING:
                self._announce(again=again)
            case Phase.OFFER | Phase.MODEL if self._sender is not None:
                self._send_all(self._sender.on_silence(), self._sender.xfer, again=True)
            case Phase.UPDATE if self._intake.acknowledge(again=again):
                pass
            case _:
                self._phase = Phase.ROUND
                self._announce(again=again)
        self._arm(now)

    def _propose(self, *, again: bool) -> None:
        assert self.hello is not None, "terms are proposed to somebody"
        self._proposed = HelloAck(PROTO, self._payload_for(self.hello), self._credit, self.hello.boot_id)
        self._outbox.send(self._proposed, again=again)

    def _payload_for(self, hello: Hello) -> int:
        return max(size for size in PAYLOAD_SIZES if size <= min(hello.max_payload, self._quality.payload))

    def _announce(self, *, again: bool) -> None:
        assert self._work is not None, "there is a round to announce"
        body = self._work.offer_body
        self._outbox.send(
            Round(self._work.round_num, len(body) + TAG_BYTES, hashlib.sha256(body).digest()), again=again
        )

    # Frames out

    def _send_all(self, burst: Sequence[Outgoing], xfer: int, *, again: bool = False) -> None:
        for out in burst:
            if isinstance(out.message, Data):
                self._quality.record(again=out.again)
            self._outbox.send(out.message, xfer, out.offset, out.flags, again=again or out.again)

    def _arm(self, now: float) -> None:
        """Set the timer for the answer to what this call sends, and to what that makes the device send."""
        outstanding = self._outbox.pending_bytes + 2 * max_frame_bytes(0)
        if self._sender is not None:
            outstanding += self._sender.outstanding_bytes
        if self._phase is Phase.UPDATE:
            outstanding += self._intake.awaited_bytes
        self.next_due = now + self._backoff.delay_s(outstanding)

    def _step(self) -> Step:
        step = Step(self._outbox.take(), tuple(self._events))
        self._events = []
        return step
