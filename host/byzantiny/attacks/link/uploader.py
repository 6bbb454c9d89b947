"""Uploads one object in a client's name: the sending half of a device, without the device."""

from __future__ import annotations

import hashlib

from byzantiny.attacks.frames import read, write
from byzantiny.wire.messages import Abort, Ack, Frame, Kind, Receipt, Start
from byzantiny.wire.transfer import Outgoing, Sender


class Uploader:
    """Sends `blob` as round `round_num`'s update under the transfer id `xfer`, which nobody else on the link uses.

    `first` opens it; what the coordinator answers goes through `on_down`. Frames that are not for it are None there.
    """

    def __init__(self, address: int, xfer: int, round_num: int, blob: bytes, chunk: int) -> None:
        start = Start(round_num, Kind.UPDATE, len(blob), chunk, hashlib.sha256(blob).digest())
        self._address = address
        self._sender = Sender(xfer, start, blob)
        self.done = False

    def first(self) -> bytes:
        """Return START."""
        return self._frame(Outgoing(self._sender.start))

    def on_down(self, data: bytes) -> list[bytes] | None:
        """Take a frame of the coordinator; return the frames that answer it, None if it is for somebody else."""
        frame = read(data, up=False)
        if frame is None or frame.xfer != self._sender.xfer:
            return None
        match frame.message:
            case Ack() as ack:
                return [self._frame(out) for out in self._sender.on_ack_eagerly(ack)]
            case Receipt() | Abort():
                self.done = True
        return []

    def _frame(self, out: Outgoing) -> bytes:
        return write(Frame(out.message, self._address, 0, self._sender.xfer, out.offset, out.flags), up=True)
