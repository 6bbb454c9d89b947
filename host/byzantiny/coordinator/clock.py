"""Time as a parameter: the wall's, or a virtual one that jumps when nothing is in flight."""

from __future__ import annotations

import time
from typing import Protocol

from byzantiny.transport.base import Delivery, Inbox


class Clock(Protocol):
    """What the round loop knows of time."""

    def now(self) -> float:
        """Seconds since some fixed instant."""
        ...

    def wait(self, inbox: Inbox, timeout_s: float) -> list[Delivery]:
        """Return what has arrived; wait up to `timeout_s` for the first frame."""
        ...


class RealClock:
    """The monotonic clock of the machine."""

    def now(self) -> float:
        """Seconds of `time.monotonic`."""
        return time.monotonic()

    def wait(self, inbox: Inbox, timeout_s: float) -> list[Delivery]:
        """Block on the inbox."""
        return inbox.drain(max(0.0, timeout_s))


class VirtualClock:
    """Time that passes only while nothing arrives, so a deadline of a minute costs nothing.

    >>> clock = VirtualClock()
    >>> clock.wait(Inbox(), 60.0), clock.now()
    ([], 60.0)
    """

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    def wait(self, inbox: Inbox, timeout_s: float) -> list[Delivery]:
        """Return what is there, or let `timeout_s` pass."""
        got = inbox.drain(0.0)
        if not got:
            self._now += max(0.0, timeout_s)
        return got
