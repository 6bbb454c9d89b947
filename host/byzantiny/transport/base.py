"""The coordinator's end of a link: frames to and from clients, by name."""

from __future__ import annotations

import queue
from typing import Protocol

Delivery = tuple[str, bytes]
"""(client_id, one complete frame without COBS)."""


class Inbox:
    """Where every transport, from whatever thread, puts what arrived.

    Not a `SimpleQueue`: where a signal interrupts its `get` just before the timeout, CPython's waits for ever.

    >>> inbox = Inbox()
    >>> inbox.put("dev-01", b"frame")
    >>> inbox.drain(0.0)
    [('dev-01', b'frame')]
    >>> inbox.drain(0.0)
    []
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Delivery] = queue.Queue()

    def put(self, client_id: str, frame: bytes) -> None:
        """Add one frame; called from any thread."""
        self._queue.put((client_id, frame))

    def drain(self, timeout_s: float) -> list[Delivery]:
        """Everything that is there; waits up to `timeout_s` for the first frame."""
        got: list[Delivery] = []
        try:
            got.append(self._queue.get(block=timeout_s > 0, timeout=timeout_s if timeout_s > 0 else None))
            while True:
                got.append(self._queue.get_nowait())
        except queue.Empty:
            return got


class Transport(Protocol):
    """A link to one or many clients. Frames are whole; COBS, topics and sockets stay inside."""

    @property
    def name(self) -> str:
        """The kind: `memory`, `mqtt`, `serial`."""
        ...

    @property
    def max_payload(self) -> int:
        """Largest DATA payload in bytes."""
        ...

    @property
    def baud(self) -> int | None:
        """A serial line's rate; None where there is no line."""
        ...

    @property
    def realtime(self) -> bool:
        """Frames arrive by themselves, so time cannot be virtual."""
        ...

    def open(self, inbox: Inbox) -> None:
        """Connect; from now on frames arrive in `inbox`. Raises TransportError."""
        ...

    def send(self, client_id: str, frame: bytes) -> None:
        """Send one frame; losing it is allowed, blocking for long is not."""
        ...

    def pump(self) -> None:
        """Do the work that happens only when asked (memory); nothing elsewhere."""
        ...

    def close(self) -> None:
        """Disconnect; idempotent."""
        ...
