"""What a host's session sends through: frames with their sequence numbers, and the limit on fruitless answers."""

from __future__ import annotations

from typing import Final

from byzantiny.wire.codec import encode_frame
from byzantiny.wire.events import LinkStats
from byzantiny.wire.messages import Flag, Frame, Message

PATIENCE: Final = 64
"""Frames that bring nothing new and are answered at once, in a round; then one for each retransmission time."""


class Patience:
    """How many frames that bring nothing new are still answered at once.

    >>> p = Patience(1)
    >>> p.spend(), p.spend(), p.regain(), p.spend()
    (True, False, None, True)
    """

    def __init__(self, most: int = PATIENCE) -> None:
        self._most = self._left = most

    def spend(self) -> bool:
        """Whether one more may be answered."""
        if not self._left:
            return False
        self._left -= 1
        return True

    def regain(self) -> None:
        """A retransmission time has passed."""
        self._left = min(self._left + 1, self._most)

    def renew(self) -> None:
        """A new round."""
        self._left = self._most


class Outbox:
    """Collects the frames of one call and counts them.

    >>> box = Outbox(1, LinkStats())
    >>> from byzantiny.wire.messages import Ping
    >>> box.send(Ping(7))
    >>> len(box.take()[0]), box.stats.frames_down
    (24, 1)
    """

    def __init__(self, address: int, stats: LinkStats) -> None:
        self.stats = stats
        self._address = address
        self._seq = 0
        self._frames: list[bytes] = []

    def send(
        self, message: Message, xfer: int = 0, offset: int = 0, flags: Flag = Flag.NONE, *, again: bool = False
    ) -> None:
        """Add one frame; `again` if the same was sent or asked for before."""
        raw = encode_frame(Frame(message, self._address, self._seq & 0xFFFF, xfer, offset, flags), to_device=True)
        self._seq += 1
        self.stats.frames_down += 1
        self.stats.bytes_down += len(raw)
        if again:
            self.stats.frames_resent += 1
            self.stats.bytes_resent += len(raw)
        self._frames.append(raw)

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frames collected since the last `take`."""
        return sum(map(len, self._frames))

    def take(self) -> tuple[bytes, ...]:
        """The frames of this call, in order."""
        frames, self._frames = tuple(self._frames), []
        return frames
