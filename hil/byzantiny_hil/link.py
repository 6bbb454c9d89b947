"""The serial transport, with what only a test of the line needs: bytes outside any frame, and how the port is."""

from __future__ import annotations

from byzantiny.transport.errors import TransportError
from byzantiny.transport.serial_line import Line
from byzantiny.transport.serial_port import SerialTransport


class BoardTransport(SerialTransport):
    """A SerialTransport that can also make noise, and says when its port has gone away."""

    lost: str | None = None
    """Why the port is not open at the moment; None while it is."""

    @property
    def failure(self) -> TransportError | None:
        """What ended the link for good; None while it works, or waits for the port to come back."""
        return self._failure

    def send_bytes(self, data: bytes) -> None:
        """Queue bytes as they are, behind what is queued; raises TransportError when the port is gone for good."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._outgoing.append(data)
            self._queued_bytes += len(data)
        if self._line is not None:
            self._line.wake()

    def _reopen(self, error: BaseException) -> Line | None:
        self.lost = str(error)
        line = super()._reopen(error)
        if line is not None:
            self.lost = None
        return line
