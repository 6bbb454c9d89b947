"""The ledger itself: one SQLite connection, one thread, every change one transaction (SPEC 8)."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from byzantiny.ledger import schema
from byzantiny.ledger.records import (
    OUTCOMES,
    AcceptedUpdate,
    Candidate,
    ClosedRound,
    LedgerError,
    Receipt,
    RoundClosing,
    RoundOpening,
    RoundRecord,
)
from byzantiny.wire.messages import Reason, Verdict

if TYPE_CHECKING:
    from typing_extensions import Self


class Ledger:
    """The durable store of one run.

    >>> with Ledger.create(":memory:") as ledger:
    ...     ledger.open_round(RoundOpening(1, ("dev-01",), b"offer", b"sha", b"model", b"nonce"))
    ...     update = Candidate("dev-01", 1, b"hash", np.zeros(3, np.int8), n_samples=5)
    ...     print([receipt.name for receipt in ledger.judge([update, update])])
    ['ACCEPTED', 'DUPLICATE']
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: str | Path,
        *,
        keep_updates: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._path = path
        self._keep_updates = keep_updates
        self._clock = clock

    @classmethod
    def create(cls, path: str | Path, *, keep_updates: bool = False, clock: Callable[[], float] = time.time) -> Ledger:
        """Create a ledger at `path`, or `":memory:"`; raises LedgerError if the file exists."""
        return cls(schema.create(path), path, keep_updates=keep_updates, clock=clock)

    @classmethod
    def open(cls, path: str | Path, *, keep_updates: bool = False, clock: Callable[[], float] = time.time) -> Ledger:
        """Open the ledger of an earlier run; raises LedgerError if it is missing, foreign or of another version."""
        return cls(schema.open_existing(path), path, keep_updates=keep_updates, clock=clock)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Who takes part

    def put_device(self, client_id: str, hello: Mapping[str, Any]) -> None:
        """Keep what a device last said about itself (bytes become hexadecimal)."""
        text = json.dumps(dict(hello), default=_as_json, sort_keys=True)
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?)", (client_id, text, self._clock()))

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return what every device last said about itself."""
        rows = self._db.execute("SELECT client_id, hello FROM device ORDER BY client_id")
        return {client_id: json.loads(hello) for client_id, hello in rows}

    # A round opens

    def open_round(self, opening: RoundOpening) -> None:
        """Make nonce, cohort and offer durable; the offer may leave afterwards.

        Raises LedgerError if a round is open already, or if the round is not later than every other.
        """
        with self._transaction():
            last, still_open = self._db.execute(
                "SELECT max(round_num), max(CASE WHEN outcome IS NULL THEN round_num END) FROM round"
            ).fetchone()
            if still_open is not None:
                raise LedgerError(f"round {still_open} is open; close it before round {opening.round_num} is opened")
            if opening.round_num <= (last or 0):
                raise LedgerError(
                    f"round {opening.round_num} is not after round {last or 0}; rounds count upwards from 1"
                )
            self._db.execute(
                "INSERT INTO round (round_num, cohort, offer_sha256, model_sha256, nonce, opened_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    opening.round_num,
                    json.dumps(opening.cohort),
                    opening.offer_sha256,
                    opening.model_sha256,
                    opening.nonce,
                    self._clock(),
                ),
            )
            self._db.execute(
                "INSERT INTO offer VALUES (?, ?, ?)", (opening.offer_sha256, opening.round_num, opening.offer_body)
            )

    def open_round_record(self) -> RoundOpening | None:
        """Return the round that a crash or a suspension left open, with its offer; None between rounds."""
        row = self._db.execute(
            "SELECT round_num, cohort, body, offer_sha256, model_sha256, nonce"
            " FROM round JOIN offer USING (round_num, offer_sha256) WHERE outcome IS NULL"
        ).fetchone()
        return None if row is None else RoundOpening(row[0], tuple(json.loads(row[1])), *row[2:])

    def known_offers(self) -> dict[bytes, bytes]:
        """Every offer this run has made: hash to body."""
        return dict(self._db.execute("SELECT offer_sha256, body FROM offer ORDER BY round_num").fetchall())

    # Updates arrive

    def judge(self, batch: Sequence[Candidate]) -> list[Receipt]:
        """Return the verdicts on a batch, in its order, durable together by then (one group commit).

        Whether the round is still open is tested in the same transaction. A candidate that validation rejected is
        REJECTED whatever the state of its round, so that its verdict does not depend on when it arrived; a valid one
        is STALE if its round is closed or past, DUPLICATE or CONFLICT if the device has an update in the round,
        else ACCEPTED.
        """
        if not batch:
            return []
        with self._transaction():
            row = self._db.execute("SELECT round_num FROM round WHERE outcome IS NULL").fetchone()
            open_round = None if row is None else int(row[0])
            last = int(self._db.execute("SELECT coalesce(max(round_num), 0) FROM round").fetchone()[0])
            receipts = [self._judge_one(candidate, open_round, last) for candidate in batch]
            self._db.executemany(
                "INSERT INTO receipt (round_num, client_id, update_sha256, verdict, reason, text, time_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (r.round_num, r.client_id, r.update_sha256, int(r.verdict), int(r.reason), r.text, r.time_s)
                    for r in receipts
                ],
            )
        return receipts

    def _judge_one(self, candidate: Candidate, open_round: int | None, last: int) -> Receipt:
        reason = Reason.NONE
        if candidate.rejection is not None:
            verdict, reason, text = Verdict.REJECTED, candidate.rejection.reason, candidate.rejection.text
        elif candidate.round_num == open_round:
            verdict, text = self._enter(candidate)
        elif candidate.round_num <= last:
            verdict = Verdict.STALE
            text = f"round {candidate.round_num} is closed; the last round is {last}"
        else:
            verdict, reason = Verdict.REJECTED, Reason.WRONG_ROUND
            text = f"round {candidate.round_num} has not been opened; the last round is {last}"
        return Receipt(
            candidate.client_id, candidate.round_num, candidate.update_sha256, verdict, reason, text, self._clock()
        )

    def _enter(self, candidate: Candidate) -> tuple[Verdict, str]:
        """Insert the update of an open round unless the device has one there."""
        if candidate.codes is None:
            raise LedgerError(
                f"the update of {candidate.client_id} has neither codes nor a rejection; pass one of them"
            )
        row = self._db.execute(
            'SELECT update_sha256 FROM "update" WHERE round_num = ? AND client_id = ?',
            (candidate.round_num, candidate.client_id),
        ).fetchone()
        if row is not None:
            if row[0] == candidate.update_sha256:
                return Verdict.DUPLICATE, "this update has been accepted before"
            return Verdict.CONFLICT, f"another update ({row[0].hex()[:16]}) of this device was accepted first"
        self._db.execute(
            'INSERT INTO "update" VALUES (?, ?, ?, ?, ?, ?, ?)',
            (
                candidate.round_num,
                candidate.client_id,
                candidate.update_sha256,
                candidate.n_samples,
                candidate.squared_norm,
                str(candidate.counter),  # u64, chosen by the client: SQLite's integers are signed
                np.ascontiguousarray(candidate.codes, np.int8).tobytes(),
            ),
        )
        return Verdict.ACCEPTED, ""

    def accepted(self, round_num: int) -> list[AcceptedUpdate]:
        """Return the accepted updates of a round, sorted bytewise by client_id."""
        return list(self.each_accepted(round_num))

    def each_accepted(self, round_num: int) -> Iterator[AcceptedUpdate]:
        """Yield the accepted updates of a round, sorted bytewise by client_id, without holding all their codes at once.

        Nothing may be written to the ledger before the last has come.
        """
        rows = self._db.execute(
            "SELECT client_id, update_sha256, codes, n_samples, squared_norm, counter"
            ' FROM "update" WHERE round_num = ? ORDER BY client_id',
            (round_num,),
        )
        for client_id, sha, codes, n_samples, squared_norm, counter in rows:
            yield AcceptedUpdate(
                client_id,
                sha,
                None if codes is None else np.frombuffer(codes, np.int8),
                n_samples,
                squared_norm,
                int(counter),
            )

    # A round closes

    def close_round(self, closing: RoundClosing) -> None:
        """Model, state, outcome and metrics of the round in one transaction; codes are dropped unless they are kept.

        Only the newest model and state are kept whole; of the older ones the hash stays.
        Raises LedgerError if that round is not the open one.
        """
        if closing.outcome not in OUTCOMES:
            raise LedgerError(f"the outcome {closing.outcome!r} is none of {', '.join(OUTCOMES)}")
        with self._transaction():
            changed = self._db.execute(
                "UPDATE round SET outcome = ?, reason = ?, next_model_sha256 = ?, model = ?, state = ?, closed_s = ?"
                " WHERE round_num = ? AND outcome IS NULL",
                (
                    closing.outcome,
                    closing.reason,
                    hashlib.sha256(closing.model).digest(),
                    closing.model,
                    closing.state,
                    self._clock(),
                    closing.round_num,
                ),
            ).rowcount
            if changed != 1:
                raise LedgerError(f"round {closing.round_num} is not open; only the open round can be closed")
            self._db.execute("UPDATE round SET model = NULL, state = NULL WHERE round_num < ?", (closing.round_num,))
            if not self._keep_updates:
                self._db.execute('UPDATE "update" SET codes = NULL WHERE round_num = ?', (closing.round_num,))
            rows = [("", closing.round_row), *((str(row["client_id"]), row) for row in closing.client_rows)]
            self._db.executemany(
                "INSERT INTO metric VALUES (?, ?, ?)",
                [(closing.round_num, client_id, json.dumps(dict(row), default=_as_json)) for client_id, row in rows],
            )

    def last_closed(self) -> ClosedRound | None:
        """Return the round a resumed coordinator continues after; None before the first is closed."""
        row = self._db.execute(
            "SELECT round_num, outcome, reason, model, state FROM round"
            " WHERE outcome IS NOT NULL ORDER BY round_num DESC LIMIT 1"
        ).fetchone()
        return None if row is None else ClosedRound(*row)

    # What happened

    def rounds(self) -> list[RoundRecord]:
        """Return every round, in order."""
        rows = self._db.execute(
            "SELECT round_num, cohort, offer_sha256, model_sha256, outcome, reason, next_model_sha256,"
            " opened_s, closed_s FROM round ORDER BY round_num"
        )
        return [RoundRecord(row[0], tuple(json.loads(row[1])), *row[2:]) for row in rows]

    def receipts(self, round_num: int) -> list[Receipt]:
        """Return every verdict on an update that named this round, in the order they were given."""
        rows = self._db.execute(
            "SELECT client_id, round_num, update_sha256, verdict, reason, text, time_s"
            " FROM receipt WHERE round_num = ? ORDER BY id",
            (round_num,),
        )
        return [
            Receipt(client_id, number, sha, Verdict(verdict), Reason(reason), text, time_s)
            for client_id, number, sha, verdict, reason, text, time_s in rows
        ]

    def rows(self, table: Literal["round", "client"]) -> list[dict[str, Any]]:
        """Return the metric rows for export: one per closed round, or one per closed round and client."""
        where = "client_id = ''" if table == "round" else "client_id != ''"
        rows = self._db.execute(f"SELECT round_num, row FROM metric WHERE {where} ORDER BY round_num, client_id")  # noqa: S608
        return [{"round_num": round_num, **json.loads(row)} for round_num, row in rows]

    def verdict_counts(self, round_num: int | None = None) -> dict[str, int]:
        """Count how often each verdict was given, by `Receipt.name`; of one round or of the run."""
        rows = self._db.execute(
            "SELECT verdict, reason, count(*) FROM receipt WHERE ? IS NULL OR round_num = ?"
            " GROUP BY verdict, reason ORDER BY verdict, reason",
            (round_num, round_num),
        )
        counts: Counter[str] = Counter()
        for verdict, reason, count in rows:
            counts[Receipt("", 0, b"", Verdict(verdict), Reason(reason)).name] += count
        return dict(counts)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, taken for writing at once so that what is read inside cannot change before the commit."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerError(
                f"the ledger {self._path} cannot be written: {error}; check the disk, and that no other run uses it"
            ) from error


def _as_json(value: object) -> object:
    """Bytes as hexadecimal, NumPy scalars and arrays as numbers and lists."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise LedgerError(f"a {type(value).__name__} cannot be kept as JSON; pass numbers, text, lists or bytes")
