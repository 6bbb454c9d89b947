"""The transport that is a function call: a fleet in the same process, no sockets, virtual time."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.transport.base import Delivery, Inbox
from byzantiny.transport.errors import TransportError
from byzantiny.wire.messages import PAYLOAD_SIZES

Exchange = Callable[[list[Delivery]], list[Delivery]]
"""Frames for clients in, what the clients have sent since out."""


class MemoryTransport:
    """Frames go to `exchange` when `pump` is called, and its answers into the inbox.

    An exchange returns what the clients sent by themselves too (banners), so it is called once even with nothing to
    deliver, and again for as long as the inbox's owner has queued frames meanwhile, at most `max_passes` times.

    >>> inbox = Inbox()
    >>> transport = MemoryTransport(lambda frames: [(client_id, frame[::-1]) for client_id, frame in frames])
    >>> transport.open(inbox); transport.send("dev-01", b"abc"); transport.pump()
    >>> inbox.drain(0.0)
    [('dev-01', b'cba')]
    """

    name = "memory"
    baud = None
    realtime = False

    def __init__(self, exchange: Exchange, *, max_payload: int = PAYLOAD_SIZES[-1], max_passes: int = 64) -> None:
        self.max_payload = max_payload
        self._exchange = exchange
        self._max_passes = max_passes
        self._outgoing: list[Delivery] = []
        self._inbox: Inbox | None = None

    def open(self, inbox: Inbox) -> None:
        """From now on answers arrive in `inbox`."""
        self._inbox = inbox

    def send(self, client_id: str, frame: bytes) -> None:
        """Queue one frame for the next `pump`."""
        self._outgoing.append((client_id, frame))

    def pump(self) -> None:
        """Deliver what is queued and collect answers; raises TransportError before `open`."""
        if self._inbox is None:
            raise TransportError("the memory transport is not open; call open(inbox) before pump()")
        for _ in range(self._max_passes):
            outgoing, self._outgoing = self._outgoing, []
            for client_id, frame in self._exchange(outgoing):
                self._inbox.put(client_id, frame)
            if not self._outgoing:
                return

    def close(self) -> None:
        """Forget what is queued."""
        self._outgoing.clear()
        self._inbox = None
