"""What attacks on single chunks share: they change the DATA frames of an update on the links they hold, CRC and all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from byzantiny.attacks.frames import LinkScene, Passed, Wiretap, read, write
from byzantiny.wire.messages import Data, Frame, Kind, Round, Start

Change = Callable[[Frame, bytes], list[Frame]]
"""A DATA frame and its payload to the frames that arrive in its place."""


class Chunks(Wiretap):
    """Changes the DATA of every transfer of one kind that goes one way, on the links and in the rounds of the scene."""

    def __init__(self, scene: LinkScene, kind: Kind, change: Change) -> None:
        self._scene, self._kind, self._change = scene, kind, change
        self._round: int | None = None
        self._transfers: dict[str, int] = {}

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of a device."""
        if self._kind is not Kind.UPDATE:
            return super().up(client_id, frame, now)
        return Passed(up=tuple((client_id, each) for each in self._taken(client_id, frame, up=True)))

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of the coordinator."""
        seen = read(frame, up=False)
        if seen is not None and isinstance(seen.message, Round):
            self._round = seen.message.round_num
        if self._kind is Kind.UPDATE:
            return super().down(client_id, frame, now)
        return Passed(down=tuple((client_id, each) for each in self._taken(client_id, frame, up=False)))

    def _taken(self, client_id: str, frame: bytes, *, up: bool) -> list[bytes]:
        seen = read(frame, up=up)
        if seen is None or client_id not in self._scene.held or not self._scene.during(self._round):
            return [frame]
        if isinstance(seen.message, Start):
            self._transfers.pop(client_id, None)
            if seen.message.kind is self._kind:
                self._transfers[client_id] = seen.xfer
        if not isinstance(seen.message, Data) or self._transfers.get(client_id) != seen.xfer:
            return [frame]
        return [write(each, up=up) for each in self._change(seen, seen.message.payload)]


def with_payload(frame: Frame, payload: bytes) -> Frame:
    """Return the frame with another payload.

    >>> with_payload(Frame(Data(b"ab"), 1), b"a").message
    Data(payload=b'a')
    """
    return replace(frame, message=Data(payload))
