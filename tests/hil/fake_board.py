"""A board that is none: a NumPy device, or what a test wants to hear, behind a loopback socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.numpy_body import NumpyBody
from byzantiny.wire.codec import Deframer, delimit
from byzantiny_hil.boardmap import PACKAGED, load_map
from byzantiny_hil.emulated import emulated_spec

Answer = Callable[[bytes], bytes]
"""From what came to what is sent, both as bytes of the line."""


def spec_of(client_id: str = "lab-01", **changes) -> DeviceSpec:
    made = emulated_spec(load_map(PACKAGED).find("emulated-m4f"))
    return DeviceSpec(**({"client_id": client_id, "secret": made.secret, "dataset": made.dataset} | changes))


class FakeBoard:
    """Listens until `unplug`; a connection can be cut with `drop`. Unlike a board it does not count line noise."""

    def __init__(self, spec: DeviceSpec | None = None, *, answer: Answer | None = None) -> None:
        self.spec = spec or spec_of()
        self._body = NumpyBody([self.spec])
        self._deframer = Deframer()
        self._answer = answer or self._by_numpy
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._line: socket.socket | None = None
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _by_numpy(self, data: bytes) -> bytes:
        frames = [(0, frame) for frame in self._deframer.feed(data)]
        return b"".join(delimit(frame) for _, frame in self._body.exchange(frames, 0))

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._line = line
                self.connections += 1
                with contextlib.suppress(OSError), line:
                    line.sendall(self._answer(b""))
                    while data := line.recv(4096):
                        line.sendall(self._answer(data))

    def drop(self) -> None:
        """Cut the connection; the port stays."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def unplug(self) -> None:
        """The port is gone."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._line is not None:
            self.drop()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unplug()


def write_map(folder: Path, url: str, spec: DeviceSpec, name: str = "bench", **keys) -> Path:
    """Write boards.toml with one wired board, its secret and its data beside it."""
    (folder / "bench.secret").write_text(spec.secret.hex() + "\n")
    (folder / "bench.dataset").write_bytes(spec.dataset)
    table = {
        "kind": "serial",
        "port": url,
        "device_id": spec.client_id,
        "secret_file": "bench.secret",
        "dataset_file": "bench.dataset",
        "address": spec.address,
        "answer_timeout_s": 1.5,
    } | keys
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in table.items()
    ]
    path = folder / "boards.toml"
    path.write_text(f"[boards.{name}]\n" + "\n".join(lines) + "\n")
    return path
