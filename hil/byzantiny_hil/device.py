"""An open board: one device behind a port, real or emulated alike, and what every device can be asked."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final, TypeVar

from byzantiny.transport.errors import TransportError
from byzantiny.wire.codec import decode_frame, encode_frame
from byzantiny.wire.errors import WireError
from byzantiny.wire.messages import (
    BROADCAST,
    PROTO,
    UART_PAYLOAD_MAX,
    Frame,
    Hello,
    HelloRequest,
    Message,
    Metric,
    MetricRequest,
    Ping,
    ResetNotice,
)
from byzantiny_firmware.unicorn import BoardHandle
from byzantiny_hil.boardmap import Mapped, Wired
from byzantiny_hil.emulated import new_boot_id
from byzantiny_hil.errors import HilError
from byzantiny_hil.framelog import FrameLog, LoggedInbox
from byzantiny_hil.link import BoardTransport

BANNER_S: Final = 0.3
"""How long the unasked HELLO of a power-on is waited for, before it is asked for."""
AGAIN_S: Final = 0.5
EMULATED_BAUD: Final = 115_200
"""What an emulated line is opened with; nothing paces it."""

M = TypeVar("M", bound=Message)


class Board:
    """An open board. Every wait is bounded by the map's `answer_timeout_s`; every error is a HilError naming the board.

    `hello` is what it said last, `secret` and `dataset` (None: unknown) are what it should have, `log` is its line's.
    """

    def __init__(
        self, mapped: Mapped, url: str, secret: bytes, dataset: bytes | None, log: FrameLog, handle: BoardHandle | None
    ) -> None:
        self.mapped, self.url, self.secret, self.dataset, self.log = mapped, url, secret, dataset, log
        self.frames_sent = 0
        self._address = 0
        self._handle = handle
        entry = mapped.entry
        self.baud = entry.baud if isinstance(entry, Wired) else None
        tries = max(1, math.ceil(entry.answer_timeout_s / AGAIN_S))
        self._transport = BoardTransport(
            mapped.device_id,
            url,
            self.baud or EMULATED_BAUD,
            max_payload=entry.max_payload,
            dtr=entry.dtr if isinstance(entry, Wired) else True,
            reopen_tries=tries,
            reopen_wait_s=AGAIN_S,
        )
        self._inbox = LoggedInbox(log)
        try:
            self._transport.open(self._inbox)
        except TransportError as error:
            raise HilError(f"{mapped.at}: {error}") from error
        try:
            self.hello = self._greet(None)
        except BaseException:
            self._transport.close()
            raise

    @property
    def name(self) -> str:
        """Its name in the map."""
        return self.mapped.name

    @property
    def can_power_cycle(self) -> bool:
        """Whether `power_cycle` works: for a real board it takes a hand."""
        return self._handle is not None

    # Frames

    def send(self, message: Message, *, xfer: int = 0) -> None:
        """Send one message in a frame of its own."""
        frame = Frame(message, self.mapped.entry.address, self.frames_sent & 0xFFFF, xfer)
        self.send_frame(encode_frame(frame, to_device=True))

    def send_frame(self, frame: bytes) -> None:
        """Send one frame as it is, whole or damaged."""
        self.log.frame("down", frame)
        self.frames_sent += 1
        try:
            self._transport.send(self.mapped.device_id, frame)
        except TransportError as error:
            raise self.error(str(error)) from error

    def send_bytes(self, data: bytes) -> None:
        """Put bytes on the line outside any frame: noise."""
        self.log.frame("raw", data)
        try:
            self._transport.send_bytes(data)
        except TransportError as error:
            raise self.error(str(error)) from error

    def receive(self, wait_s: float) -> list[bytes]:
        """Return the frames that have come, waiting for the first; raises HilError when the line or firmware died."""
        came = [frame for _, frame in self._inbox.drain(wait_s)]
        if not came:
            if self._handle is not None and self._handle.fault is not None:
                raise self.error(f"its firmware has crashed: {self._handle.fault}")
            if self._transport.failure is not None:
                raise self.error(str(self._transport.failure))
        return came

    def request(self, message: Message, want: type[M], *, xfer: int = 0) -> M:
        """Send a message and return the first answer of the wanted type; asked twice more if nothing comes."""
        self._discard()
        tries = 3
        for _ in range(tries):
            self.send(message, xfer=xfer)
            for answer in self._messages(self.mapped.entry.answer_timeout_s / tries):
                if isinstance(answer, want):
                    return answer
        raise self.error(
            f"no {want.__name__} answers {type(message).__name__} within {self.mapped.entry.answer_timeout_s} s; "
            "reset the board, and look for line noise in the log"
        )

    # What every device can do

    def ping(self, nonce: int = 0x0B12) -> float:
        """Return the round trip in seconds; raises HilError when the echo is another."""
        began = time.monotonic()
        echo = self.request(Ping(nonce), Ping)
        took = time.monotonic() - began
        if echo.nonce != nonce:
            raise self.error(f"it echoes nonce {echo.nonce:#x} for {nonce:#x}; its firmware is another version")
        return took

    def metric(self) -> Metric:
        """Return its counters since boot."""
        return self.request(MetricRequest(), Metric)

    def ask_hello(self) -> Hello:
        """Ask who it is; raises HilError when it is no longer who the map says."""
        self.hello = self._checked(self.request(HelloRequest(), Hello))
        return self.hello

    def reset_notice(self) -> Hello:
        """Tell it that the host has restarted: the session is closed, half-done transfers are dropped."""
        self.hello = self._checked(self.request(ResetNotice(), Hello))
        return self.hello

    def power_cycle(self) -> Hello:
        """Switch it off and on, and return its banner; raises HilError for a real board."""
        if self._handle is None:
            raise self.error("it cannot be power-cycled from here; reset it by hand")
        boot_id = new_boot_id()
        self.log.note(f"power cycle, boot_id {boot_id}")
        self._handle.reset(boot_id)
        self.hello = self._greet(boot_id)
        return self.hello

    def error(self, text: str) -> HilError:
        """Return an error about this board: its name, what is known of its line, where its log is."""
        if self._transport.lost is not None and self._transport.failure is None:
            text += f"; its port has gone away: {self._transport.lost}"
        self.log.note(f"error: {text}")
        return HilError(f"board `{self.name}`: {text}" + (f"; frames: {self.log.path}" if self.log.path else ""))

    def close(self) -> None:
        """Release the port and end an emulated board; idempotent."""
        self._transport.close()
        if self._handle is not None:
            self._handle.close()
        self.log.note(f"closed; {dict(self._transport.stats)}")
        self.log.close()

    def __enter__(self) -> Board:  # noqa: PYI034  (typing.Self is Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside

    def _greet(self, boot_id: int | None) -> Hello:
        """Wait for the banner, then ask for it; until `answer_timeout_s` is over."""
        until = time.monotonic() + self.mapped.entry.answer_timeout_s
        wait_s = BANNER_S
        unread = ""
        while (left := until - time.monotonic()) > 0:
            try:
                for answer in self._messages(min(wait_s, left), strict=True):
                    if isinstance(answer, Hello) and boot_id in (None, answer.boot_id):
                        return self._checked(answer)
            except WireError as error:
                unread = str(error)
                continue
            self.send_frame(encode_frame(Frame(HelloRequest(), BROADCAST), to_device=True))
            wait_s = AGAIN_S
        self._transport.close()
        raise self.error(self._why_silent(unread))

    def _why_silent(self, unread: str) -> str:
        stats = self._transport.stats
        noise = stats["rejected-cobs"] + stats["rejected-size"]
        where = f"no HELLO comes from {self.url}" + (f" at {self.baud} baud" if self.baud else "")
        where += f" within {self.mapped.entry.answer_timeout_s} s"
        if unread:
            return f"{where}: frames come, but {unread}; check that its firmware is of this version"
        if noise:
            return f"{where}: what comes is no frames ({noise} pieces of noise); check `baud`"
        return (
            f"{where}, and nothing else; check that the firmware is flashed, `baud`, and RX against TX, "
            "then reset the board"
        )

    def _messages(self, wait_s: float, *, strict: bool = False) -> Iterator[Message]:
        """Yield what comes, decoded, until `wait_s` has passed; what cannot be read is skipped, or raised if strict."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            for raw in self.receive(min(left, 0.1)):
                try:
                    frame = decode_frame(raw, from_device=True, max_payload=UART_PAYLOAD_MAX)
                except WireError:
                    if strict:
                        raise
                    continue
                self._address = frame.address
                yield frame.message

    def _checked(self, hello: Hello) -> Hello:
        mapped = self.mapped
        if hello.device_id != mapped.device_id:
            raise HilError(
                f"{mapped.at}: the board on {self.url} reports the device id `{hello.device_id}`, the map says "
                f"`{mapped.device_id}`; another board is plugged in, or `device_id` must be `{hello.device_id}`"
            )
        if self._address != mapped.entry.address:
            raise HilError(
                f"{mapped.at}: `{hello.device_id}` answers from address {self._address}, the map says "
                f"{mapped.entry.address}; set `address` to {self._address}"
            )
        if not hello.proto_min <= PROTO <= hello.proto_max:
            raise HilError(
                f"{mapped.at}: `{hello.device_id}` speaks versions {hello.proto_min}..{hello.proto_max} of the wire, "
                f"this host {PROTO}; flash the firmware of this version"
            )
        self.log.note(f"HELLO of {hello.device_id}, boot_id {hello.boot_id}")
        return hello

    def _discard(self) -> None:
        """Forget what has come and was not waited for."""
        self._inbox.drain(0.0)
