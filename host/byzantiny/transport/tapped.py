"""A transport whose links an adversary has: every frame, in both directions, goes through its tap first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from byzantiny.attacks.frames import Passed, Tap
from byzantiny.transport.base import Inbox, Transport
from byzantiny.transport.errors import TransportError

MOST_TURNS: Final = 10_000
"""Far more than a tap and a device can answer each other for one frame; reached only by a bug."""


class Tapped:
    """Wraps a transport. `clock` gives the time in seconds; whoever advances it calls `pump` at `next_due`.

    >>> from byzantiny.attacks.frames import Wiretap
    >>> from byzantiny.transport.memory import MemoryTransport
    >>> inbox = Inbox()
    >>> tapped = Tapped(MemoryTransport(lambda frames: list(frames)), Wiretap(), lambda: 0.0)
    >>> tapped.open(inbox); tapped.send("dev-01", b"abc"); tapped.pump()
    >>> inbox.drain(0.0)
    [('dev-01', b'abc')]
    """

    name = "tapped"

    def __init__(self, inner: Transport, tap: Tap, clock: Callable[[], float]) -> None:
        self.max_payload, self.baud, self.realtime = inner.max_payload, inner.baud, inner.realtime
        self._inner, self._tap, self._clock = inner, tap, clock
        self._arrived = Inbox()
        self._inbox: Inbox | None = None

    @property
    def next_due(self) -> float | None:
        """When the tap wants to be called."""
        return self._tap.next_due

    def open(self, inbox: Inbox) -> None:
        """Open the transport inside."""
        self._inner.open(self._arrived)
        self._inbox = inbox

    def send(self, client_id: str, frame: bytes) -> None:
        """Hand one frame to the tap, and on whatever it passes."""
        self._pass(self._tap.down(client_id, frame, self._clock()))

    def pump(self) -> None:
        """Do the inner transport's work, and the tap's, until neither has anything to say."""
        now = self._clock()
        if self._tap.next_due is not None and self._tap.next_due <= now:
            self._pass(self._tap.on_time(now))
        for _ in range(MOST_TURNS):
            self._inner.pump()
            answered = False
            for client_id, frame in self._arrived.drain(0.0):
                answered |= self._pass(self._tap.up(client_id, frame, now))
            if not answered:
                return
        raise TransportError("a tap and a device keep answering each other; mend the attack")

    def close(self) -> None:
        """Close the transport inside."""
        self._inner.close()
        self._inbox = None

    def _pass(self, passed: Passed) -> bool:
        """Hand on; returns whether something went to devices."""
        if self._inbox is None:
            raise TransportError("the tapped transport is not open; call open(inbox) first")
        for client_id, frame in passed.up:
            self._inbox.put(client_id, frame)
        for client_id, frame in passed.down:
            self._inner.send(client_id, frame)
        return bool(passed.down)
