"""The transfer of one object as two pure state machines: no clock, no I/O, no frame headers (docs/wire.md 4).

Selective repeat under the receiver's credits. Who wraps the messages into frames, keeps the timers and judges the
object is the device (`wire.device`) or the host (`wire.host`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from byzantiny.wire.messages import (
    WINDOW_CHUNKS,
    Abort,
    Ack,
    Commit,
    Data,
    Flag,
    Message,
    Start,
    Status,
)

RESEND_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to put into a frame of the transfer; `again` if its bytes have been sent before."""

    message: Message
    offset: int = 0
    flags: Flag = Flag.NONE
    again: bool = False


class Receiver:
    """What has arrived of one object: `next` contiguous bytes, and in bit i of `sack` the chunk at next + i * chunk.

    The caller has checked `start.total` and `start.chunk` against its own limits; memory of `total` bytes is taken.
    `held` is the whole object where it is known already.

    >>> from byzantiny.wire.messages import Kind
    >>> start = Start(1, Kind.MODEL, 5, 2, bytes(32))
    >>> r = Receiver(9, start)
    >>> r.on_data(2, b"cd"), r.ack(4).sack, r.on_data(0, b"ab"), r.ack(4).next, r.on_data(4, b"e"), r.complete
    (True, 2, True, 4, True, True)
    >>> r.data()
    b'abcde'
    """

    def __init__(self, xfer: int, start: Start, *, held: bytes | None = None) -> None:
        self.xfer = xfer
        self.start = start
        self.next = 0 if held is None else start.total
        self.sack = 0
        self._data = bytearray(start.total) if held is None else bytearray(held)

    def is_of(self, start: Start) -> bool:
        """Whether `start` announces the object this receiver holds a part of."""
        mine = self.start
        return (mine.sha256, mine.kind, mine.total) == (start.sha256, start.kind, start.total)

    def resume(self, xfer: int, start: Start) -> None:
        """Go on with the same object under another START; another chunk size gives up what lies beyond a hole."""
        if start.chunk != self.start.chunk:
            if not self.complete:
                self.next -= self.next % start.chunk
            self.sack = 0
        self.xfer, self.start = xfer, start

    def on_data(self, offset: int, payload: bytes) -> bool:
        """Take a chunk; False when it was dropped (held already, misaligned, of a wrong length, beyond the window)."""
        chunk, total = self.start.chunk, self.start.total
        if not self.next <= offset < total or offset % chunk or len(payload) != min(chunk, total - offset):
            return False
        ahead = (offset - self.next) // chunk
        if ahead >= WINDOW_CHUNKS or self.sack >> ahead & 1:
            return False
        self._data[offset : offset + len(payload)] = payload
        self.sack |= 1 << ahead
        while self.sack & 1:
            self.next = min(self.next + chunk, total)
            self.sack >>= 1
        return True

    @property
    def complete(self) -> bool:
        """Whether every byte is here."""
        return self.next == self.start.total

    @property
    def holes(self) -> int:
        """How many chunks are missing before the last one held."""
        return self.sack.bit_length() - self.sack.bit_count()

    def ack(self, credit: int) -> Ack:
        """What to tell the sender."""
        return Ack(self.next, self.sack, credit, Status.OK)

    def data(self) -> bytes:
        """The bytes, as far as they have come; the whole object once `complete`."""
        return bytes(self._data)


