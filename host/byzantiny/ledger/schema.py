"""The ledger's tables, and the checks when a file is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from byzantiny.ledger.records import LedgerError

APPLICATION_ID: Final = 0x42595A4C
"""`BYZL`: `file run/ledger.sqlite` and this module know the file by it."""
USER_VERSION: Final = 1
MEMORY: Final = ":memory:"
BUSY_TIMEOUT_MS: Final = 5000

# "update" is a keyword of SQL and the name of the table in SPEC 8, so it is quoted wherever it stands.
TABLES: Final = """
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
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
    """Create a ledger; raises LedgerError if the file exists or cannot be made."""
    if str(path) != MEMORY and Path(path).exists():
        raise LedgerError(f"{path} exists already; resume the run with it, or choose another run directory")
    db = _connect(path)
    try:
        db.executescript(
            f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {USER_VERSION}; COMMIT;"
        )
    except BaseException:
        db.close()
        raise
    return db


def open_existing(path: str | Path) -> sqlite3.Connection:
    """Open an existing ledger; raises LedgerError if it is not one, or is newer than this program."""
    if not Path(path).is_file():
        raise LedgerError(f"there is no ledger at {path}; start the run before it is resumed")
    db = _connect(path)
    try:
        _check(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: str | Path) -> sqlite3.Connection:
    """Connect with the durability SPEC 8 asks for."""
    try:
        db = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot open {path}: {error}; check that the directory exists and is writable") from error
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if str(path) != MEMORY:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        db.close()
        raise LedgerError(f"{path} is not a ledger ({error}); give the file `byzantiny` wrote") from error
    return db


def _check(db: sqlite3.Connection, path: str | Path) -> None:
    application_id = int(db.execute("PRAGMA application_id").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application_id != APPLICATION_ID:
        raise LedgerError(
            f"{path} has application_id {application_id:#x}, a ledger has {APPLICATION_ID:#x}; "
            "give the file `byzantiny` wrote"
        )
    if version != USER_VERSION:
        raise LedgerError(
            f"{path} has ledger version {version}, this byzantiny reads version {USER_VERSION}; "
            "use the byzantiny that wrote it"
        )
