"""COBS (Cheshire and Baker, ToN 1999) and the sans-I/O deframer of a byte stream: docs/wire.md 1, UART."""

from __future__ import annotations

from typing import Final

from byzantiny.wire.errors import WireError
from byzantiny.wire.messages import OVERHEAD_BYTES, PAYLOAD_SIZES, Reject

_BLOCK: Final = 254


def cobs_encode(data: bytes) -> bytes:
    """Rewrite `data` without zero bytes; at most one byte longer for each 254, and one.

    >>> cobs_encode(bytes.fromhex("11220033")).hex()
    '0311220233'
    """
    out = bytearray()
    runs = data.split(b"\0")
    last = len(runs) - 1
    for number, run in enumerate(runs):
        at = 0
        while len(run) - at >= _BLOCK:
            out.append(0xFF)
            out += run[at : at + _BLOCK]
            at += _BLOCK
        if number < last or at == 0 or at < len(run):
            out.append(len(run) - at + 1)
            out += run[at:]
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Invert `cobs_encode`; raises WireError(COBS) on a zero byte, a block cut short, and on nothing at all.

    >>> cobs_decode(bytes.fromhex("0311220233")).hex()
    '11220033'
    """
    if not data or 0 in data:
        raise WireError(Reject.COBS, "a zero byte inside" if data else "empty")
    out = bytearray()
    at, end = 0, len(data)
    while True:
        code = data[at]
        after = at + code
        if after > end:
            raise WireError(Reject.COBS, f"a block of {code - 1} bytes with {end - at - 1} left")
        out += data[at + 1 : after]
        at = after
        if at == end:
            return bytes(out)
        if code != 0xFF:
            out.append(0)


def delimit(frame: bytes) -> bytes:
    """A frame as it goes over a byte stream: zero, COBS, zero (the leading zero ends whatever noise came before).

    >>> delimit(b"ab").hex()
    '0003616200'
    """
    return b"\0" + cobs_encode(frame) + b"\0"


class Deframer:
    """Bytes in, whole frames out; resynchronises on zero bytes only, and counts what it drops.

    `max_frame` is the largest decoded frame in bytes. A longer one is discarded up to the next zero and counted in
    `size_rejects`, one that is no COBS in `cobs_rejects`; an empty one is neither. Frames are not checked further.

    >>> d = Deframer()
    >>> d.feed(delimit(b"one") + delimit(b"two")[:3]), d.feed(delimit(b"two")[3:])
    ([b'one'], [b'two'])
    """

    def __init__(self, max_frame: int = OVERHEAD_BYTES + PAYLOAD_SIZES[-1]) -> None:
        self._limit = max_frame + max_frame // _BLOCK + 1
        self._held = bytearray()
        self._skipping = False
        self.cobs_rejects = 0
        self.size_rejects = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete; never raises."""
        frames: list[bytes] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._add(piece)
            if self._held and not self._skipping:
                try:
                    frames.append(cobs_decode(bytes(self._held)))
                except WireError:
                    self.cobs_rejects += 1
            self._held.clear()
            self._skipping = False
        self._add(rest)
        return frames

    def _add(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._held) + len(piece) > self._limit:
            self._held.clear()
            self._skipping = True
            self.size_rejects += 1
            return
        self._held += piece
