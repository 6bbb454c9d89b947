"""The receiving half of a host's session: updates on their way in, and the receipts of those that have come.

Nothing here has a timer or knows the round's phase; `wire.host` does. What a device claims of an object's size is
compared with the round's model before memory is taken for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from byzantiny.wire.events import UpdateReceived
from byzantiny.wire.messages import (
    OVERHEAD_BYTES,
    UPDATE_HEADER_BYTES,
    WINDOW_CHUNKS,
    Abort,
    Flag,
    Frame,
    Kind,
    Reason,
    Receipt,
    Start,
    Status,
    Verdict,
)
from byzantiny.wire.outbox import Outbox, Patience
from byzantiny.wire.pacing import LinkQuality
from byzantiny.wire.transfer import Receiver

RECORDS: Final = 8
"""Updates whose receipt can be repeated; an honest device sends one a round."""


@dataclass(slots=True)
class _Record:
    """An update that is complete here: under which ids it came, and its receipt once there is one."""

    start: Start
    first_xfer: int
    xfer: int
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What a COMMIT led to: an update that is new (`event`), one with a wrong hash (`broken`), or one known before."""

    start: Start
    event: UpdateReceived | None = None
    broken: bool = False
    concluded: bool = False


class Intake:
    """Receives update objects of one device, one at a time.

    >>> from byzantiny.wire.events import LinkStats
    >>> box = Outbox(1, LinkStats())
    >>> intake = Intake(credit=32, max_payload=240, quality=LinkQuality(240), outbox=box, patience=Patience())
    >>> start = Start(1, Kind.UPDATE, 131, 240, hashlib.sha256(bytes(131)).digest())
    >>> intake.refusal(start, model_bytes=6), intake.refusal(start, model_bytes=4).name
    (None, 'BAD_LENGTH')
    """

    def __init__(
        self, *, credit: int, max_payload: int, quality: LinkQuality, outbox: Outbox, patience: Patience
    ) -> None:
        self._credit, self._max_payload = credit, max_payload
        self._quality, self._outbox, self._patience = quality, outbox, patience
        self._receiver: Receiver | None = None
        self._fresh = False
        """Something new has come since the last ACK."""
        self._records: dict[bytes, _Record] = {}

    @property
    def xfer(self) -> int | None:
        """The transfer under way."""
        return None if self._receiver is None else self._receiver.xfer

    @property
    def awaited_bytes(self) -> int:
        """Upper bound of what the device sends in answer to an ACK."""
        if self._receiver is None:
            return 0
        start, left = self._receiver.start, self._receiver.start.total - self._receiver.next
        chunks = min(self._credit, WINDOW_CHUNKS, -(-left // start.chunk))
        return min(left, chunks * start.chunk) + chunks * OVERHEAD_BYTES

    def refusal(self, start: Start, model_bytes: int | None) -> Status | None:
        """Why START cannot be an update under a model of this size (None: no round is known yet)."""
        if model_bytes is None:
            return Status.NO_OFFER
        if start.kind != Kind.UPDATE:
            return Status.WRONG_KIND
        total_fits = UPDATE_HEADER_BYTES < start.total <= UPDATE_HEADER_BYTES + model_bytes // 2
        return None if total_fits and 1 <= start.chunk <= self._max_payload else Status.BAD_LENGTH

    def open(self, xfer: int, start: Start) -> None:
        """Begin or resume a transfer that `refusal` has let pass, and acknowledge what is held."""
        record = self._records.get(start.sha256)
        if record is not None and record.start.total == start.total:
            record.xfer = xfer
            self._receiver = Receiver(xfer, start, held=b"")
        elif self._receiver is not None and self._receiver.is_of(start):
            self._receiver.resume(xfer, start)
        else:
            self._receiver = Receiver(xfer, start)
        self.acknowledge()

    def acknowledge(self, *, again: bool = False) -> bool:
        """Send the ACK of the transfer under way; False if there is none."""
        if self._receiver is None:
            return False
        self._fresh = False
        self._outbox.send(self._receiver.ack(self._credit), self._receiver.xfer, again=again)
        return True

    def on_data(self, frame: Frame, payload: bytes) -> tuple[bool, bool]:
        """Take a chunk; returns whether it was new, and whether an ACK went out.

        Only news are acknowledged: an ACK for each duplicate would make the device send another burst each.
        """
        receiver = self._receiver
        if receiver is None or receiver.xfer != frame.xfer:
            self._disown(frame.xfer)
            return False, False
        new = receiver.on_data(frame.offset, payload)
        if new:
            self._fresh = True
            self._quality.record(again=False)
        if not (frame.flags & Flag.ACK_REQ and self._fresh):
            return new, False
        for _ in range(receiver.holes):
            self._quality.record(again=True)
        return new, self.acknowledge()

    def on_commit(self, xfer: int) -> Committed | None:
        """Judge whether an object is complete and intact, and answer what need not wait for a verdict."""
        record = self._record_of(xfer)
        if record is not None:
            if record.receipt is not None and self._patience.spend():
                self._outbox.send(record.receipt, xfer, again=True)
            return Committed(record.start, concluded=record.receipt is not None)
        receiver = self._receiver
        if receiver is None or receiver.xfer != xfer:
            self._disown(xfer)
            return None
        if not receiver.complete:
            if self._patience.spend():
                self.acknowledge()
            return None
        self._receiver = None
        return self._take(receiver.start, xfer, receiver.data())

    def conclude(self, xfer: int, verdict: Verdict, reason: Reason) -> Start | None:
        """Send and keep the receipt of an update; None for one that is long past."""
        record = self._record_of(xfer)
        if record is None:
            return None
        record.receipt = Receipt(record.start.round_num, verdict, reason, record.start.sha256)
        self._outbox.send(record.receipt, record.xfer)
        return record.start

    def _take(self, start: Start, xfer: int, blob: bytes) -> Committed:
        if hashlib.sha256(blob).digest() != start.sha256:
            self._outbox.send(Receipt(start.round_num, Verdict.REJECTED, Reason.BAD_HASH, start.sha256), xfer)
            return Committed(start, broken=True)
        while len(self._records) >= RECORDS:
            del self._records[next(iter(self._records))]
        self._records[start.sha256] = _Record(start, xfer, xfer)
        return Committed(start, UpdateReceived(xfer, start, blob))

    def _record_of(self, xfer: int) -> _Record | None:
        return next((record for record in self._records.values() if xfer in (record.xfer, record.first_xfer)), None)

    def _disown(self, xfer: int) -> None:
        if self._record_of(xfer) is None and self._patience.spend():
            self._outbox.send(Abort(Status.UNKNOWN_TRANSFER), xfer)
