"""A body made of serial lines: boards, emulated or real, one on each; frames go over the wire as the wire says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Final

from byzantiny.bodies.errors import BodyError
from byzantiny.transport.serial_line import LINE_ERRORS, Line, open_line
from byzantiny.wire.codec import Deframer, delimit, max_frame_bytes
from byzantiny.wire.messages import UART_PAYLOAD_MAX

BAUD: Final = 115_200
WAIT_S: Final = 0.004
"""How long an `exchange` waits for something to come."""
_IDLE_S: Final = 0.5


class PortBody:
    """Devices behind byte lines, one slot each. Work goes on between calls: `exchange` returns what has come so far.

    The lines are owned: `close` closes them. `names` are for messages. A line that breaks makes the next `exchange`
    raise BodyError.

    >>> body = PortBody([])
    >>> body.exchange([], 0), body.close()
    ([], None)
    """

    realtime: bool = True

    def __init__(self, lines: Sequence[Line], *, names: Sequence[str] = (), wait_s: float = WAIT_S) -> None:
        self._names = list(names) or [f"slot {slot}" for slot in range(len(lines))]
        self._wait_s = wait_s
        self._inbox: queue.Queue[tuple[int, bytes]] = queue.Queue()
        self._broken: dict[int, str] = {}
        self._ports = [_Port(slot, line, self._inbox, self._broken) for slot, line in enumerate(lines)]

    @classmethod
    def open(cls, urls: Sequence[str], *, baud: int = BAUD) -> PortBody:
        """Open pyserial URLs (`/dev/ttyACM0`, `socket://host:port`, ...), one slot each.

        Raises TransportError naming the port that cannot be opened.
        """
        lines: list[Line] = []
        try:
            lines.extend(open_line(url, baud, dtr=True) for url in urls)
        except BaseException:
            for line in lines:
                line.close()
            raise
        return cls(lines, names=urls)

    def exchange(self, frames: Sequence[tuple[int, bytes]], now_ms: int) -> list[tuple[int, bytes]]:
        """Send the frames and return what has come from any slot, waiting a few ms for the first."""
        del now_ms
        outgoing: dict[int, list[bytes]] = {}
        for slot, frame in frames:
            outgoing.setdefault(slot, []).append(delimit(frame))
        for slot, pieces in outgoing.items():
            self._ports[slot].send(b"".join(pieces))
        came: list[tuple[int, bytes]] = []
        if self._ports:
            try:
                came.append(self._inbox.get(timeout=self._wait_s))
                while True:
                    came.append(self._inbox.get_nowait())
            except queue.Empty:
                pass
        if not came and self._broken:
            slot, why = next(iter(self._broken.items()))
            raise BodyError(f"the board {self._names[slot]} is gone: {self._explain(slot, why)}")
        return came

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a slot, where the body has a way to."""
        raise BodyError(f"{self._names[slot]} cannot be power-cycled from here (boot_id {boot_id}); do it by hand")

    def close(self) -> None:
        """End the threads and close the lines; idempotent."""
        for port in self._ports:
            port.stop()
        for port in self._ports:
            port.join()
        self._ports.clear()

    def _explain(self, slot: int, why: str) -> str:  # noqa: ARG002  (a body that knows the board says more)
        return why

    def _replace(self, slot: int, line: Line) -> None:
        """Put another line in a slot's place: its board is another process now."""
        self._ports[slot].stop()
        self._ports[slot].join()
        self._broken.pop(slot, None)
        self._ports[slot] = _Port(slot, line, self._inbox, self._broken)


class _Port:
    """One line and the thread that reads and writes it."""

    def __init__(self, slot: int, line: Line, inbox: queue.Queue[tuple[int, bytes]], broken: dict[int, str]) -> None:
        self._slot = slot
        self._line = line
        self._inbox = inbox
        self._broken = broken
        self._outgoing = bytearray()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"byz-port-{slot}", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        with self._lock:
            self._outgoing += data
        self._line.wake()

    def stop(self) -> None:
        self._stopping.set()
        self._line.wake()

    def join(self) -> None:
        self._thread.join()
        self._line.close()

    def _run(self) -> None:
        deframer = Deframer(max_frame_bytes(UART_PAYLOAD_MAX))
        try:
            while not self._stopping.is_set():
                with self._lock:
                    data = bytes(self._outgoing)
                came, gone = self._line.exchange(data, _IDLE_S)
                with self._lock:
                    del self._outgoing[:gone]
                for frame in deframer.feed(came):
                    self._inbox.put((self._slot, frame))
        except LINE_ERRORS as error:
            self._broken[self._slot] = str(error)
