"""The native body behind serial ports: one loopback listener a device, COBS on the line, the library on the other side.

A test plugs it in as the ports `native` (`plug_in`), as anybody's package plugs its boards in.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.ports import GROUP
from byzantiny.wire.codec import Deframer, delimit
from byzantiny_firmware.native import NativeBody


class _Device:
    """A slot and its line: bytes in, bytes out."""

    def __init__(self, spec: DeviceSpec) -> None:
        self.body = NativeBody([spec], threads=1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.line: socket.socket | None = None
        self._deframer = Deframer()

    def plug(self) -> socket.socket:
        self.line, _ = self.listener.accept()
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deframer = Deframer()
        self.answer(b"")  # the banner
        return self.line

    def answer(self, data: bytes) -> None:
        frames = [(0, frame) for frame in self._deframer.feed(data)]
        self.line.sendall(b"".join(delimit(frame) for _, frame in self.body.exchange(frames, 0)))

    def close(self) -> None:
        for end in (self.line, self.listener):
            if end is not None:
                end.close()
        self.body.close()


class NativePorts:
    """One thread serves every port of the group (`byzantiny.bodies.ports.Ports`)."""

    baud: int | None = None
    dtr = True

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self.specs = list(specs)
        self._devices = [_Device(spec) for spec in specs]
        self.urls = [f"socket://127.0.0.1:{device.listener.getsockname()[1]}" for device in self._devices]
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="native-ports")
        self._thread.start()

    def training(self, slot: int) -> None:
        return None

    def reboot(self, slot: int, boot_id: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        self._stopped.close()
        for device in self._devices:
            device.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stopped, selectors.EVENT_READ, None)
            for device in self._devices:
                selector.register(device.listener, selectors.EVENT_READ, device)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    if key.fileobj is key.data.listener:
                        selector.register(key.data.plug(), selectors.EVENT_READ, key.data)
                        continue
                    with suppress(OSError):
                        if data := key.fileobj.recv(4096):
                            key.data.answer(data)
                            continue
                    selector.unregister(key.fileobj)


def plug_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Register the entry point `native` of the group `byzantiny.ports` for one test."""
    package = folder / "native_ports-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: native-ports\nVersion: 0\n")
    (package / "entry_points.txt").write_text(f"[{GROUP}]\nnative = {__name__}:NativePorts\n")
    monkeypatch.syspath_prepend(folder)
