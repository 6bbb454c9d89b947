"""What the end-to-end tests share: a process that forks coordinators, a broker that survives them, small experiments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from byzantiny.ledger import Ledger
from byzantiny.transport.brokers import find_mosquitto, private_mosquitto
from byzantiny.wire.messages import Verdict

NURSERY = Path(__file__).with_name("nursery.py")


class Nursery:
    """Runs one order after the other in forked children; what they write to stderr is kept."""

    def __enter__(self) -> Nursery:  # noqa: PYI034 - Self needs Python 3.11
        self._process = subprocess.Popen(
            [sys.executable, str(NURSERY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self.said: list[str] = []
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self.said.extend, args=(self._process.stderr,))
        self._reader.start()
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n", self.said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join()
        self._process.stdout.close()
        self._process.stderr.close()

    def order(self, what: str, *, kill_after_s: float | None, **more: Any) -> int:
        """Give an order and wait for the child's end."""
        self.give(what, kill_after_s=kill_after_s, **more)
        return self.status()

    def give(self, what: str, *, kill_after_s: float | None, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"what": what, "kill_after_s": kill_after_s, **more}) + "\n")
        self._process.stdin.flush()

    def status(self) -> int:
        assert self._process.stdout is not None
        return int(json.loads(self._process.stdout.readline())["status"])


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as it:
        yield it


@pytest.fixture
def second_nursery() -> Iterator[Nursery]:
    with Nursery() as it:
        yield it


@pytest.fixture
def broker() -> Iterator[str]:
    """A mosquitto of the test's own, which outlives whatever is killed."""
    program = find_mosquitto()
    if program is None:
        pytest.skip("there is no mosquitto")
    with private_mosquitto(program) as it:
        yield it.url


def _model_hashes(path: Path) -> list[bytes | None]:
    """The hash of the global model after every round."""
    with Ledger.open(path) as ledger:
        return [record.next_model_sha256 for record in ledger.rounds()]


def _check_exactly_once(path: Path, rounds: int) -> Counter[str]:
    """P2 from the ledger alone: every ACCEPTED receipt is one row of its round's aggregation, and no other row is.

    Returns how often each verdict was given.
    """
    with Ledger.open(path) as ledger:
        assert ledger._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ledger._db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert ledger.open_round_record() is None
        records = ledger.rounds()
        assert [record.round_num for record in records] == list(range(1, rounds + 1))
        round_rows = {row["round_num"]: row for row in ledger.rows("round")}
        client_rows = ledger.rows("client")
        for record in records:
            number = record.round_num
            receipted = sorted(
                (receipt.client_id, receipt.update_sha256)
                for receipt in ledger.receipts(number)
                if receipt.verdict is Verdict.ACCEPTED
            )
            inputs = [(update.client_id, update.update_sha256) for update in ledger.accepted(number)]
            exported = [
                row["client_id"]
                for row in client_rows
                if row["round_num"] == number and row["verdict"] == "accepted" and row["norm_steps"] is not None
            ]
            assert receipted == inputs, f"round {number}: what was receipted is not what was aggregated"
            assert exported == [client_id for client_id, _ in inputs], f"round {number}: clients.jsonl differs"
            assert round_rows[number]["accepted"] == len(inputs) == len(set(inputs))
        return Counter(ledger.verdict_counts())


@pytest.fixture(scope="session")
def model_hashes() -> Callable[[Path], list[bytes | None]]:
    """The hash of the global model after every round, from a ledger."""
    return _model_hashes


@pytest.fixture(scope="session")
def check_exactly_once() -> Callable[[Path, int], Counter[str]]:
    """P2 as a check of a finished ledger."""
    return _check_exactly_once
