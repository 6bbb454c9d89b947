"""A byte line made of a pyserial port: opened with care, read and written at once, without blocking.

pyserial's own `read` and `write` wait with `select()`, which fails for descriptors from 1024 on (a process with a large
MQTT fleet has them), and its `socket://` throws away what the other end said at once (the banner). So a port that has a
descriptor is read and written directly, `socket://` is a socket, and only `rfc2217://` is pyserial throughout.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import urllib.parse
from contextlib import suppress
from typing import Any, Final, Protocol

import serial

from byzantiny.transport.errors import TransportError

LINE_ERRORS: Final = (OSError, serial.SerialException)
"""What a line that has gone raises."""
CHUNK_BYTES: Final = 4096
CONNECT_S: Final = 5.0
SOCKET: Final = "socket://"


class Line(Protocol):
    """An open byte line."""

    def exchange(self, data: bytes, wait_s: float) -> tuple[bytes, int]:
        """Wait at most `wait_s` until something can be done; return what has come, and how much of `data` has gone.

        Both ways at once: a device on a full pty does not read before it has written. Raises one of LINE_ERRORS when
        the line is gone; one that takes nothing is only slow (the device is training).
        """
        ...

    def wake(self) -> None:
        """End an `exchange` that waits; callable from any thread, also after `close`."""
        ...

    def close(self) -> None:
        """Release the port."""
        ...


def open_line(url: str, baud: int, *, dtr: bool) -> Line:
    """Open a pyserial URL for ourselves alone; raises TransportError with the remedy."""
    try:
        port = _connect(url) if url.startswith(SOCKET) else _open_port(url, baud, dtr=dtr)
    except LINE_ERRORS as error:
        raise TransportError(_why(url, error)) from error
    except (ValueError, TypeError) as error:
        raise TransportError(
            f"{url!r} is no serial port: {error}; write /dev/..., socket://host:port or rfc2217://host:port"
        ) from error
    try:
        descriptor = int(port.fileno())
    except (OSError, AttributeError, NotImplementedError):
        return _PortLine(port)
    _keep_dtr(descriptor)
    return _DescriptorLine(port, descriptor)


def _connect(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or parts.port is None:
        raise ValueError("host or port is missing")
    sock = socket.create_connection((parts.hostname, parts.port), CONNECT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _open_port(url: str, baud: int, *, dtr: bool) -> Any:
    port = serial.serial_for_url(url, baudrate=baud, timeout=0.05, do_not_open=True)
    if hasattr(port, "exclusive"):
        port.exclusive = True
    # Set before opening, so that the lines make one step at most: on many boards a falling DTR is a reset.
    port.dtr = dtr
    port.rts = dtr
    port.open()
    return port


def _why(url: str, error: Exception) -> str:
    """Return what is the matter with a port that cannot be opened, and what to do."""
    code = getattr(error, "errno", None)
    text = str(error)
    if code == errno.ENOENT or "No such file" in text:
        return f"there is no port {url}; plug the board in, and see `byzantiny board list`"
    if code in (errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return (
            f"{url} may not be opened by this user; add the user to the port's group (often dialout) and log in again"
        )
    if code in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text:
        return f"{url} is in use by another program; close it (a terminal, ModemManager) and try again"
    return f"{url} cannot be opened: {text}; check that the board or the emulator is running"


def _keep_dtr(descriptor: int) -> None:
    """Keep DTR up when the port is closed, so that the next opening does not reset the board."""
    try:
        import termios
    except ImportError:
        return
    with suppress(termios.error, OSError):  # a socket is no terminal
        attributes = termios.tcgetattr(descriptor)
        attributes[2] &= ~termios.HUPCL
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


class _DescriptorLine:
    """A terminal or a socket."""

    def __init__(self, port: Any, descriptor: int) -> None:
        self._port = port
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    def exchange(self, data: bytes, wait_s: float) -> tuple[bytes, int]:
        self._selector.modify(self._descriptor, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0))
        came, gone = b"", 0
        for key, mask in self._selector.select(wait_s):
            if key.fileobj is self._wake_in:
                self._wake_in.recv(CHUNK_BYTES)
                continue
            with suppress(BlockingIOError):
                if mask & selectors.EVENT_READ:
                    came = os.read(self._descriptor, CHUNK_BYTES)
                    if not came:
                        raise OSError(errno.EPIPE, "the other end has hung up")
            with suppress(BlockingIOError):
                if mask & selectors.EVENT_WRITE:
                    gone = os.write(self._descriptor, data)
        return came, gone

    def wake(self) -> None:
        with suppress(OSError):  # full of wake-ups, or closed meanwhile
            self._wake_out.send(b"\0")

    def close(self) -> None:
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()
        with suppress(*LINE_ERRORS):
            self._port.close()


class _PortLine:
    """A port that only pyserial can read; `wake` is not needed, since it waits 50 ms at most."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def exchange(self, data: bytes, wait_s: float) -> tuple[bytes, int]:  # noqa: ARG002 - the port's own timeout counts
        if data:
            self._port.write(data)
        came = bytes(self._port.read(1))
        return (came + bytes(self._port.read(self._port.in_waiting)) if came else came), len(data)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        with suppress(*LINE_ERRORS):
            self._port.close()
