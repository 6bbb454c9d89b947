"""What `byzantiny board check` and `run-conformance` do."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from byzantiny.wire.messages import Cap, Reject, ResetReason
from byzantiny_hil.board import open_board
from byzantiny_hil.boardmap import load_map
from byzantiny_hil.errors import HilError

PINGS: Final = 8


def check_board(name: str, boards: Path | None = None, *, logdir: Path | None = None) -> dict[str, Any]:
    """Open a board and return who it is, what it has counted and its round trips, as JSON's types.

    Raises as `open_board`.
    """
    with open_board(name, boards, logdir=logdir) as board:
        trips = [board.ping(nonce) * 1e3 for nonce in range(1, PINGS + 1)]
        metric, hello, mapped = board.metric(), board.hello, board.mapped
        return {
            "name": name,
            "kind": mapped.entry.kind,
            "port": board.url,
            "baud": board.baud,
            "device_id": hello.device_id,
            "address": mapped.entry.address,
            "fw_sha256": hello.fw_sha256.hex(),
            "build_id": hello.build_id,
            "boot_id": hello.boot_id,
            "reset_reason": ResetReason(hello.reset_reason).name,
            "caps": [cap.name for cap in Cap if cap and hello.caps & cap],
            "max_payload": hello.max_payload,
            "max_object_bytes": hello.max_object,
            "rx_credit": hello.rx_credit,
            "n_samples": hello.n_samples,
            "data_sha256": hello.data_sha256.hex(),
            "round_trip_ms": {
                "min": round(min(trips), 3),
                "median": round(statistics.median(trips), 3),
                "max": round(max(trips), 3),
            },
            "frames_received": metric.frames_received,
            "frames_sent": metric.frames_sent,
            "training_steps": metric.training_steps,
            "stack_bytes": metric.stack_bytes,
            "rejects": {reject.name.lower(): count for reject, count in zip(Reject, metric.rejects, strict=True)},
        }


def text_of(found: dict[str, Any]) -> str:
    r"""Return a check as text, a line a fact.

    >>> text_of({"name": "a", "caps": ["X", "Y"], "rejects": {"crc": 0, "size": 2}})
    'name     a\ncaps     X, Y\nrejects  crc 0, size 2'
    """
    width = max(map(len, found)) + 2
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {number}" for name, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        lines.append(f"{key.replace('_', ' '):<{width}}{'-' if value is None else value}")
    return "\n".join(lines)


def run_conformance(name: str, boards: Path | None = None, *, logdir: Path | None = None) -> int:
    """Run the conformance set on a board in a process of its own and return pytest's exit status.

    Raises HilError: no such board, or no pytest.
    """
    load_map(boards).find(name)
    if importlib.util.find_spec("pytest") is None:
        raise HilError("the conformance set needs pytest, which is not installed; pip install 'byzantiny[test]'")
    here = Path(__file__).parent
    # The tests are the package's, so the configuration of whatever folder this is called in does not apply.
    command = [sys.executable, "-m", "pytest", "-c", str(here / "conformance" / "pytest.ini"), "-p", "no:cacheprovider"]
    command += ["--board", name, "-v"]
    command += ["--boards", str(boards.resolve())] if boards else []
    command += ["--board-logdir", str(logdir.resolve())] if logdir else []
    return subprocess.run([*command, "--pyargs", "byzantiny_hil.conformance"], check=False).returncode
