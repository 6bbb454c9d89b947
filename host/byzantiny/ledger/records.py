"""What goes into the ledger and what comes out: frozen records and the error family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from byzantiny.errors import ByzantinyError
from byzantiny.validation import Rejection
from byzantiny.wire.messages import Reason, Verdict

Codes = npt.NDArray[np.int8]
Outcome = Literal["aggregated", "no-aggregate"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("aggregated", "no-aggregate")


class LedgerError(ByzantinyError):
    """The ledger cannot be opened, or an operation does not fit its state."""


@dataclass(frozen=True, slots=True)
class RoundOpening:
    """What must be durable before an offer leaves."""

    round_num: int
    cohort: tuple[str, ...]
    offer_body: bytes
    offer_sha256: bytes
    model_sha256: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """One received update as validation left it; with a `rejection`, or with everything else."""

    client_id: str
    round_num: int
    update_sha256: bytes
    codes: Codes | None = None
    n_samples: int = 0
    squared_norm: int = 0
    counter: int = 0
    rejection: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The verdict on one candidate; it may leave once `Ledger.judge` has returned."""

    client_id: str
    round_num: int
    update_sha256: bytes
    verdict: Verdict
    reason: Reason = Reason.NONE
    text: str = ""
    time_s: float = 0.0

    @property
    def name(self) -> str:
        """The verdict as it is counted: `ACCEPTED`, `STALE`, `REJECTED:BAD_TAG`."""
        return f"{self.verdict.name}:{self.reason.name}" if self.verdict is Verdict.REJECTED else self.verdict.name


@dataclass(frozen=True, slots=True)
class AcceptedUpdate:
    """A row of the round's aggregation; `codes` are gone once the round is closed, unless the ledger keeps them."""

    client_id: str
    update_sha256: bytes
    codes: Codes | None
    n_samples: int
    squared_norm: int
    counter: int


@dataclass(frozen=True, slots=True)
class RoundClosing:
    """Everything one closed round leaves behind; `client_rows` each have a `client_id`."""

    round_num: int
    outcome: Outcome
    model: bytes
    state: bytes = b""
    reason: str = ""
    round_row: Mapping[str, Any] = field(default_factory=dict)
    client_rows: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class ClosedRound:
    """The last closed round: where a resumed coordinator continues."""

    round_num: int
    outcome: Outcome
    reason: str
    model: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round in the list; `outcome` and `closed_s` are None while it is open."""

    round_num: int
    cohort: tuple[str, ...]
    offer_sha256: bytes
    model_sha256: bytes
    outcome: Outcome | None
    reason: str
    next_model_sha256: bytes | None
    opened_s: float
    closed_s: float | None