class Sender:
    """What an object's receiver still needs.

    `on_ack` is the host's way: nothing that may still be under way is sent twice. A chunk counts as lost when one sent
    after it has arrived, or when a retransmission time has passed (`on_silence`). `on_ack_eagerly` is the device's way,
    which remembers nothing: everything missing inside the window, every time. `ended` is why the transfer is over.

    >>> from byzantiny.wire.messages import Kind
    >>> s = Sender(9, Start(1, Kind.MODEL, 5, 2, bytes(32)), b"abcde")
    >>> [o.message for o in s.on_ack(Ack(0, 0, 2, Status.OK))]
    [Data(payload=b'ab'), Data(payload=b'cd')]
    >>> [o.message for o in s.on_ack(Ack(4, 0, 2, Status.OK))]
    [Data(payload=b'e'), Commit()]
    """

    def __init__(self, xfer: int, start: Start, blob: bytes) -> None:
        self.xfer = xfer
        self.start = start
        self.ended: Status | None = None
        self.next = 0
        """The most that was ever acknowledged."""
        self._floor = 0
        """ACKs below it are late ones; after a silence none is, because the receiver may have begun again."""
        self._blob = blob
        self._chunks = -(-start.total // start.chunk)
        self._room = RESEND_FACTOR * self._chunks + 2 * WINDOW_CHUNKS
        """DATA frames still to be sent without a silence in between: no receiver asks for the same chunks for ever."""
        self._under_way: dict[int, int] = {}
        self._ever_sent = 0
        self._order = 0
        self._arrived_order = 0
        self._heard = False
        self._committed = False

    @property
    def outstanding_bytes(self) -> int:
        """Upper bound of the bytes sent and not acknowledged."""
        return len(self._under_way) * self.start.chunk

    def on_ack(self, ack: Ack) -> list[Outgoing]:
        """After an ACK: lost and new chunks within the credit; COMMIT behind the last one, or once all is held."""
        broken = self._end_of(ack)
        if broken is not None:
            return broken
        if ack.next < self._floor:
            return []
        self._heard, self._floor, self.next = True, ack.next, max(self.next, ack.next)
        if ack.next == self.start.total:
            self._under_way.clear()
            return self._commit()
        base = ack.next // self.start.chunk
        self._forget_arrived(base, ack.sack)
        burst: list[int] = []
        for index in self._missing(ack)[: min(ack.credit, WINDOW_CHUNKS)]:
            if len(burst) < self._room and self._under_way.get(index, 0) <= self._arrived_order:
                self._order += 1
                self._under_way[index] = self._order
                burst.append(index)
        if not burst:
            return []
        self._room -= len(burst)
        final = len(self._under_way) == self._chunks - base - ack.sack.bit_count()
        self._committed = False
        return self._data(burst, ack_req=not final) + (self._commit() if final else [])

    def on_ack_eagerly(self, ack: Ack) -> list[Outgoing]:
        """After an ACK: every missing chunk within window and credit, or COMMIT; nothing is remembered."""
        broken = self._end_of(ack)
        if broken is not None:
            return broken
        if ack.next == self.start.total:
            return [Outgoing(Commit())]
        return self._data(self._missing(ack)[: min(ack.credit, WINDOW_CHUNKS)], ack_req=True)

    def on_silence(self) -> list[Outgoing]:
        """What to send after a retransmission time without an answer: one frame that cannot stay unanswered."""
        self._under_way = dict.fromkeys(self._under_way, 0)
        self._room += WINDOW_CHUNKS
        index, self._floor = self._floor // self.start.chunk, 0
        if not self._heard:
            return [Outgoing(self.start, again=True)]
        if self._committed:
            return [Outgoing(Commit(), again=True)]
        self._order += 1
        self._under_way[index] = self._order
        return self._data([index], ack_req=True)

    def _end_of(self, ack: Ack) -> list[Outgoing] | None:
        if ack.status != Status.OK:
            self.ended = ack.status
            return []
        if ack.next > self.start.total or (ack.next != self.start.total and ack.next % self.start.chunk):
            self.ended = Status.BAD_LENGTH
            return [Outgoing(Abort(Status.BAD_LENGTH))]
        return None

    def _missing(self, ack: Ack) -> list[int]:
        base = ack.next // self.start.chunk
        return [base + i for i in range(min(WINDOW_CHUNKS, self._chunks - base)) if not ack.sack >> i & 1]

    def _forget_arrived(self, base: int, sack: int) -> None:
        for index in list(self._under_way):
            if index < base or sack >> (index - base) & 1:
                self._arrived_order = max(self._arrived_order, self._under_way.pop(index))

    def _data(self, indices: list[int], *, ack_req: bool) -> list[Outgoing]:
        out = []
        for index in indices:
            offset = index * self.start.chunk
            flags = Flag.LAST if index == self._chunks - 1 else Flag.NONE
            if ack_req and index == indices[-1]:
                flags |= Flag.ACK_REQ
            piece = self._blob[offset : offset + self.start.chunk]
            out.append(Outgoing(Data(piece), offset, flags, again=index < self._ever_sent))
        if indices:
            self._ever_sent = max(self._ever_sent, indices[-1] + 1)
        return out

    def _commit(self) -> list[Outgoing]:
        if self._committed:
            return []
        self._committed = True
        return [Outgoing(Commit())]
