"""The log of a board's line: every frame both ways, with the host's monotonic time; made to be read and to be replayed.

One line a frame, four columns: seconds, way (`down` to the board, `up` from it, `raw` bytes outside any frame, `note`),
type, and the bytes in hex, without COBS.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from byzantiny.transport.base import Inbox
from byzantiny.wire.messages import Type

_NAMES = {int(kind): kind.name for kind in Type}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    seconds: float
    way: str
    kind: str
    data: bytes


class FrameLog:
    """Writes one file; called from any thread. With no path it keeps nothing."""

    def __init__(self, path: Path | None, title: str = "") -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", buffering=1)
            utc = dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")
            self._file.write(f"# byzantiny board log 1: {title}; {utc} is {time.monotonic():.6f}\n")

    def frame(self, way: str, frame: bytes) -> None:
        """Write down a frame (without COBS), or raw bytes."""
        kind = "-" if way == "raw" or not frame else _NAMES.get(frame[0] & 15, "?")
        self._write(f"{way:<4} {kind:<12} {frame.hex()}")

    def note(self, text: str) -> None:
        """Write down what has happened, in words."""
        self._write(f"note {text}")

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, text: str) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(f"{time.monotonic():.6f} {text}\n")


class LoggedInbox(Inbox):
    """An inbox that logs each frame when it arrives, not when it is looked at."""

    def __init__(self, log: FrameLog) -> None:
        super().__init__()
        self._log = log

    def put(self, client_id: str, frame: bytes) -> None:
        """Log and add one frame."""
        self._log.frame("up", frame)
        super().put(client_id, frame)


def read_log(path: Path) -> list[Line]:
    """Return the frames and raw bytes of a log, in order, without its notes."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        words = text.split()
        if text.startswith("#") or words[1] == "note":
            continue
        lines.append(Line(float(words[0]), words[1], words[2], bytes.fromhex(words[3]) if len(words) > 3 else b""))
    return lines
