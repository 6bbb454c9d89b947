"""The ledger's tables, and the checks when a file is opened."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from byzantiny.ledger.records import LedgerError

APPLICATION_ID: Final = 0x42595A4C
"""`BYZL`: `file run/ledger.sqlite` and this module know the file by it."""
USER_VERSION: Final = 1
MEMORY: Final = ":memory:"
BUSY_TIMEOUT_MS: Final = 5000
_HEADER: Final = struct.Struct(">16s44xi4xI")
"""The start of an SQLite file: magic, user_version at 60, application_id at 68 (sqlite.org/fileformat.html)."""
_MAGIC: Final = b"SQLite format 3\0"

# "update" is a keyword of SQL and the name of the table in SPEC 8, so it is quoted wherever it stands.
TABLES: Final = """
CREATE TABLE device (
  client_id TEXT PRIMARY KEY,
  hello TEXT NOT NULL,
  seen_s REAL NOT NULL
);
CREATE TABLE round (
  round_num INTEGER PRIMARY KEY,
  cohort TEXT NOT NULL,
  offer_sha256 BLOB NOT NULL,
  model_sha256 BLOB NOT NULL,
  nonce BLOB NOT NULL,
  opened_s REAL NOT NULL,
  outcome TEXT CHECK (outcome IN ('aggregated', 'no-aggregate')),
  reason TEXT NOT NULL DEFAULT '',
  next_model_sha256 BLOB,
  model BLOB,
  state BLOB,
  closed_s REAL
);
CREATE UNIQUE INDEX one_open_round ON round ((1)) WHERE outcome IS NULL;
CREATE TABLE offer (
  offer_sha256 BLOB PRIMARY KEY,
  round_num INTEGER NOT NULL REFERENCES round,
  body BLOB NOT NULL
);
CREATE TABLE "update" (
  round_num INTEGER NOT NULL REFERENCES round,
  client_id TEXT NOT NULL,
  update_sha256 BLOB NOT NULL,
  n_samples INTEGER NOT NULL,
  squared_norm INTEGER NOT NULL,
  counter TEXT NOT NULL,
  codes BLOB,
  PRIMARY KEY (round_num, client_id)
);
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY,
  round_num INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  update_sha256 BLOB NOT NULL,
  verdict INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  text TEXT NOT NULL,
  time_s REAL NOT NULL
);
CREATE INDEX receipt_by_round ON receipt (round_num);
CREATE TABLE metric (
  round_num INTEGER NOT NULL REFERENCES round,
  client_id TEXT NOT NULL DEFAULT '',
  row TEXT NOT NULL,
  PRIMARY KEY (round_num, client_id)
);
"""


def create(path: str | Path) -> sqlite3.Connection:
    """Create a ledger; raises LedgerError if the file exists or cannot be made, which leaves no file behind."""
    if str(path) != MEMORY:
        try:
            Path(path).touch(exist_ok=False)
        except FileExistsError:
            raise LedgerError(
                f"{path} exists already; resume the run with it, or choose another run directory"
            ) from None
        except OSError as error:
            raise LedgerError(
                f"cannot open {path}: {error.strerror}; check that the directory exists and is writable"
            ) from error
    try:
        return _connect(path, _make)
    except BaseException:
        if str(path) != MEMORY:
            Path(path).unlink(missing_ok=True)
        raise


def open_existing(path: str | Path) -> sqlite3.Connection:
    """Open an existing ledger; raises LedgerError if it is not one, or is newer than this program.

    What is no ledger is not changed: SQLite may write to a file it opens, so the header is read without it.
    """
    if not Path(path).is_file():
        raise LedgerError(f"there is no ledger at {path}; start the run before it is resumed")
    _check(*_header(path), path)
    return _connect(path, lambda db: _check(_pragma(db, "application_id"), _pragma(db, "user_version"), path))


def _connect(path: str | Path, first: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Connect, do `first`, and set the durability SPEC 8 asks for. Creating comes before the WAL: the header is in the file.

    Raises:
        LedgerError: SQLite cannot; the message names the file.
    """
    with _naming(path), ExitStack() as on_failure:
        db = sqlite3.connect(path, isolation_level=None)
        on_failure.callback(db.close)
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if str(path) != MEMORY:
            db.execute("PRAGMA synchronous = FULL")
        first(db)
        if str(path) != MEMORY:
            db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA foreign_keys = ON")
        on_failure.pop_all()
    return db


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Turn what SQLite says into LedgerError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # full, locked, read-only
        raise LedgerError(
            f"cannot open {path}: {error}; check the disk, that the directory is writable, and that no other run uses it"
        ) from error
    except sqlite3.Error as error:
        raise LedgerError(_no_ledger(path, str(error))) from error


def _make(db: sqlite3.Connection) -> None:
    db.executescript(
        f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {USER_VERSION}; COMMIT;"
    )


def _header(path: str | Path) -> tuple[int, int]:
    """application_id and user_version of a file, as bytes; an empty one is an empty database to SQLite."""
    try:
        with Path(path).open("rb") as file:
            header = file.read(_HEADER.size)
    except OSError as error:
        raise LedgerError(f"cannot open {path}: {error.strerror}; check that it is readable") from error
    magic, version, application_id = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
    if header and magic != _MAGIC:
        raise LedgerError(_no_ledger(path, "file is not a database"))
    return application_id, version


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _check(application_id: int, version: int, path: str | Path) -> None:
    if application_id != APPLICATION_ID:
        raise LedgerError(_no_ledger(path, f"application_id {application_id:#x}, a ledger has {APPLICATION_ID:#x}"))
    if version != USER_VERSION:
        raise LedgerError(
            f"{path} has ledger version {version}, this byzantiny reads version {USER_VERSION}; "
            "use the byzantiny that wrote it"
        )


def _no_ledger(path: str | Path, why: str) -> str:
    return f"{path} is not a ledger ({why}); give the file `byzantiny` wrote"
