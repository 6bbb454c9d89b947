"""One device on a serial port, or on anything pyserial has a URL for: COBS inside, whole frames outside.

`/dev/ttyACM0` (or a pty), `socket://host:port` (an emulator), `rfc2217://host:port` (a remote port).
One thread reads and writes; the caller never waits for the line.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Final

from byzantiny.transport.base import Inbox
from byzantiny.transport.errors import TransportError
from byzantiny.transport.serial_line import LINE_ERRORS, Line, open_line
from byzantiny.wire.codec import Deframer, delimit, encode_frame, max_frame_bytes
from byzantiny.wire.messages import BROADCAST, UART_PAYLOAD_MAX, Frame, HelloRequest

QUEUE_MAX_BYTES: Final = 256 * 1024
"""Beyond this the line is not draining: frames are dropped and counted, as a full line would drop them."""
REOPEN_TRIES: Final = 40
REOPEN_WAIT_S: Final = 0.5
"""A board that is unplugged or re-enumerates has 20 s to come back."""
WAIT_S: Final = 0.1
RX_FRAME_MAX: Final = max_frame_bytes(UART_PAYLOAD_MAX)


class SerialTransport:
    """The link to one device.

    Every opening may reboot the board (DTR is its reset line on many): the session's HELLO is asked for again by the
    wire, and `stats["reopened"]` counts it. With `answer_within_s` given, `open` asks for a HELLO and raises
    TransportError when nothing that is a frame comes back. `stats` also counts `received`, `sent`, `dropped-queue`,
    `dropped-offline`, `rejected-cobs` and `rejected-size`.
    """

    name = "serial"
    realtime = True

    def __init__(
        self,
        client_id: str,
        url: str,
        baud: int = 115_200,
        *,
        max_payload: int = UART_PAYLOAD_MAX,
        answer_within_s: float | None = None,
        dtr: bool = True,
        reopen_tries: int = REOPEN_TRIES,
        reopen_wait_s: float = REOPEN_WAIT_S,
    ) -> None:
        if max_payload > UART_PAYLOAD_MAX:
            raise TransportError(
                f"max_payload {max_payload} is over {UART_PAYLOAD_MAX}, the most that the CRC covers well on a line; "
                "lower it"
            )
        self.max_payload = max_payload
        self.baud: int | None = baud
        self.stats: Counter[str] = Counter()
        self._client_id = client_id
        self._url = url
        self._rate = baud
        self._dtr = dtr
        self._answer_within_s = answer_within_s
        self._reopen_tries = reopen_tries
        self._reopen_wait_s = reopen_wait_s
        self._outgoing: deque[bytes] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._inbox: Inbox | None = None
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._failure: TransportError | None = None

    def open(self, inbox: Inbox) -> None:
        """Open the port; raises TransportError if it is missing, busy, forbidden, or if nothing answers on it."""
        if self._thread is not None:
            raise TransportError(f"{self._url} is open already; close() it first")
        self._line = open_line(self._url, self._rate, dtr=self._dtr)
        self._inbox, self._failure = inbox, None
        self._stopping.clear()
        self._answered.clear()
        self._thread = threading.Thread(target=self._run, name=f"byzantiny-serial-{self._client_id}", daemon=True)
        self._thread.start()
        if self._answer_within_s is None:
            return
        until = time.monotonic() + self._answer_within_s
        while not self._answered.is_set() and time.monotonic() < until:
            self.send(self._client_id, encode_frame(Frame(HelloRequest(), BROADCAST), to_device=True))
            self._answered.wait(min(0.5, self._answer_within_s))
        if not self._answered.is_set():
            self.close()
            raise TransportError(
                f"nothing answers on {self._url} at {self._rate} baud within {self._answer_within_s} s; "
                "check that the firmware is flashed, the baud rate, and RX against TX; then reset the board"
            )

    def send(self, client_id: str, frame: bytes) -> None:
        """Queue one frame; raises TransportError for another client, before `open`, or when the port is gone."""
        if client_id != self._client_id:
            raise TransportError(f"{self._url} leads to {self._client_id}, not to {client_id!r}; use a Router")
        if self._failure is not None:
            raise self._failure
        line = self._line
        if self._thread is None:
            raise TransportError(f"{self._url} is not open; call open(inbox) before send()")
        data = delimit(frame)
        with self._lock:
            if self._queued_bytes + len(data) > QUEUE_MAX_BYTES:
                self.stats["dropped-queue"] += 1
                return
            self._outgoing.append(data)
            self._queued_bytes += len(data)
        if line is not None:
            line.wake()

    def pump(self) -> None:
        """Do nothing: the thread does it."""

    def close(self) -> None:
        """End the thread and release the port; idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        line = self._line
        if line is not None:
            line.wake()
        thread.join()
        self._inbox = None

    def _run(self) -> None:
        deframer = Deframer(RX_FRAME_MAX)
        line = self._line
        try:
            while line is not None and not self._stopping.is_set():
                try:
                    self._serve(line, deframer)
                except LINE_ERRORS as error:
                    line.close()
                    line = self._line = self._reopen(error)
                    self._count_rejects(deframer)
                    deframer = Deframer(RX_FRAME_MAX)
        except Exception as error:
            self._failure = TransportError(f"the link on {self._url} has failed: {error!r}; restart the run")
        finally:
            self._line = None
            self._count_rejects(deframer)
            if line is not None:
                line.close()

    def _serve(self, line: Line, deframer: Deframer) -> None:
        """Write what the line takes of what is queued, and take what has come, once."""
        with self._lock:
            data = b"".join(self._outgoing)
        came, gone = line.exchange(data, WAIT_S)
        self._forget(gone)
        inbox = self._inbox
        for frame in deframer.feed(came):
            self.stats["received"] += 1
            self._answered.set()
            if inbox is not None:
                inbox.put(self._client_id, frame)

    def _forget(self, gone: int) -> None:
        """Take what the line has taken off the queue."""
        with self._lock:
            self._queued_bytes -= gone
            while gone:
                head = self._outgoing.popleft()
                if len(head) > gone:
                    self._outgoing.appendleft(head[gone:])
                    return
                gone -= len(head)
                self.stats["sent"] += 1

    def _reopen(self, error: BaseException) -> Line | None:
        """Wait for the port to come back; what is queued meanwhile is lost with it."""
        for _ in range(self._reopen_tries):
            if self._stopping.wait(self._reopen_wait_s):
                return None
            with self._lock:
                self.stats["dropped-offline"] += len(self._outgoing)
                self._outgoing.clear()
                self._queued_bytes = 0
            try:
                line = open_line(self._url, self._rate, dtr=self._dtr)
            except TransportError:
                continue
            self.stats["reopened"] += 1
            return line
        self._failure = TransportError(
            f"{self._url} went away ({error}) and did not come back in {self._reopen_tries} tries; "
            "plug the board in again and resume the run"
        )
        return None

    def _count_rejects(self, deframer: Deframer) -> None:
        if deframer.cobs_rejects:
            self.stats["rejected-cobs"] += deframer.cobs_rejects
        if deframer.size_rejects:
            self.stats["rejected-size"] += deframer.size_rejects
