"""The durable store of one run (SQLite): devices, rounds, offers, updates, receipts, metrics.

An update is in here before its receipt leaves; a round is closed in one transaction. `kill -9` at any instant leaves
the run where it was after the last receipt that anyone can have seen.
"""

from byzantiny.ledger.records import (
    AcceptedUpdate,
    Candidate,
    ClosedRound,
    LedgerError,
    Receipt,
    RoundClosing,
    RoundOpening,
    RoundRecord,
)
from byzantiny.ledger.store import Ledger

__all__ = [
    "AcceptedUpdate",
    "Candidate",
    "ClosedRound",
    "Ledger",
    "LedgerError",
    "Receipt",
    "RoundClosing",
    "RoundOpening",
    "RoundRecord",
]
