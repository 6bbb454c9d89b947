"""What goes into and comes out of a host's session: the work of a round, events, frames to send, counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from byzantiny.wire.messages import Hello, Metric, Reason, Reject, Start, Status


@dataclass(frozen=True, slots=True)
class RoundWork:
    """One round, as a device is to be offered it; `sealed` is the offer object where somebody else has tagged it."""

    round_num: int
    offer_body: bytes
    model: bytes
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Greeted:
    """The device's first HELLO."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Rebooted:
    """A HELLO with another boot_id than before."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class OfferAccepted:
    """The device has verified the round's offer."""


@dataclass(frozen=True, slots=True)
class ModelAccepted:
    """The device has the model, and trains."""


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """An update object is complete and has START's hash, no more is verified; answer with `conclude(xfer, ...)`."""

    xfer: int
    start: Start
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The session has given up on this round: what was refused last, and while doing what."""

    cause: Status | Reason
    phase: str

    @property
    def name(self) -> str:
        """The cause, in the words of docs/wire.md.

        >>> Refused(Status.STALE_ROUND, "round").name
        'STALE_ROUND'
        """
        return self.cause.name


@dataclass(frozen=True, slots=True)
class LogLine:
    """Text from the device; untrusted, control characters included."""

    text: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """The device's counters."""

    metric: Metric


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing valid came back for several retransmissions; said once a round, and the session goes on trying."""


Event: TypeAlias = (
    Greeted | Rebooted | OfferAccepted | ModelAccepted | UpdateReceived | Refused | LogLine | Metrics | Silent
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one call leads to: complete frames without COBS, in order, and what has happened."""

    frames: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(slots=True)
class LinkStats:
    """Counters of one link; up is from the device, down is to it; bytes are frames' without COBS."""

    frames_up: int = 0
    frames_down: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    frames_resent: int = 0
    bytes_resent: int = 0
    """Of what went down, what had gone before or asked for something that had."""
    rejects: list[int] = field(default_factory=lambda: [0] * len(Reject))
    """Frames from the device that did not pass, in the order of `Reject`."""
