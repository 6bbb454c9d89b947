"""Boards under QEMU (`qemu-system-arm`, a program of its own): the same images, an independent check of the emulation.

QEMU connects to a loopback socket that the body listens on, so no port number can be taken by somebody else in between.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.port_body import PortBody
from byzantiny.records import FirmwareInfo
from byzantiny_firmware.described import image_info
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import MAX_PAYLOAD, image_path
from byzantiny_firmware.provision import ADDRESS, network_of, provision
from byzantiny_firmware.sizes import elf_sizes

PROGRAM: Final = "qemu-system-arm"
MACHINES: Final = {"m0": "mps2-an385", "m3": "mps2-an385", "m4f": "mps2-an386", "m7": "mps2-an500"}
"""Image -> machine. There is no MPS2 with a Cortex-M0: its instructions are a subset of the M3's."""
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
_CHUNK_BYTES: Final = 1 << 16
_GUARD: Final = '"$@" </dev/null & cat >/dev/null; kill $! 2>/dev/null; wait'
"""QEMU would outlive a parent that is killed: a shell ends it, by its pid, when the pipe from the parent closes."""


def unavailable_reason() -> str | None:
    """Why there can be no QEMU board here, as a sentence; None where there can."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not on PATH; install it (Debian: `apt install qemu-system-arm`) or use the body `unicorn`"
    return None


class _SocketLine:
    """An accepted connection as a byte line (`byzantiny.transport.serial_line.Line`)."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._socket, self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    def exchange(self, data: bytes, wait_s: float) -> tuple[bytes, int]:
        self._selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0))
        came, gone = b"", 0
        for key, mask in self._selector.select(wait_s):
            if key.fileobj is self._wake_in:
                self._wake_in.recv(_CHUNK_BYTES)
                continue
            with contextlib.suppress(BlockingIOError):
                if mask & selectors.EVENT_READ:
                    came = self._socket.recv(_CHUNK_BYTES)
                    if not came:
                        raise OSError(errno.EPIPE, "the other end has hung up")
            with contextlib.suppress(BlockingIOError):
                if mask & selectors.EVENT_WRITE:
                    gone = self._socket.send(data)
        return came, gone

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full of wake-ups, or closed meanwhile
            self._wake_out.send(b"\0")

    def close(self) -> None:
        self._selector.close()
        for end in (self._socket, self._wake_in, self._wake_out):
            end.close()


class QemuBoard:
    """One QEMU process and its provisioning file; `line` is its serial line."""

    def __init__(self, spec: DeviceSpec, image: str = "m4f", *, icount: bool = False) -> None:
        reason = unavailable_reason()
        if reason is not None:
            raise FirmwareError(reason)
        kernel = image_path(image, spec.network)
        self.spec = spec
        self.info = image_info(kernel, image, spec.network)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the board is)
        with tempfile.NamedTemporaryFile(prefix="byzantiny-", suffix=".provision", delete=False) as file:
            most = elf_sizes(kernel, image, spec.network).samples_with(network_of(spec), spec.max_payload)
            file.write(provision(spec, max_payload=MAX_PAYLOAD, max_samples=most))
            self._provision = Path(file.name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        command = [
            PROGRAM, "-M", MACHINES[image], "-kernel", str(kernel),
            "-device", f"loader,file={file.name},addr=0x{ADDRESS:x},force-raw=on",
            "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot",
            "-serial", f"tcp:127.0.0.1:{self._listener.getsockname()[1]},nodelay=on",
        ]  # fmt: skip
        if icount:
            command += ["-icount", "shift=10"]
        self._process = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=self._errors,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends this one
        )

    def accept(self) -> _SocketLine:
        """Wait for QEMU to connect: its serial line."""
        self._listener.settimeout(START_TIMEOUT_S)
        try:
            connection, _ = self._listener.accept()
        except TimeoutError:
            raise FirmwareError(f"QEMU for {self.spec.client_id} does not start: {self.said()}") from None
        finally:
            self._listener.close()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _SocketLine(connection)

    def said(self) -> str:
        """What QEMU has written, for messages."""
        text = os.pread(self._errors.fileno(), _CHUNK_BYTES, 0).decode(errors="replace").strip()
        return f"QEMU said {text!r}" if text else "QEMU said nothing"

    def close(self) -> None:
        """End the process; idempotent."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.close()
        self._errors.close()
        self._provision.unlink(missing_ok=True)


class QemuBody(PortBody):
    """One QEMU process a slot."""

    def __init__(self, specs: Sequence[DeviceSpec], *, image: str = "m4f", icount: bool = False) -> None:
        self._image, self._icount = image, icount
        self._boards: list[QemuBoard] = []
        lines: list[_SocketLine] = []
        try:
            self._boards.extend(QemuBoard(spec, image, icount=icount) for spec in specs)
            lines.extend(board.accept() for board in self._boards)
        except BaseException:
            for line in lines:
                line.close()
            self._close_boards()
            raise
        super().__init__(lines, names=[spec.client_id for spec in specs])

    def firmware(self) -> list[FirmwareInfo]:
        """Return the image, its size from the ELF; QEMU does not count instructions."""
        return list(dict.fromkeys(board.info for board in self._boards))

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a board: another process, another boot_id."""
        old = self._boards[slot]
        spec = replace(old.spec, boot_id=boot_id)
        old.close()
        self._boards[slot] = QemuBoard(spec, self._image, icount=self._icount)
        self._replace(slot, self._boards[slot].accept())

    def close(self) -> None:
        """End the processes; idempotent."""
        super().close()
        self._close_boards()

    def _close_boards(self) -> None:
        for board in self._boards:
            board.close()
        self._boards.clear()

    def _explain(self, slot: int, why: str) -> str:
        return f"{why}; {self._boards[slot].said()}"
