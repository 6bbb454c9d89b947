"""What was measured of one rule at one size, and the ratios that follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

FLOWER = "flower"
"""The set of Flower's functions that ratios to Flower are taken to, where the rule has it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant: `seconds` None, with a `reason`, where it did not run; `wrong` where its numbers are not right."""

    name: str
    seconds: float | None
    samples: int = 0
    spread: float = 0.0
    extra_bytes: int = 0
    output_bytes: int = 0
    excess: float = 0.0
    convention: str = ""
    reason: str = ""
    stopped_s: float = 0.0
    """CPU seconds after which it was stopped, without a result; 0 where it was not."""

    @property
    def counts(self) -> bool:
        """Whether a ratio may be taken to it: it ran, and what it gave is right."""
        return self.seconds is not None and self.excess <= 1


OWN = ("ours", "kernel", "read")


@dataclass(frozen=True, slots=True)
class Result:
    """All contestants of a rule at a size."""

    rule: str
    n: int
    d: int
    entries: tuple[Entry, ...] = field(default=())

    def entry(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)

    def seconds(self, name: str) -> float | None:
        entry = self.entry(name)
        return entry.seconds if entry is not None and entry.counts else None

    @property
    def peers(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.name not in OWN)

    @property
    def best_peer(self) -> Entry | None:
        """The fastest peer whose result is right."""
        return min((e for e in self.peers if e.counts), key=lambda e: e.seconds or 0.0, default=None)

    def ratio_to(self, name: str) -> float | None:
        """How many times longer than ours a contestant takes."""
        theirs, ours = self.seconds(name), self.seconds("ours")
        return theirs / ours if theirs is not None and ours else None

    def least_ratio_to(self, name: str) -> float | None:
        """`ratio_to`, or, of a contestant that was stopped for its length, what the ratio is at least."""
        entry, ours = self.entry(name), self.seconds("ours")
        if entry is not None and entry.stopped_s and ours:
            return entry.stopped_s / ours
        return self.ratio_to(name)

    @property
    def ratio_to_best(self) -> float | None:
        return None if self.best_peer is None else self.ratio_to(self.best_peer.name)

    @property
    def least_ratio_to_best(self) -> float | None:
        """`ratio_to_best`, or, where every peer was stopped for its length, what the ratio to each of them is at least."""
        if self.best_peer is not None:
            return self.ratio_to_best
        ratios = [self.least_ratio_to(entry.name) for entry in self.peers]
        known = [ratio for ratio in ratios if ratio is not None]
        return min(known) if known and len(known) == len(ratios) else None

    @property
    def reads(self) -> float | None:
        """How many plain reads of the same bytes ours takes."""
        ours, read = self.seconds("ours"), self.seconds("read")
        return ours / read if ours is not None and read else None

    @property
    def beyond_output_bytes(self) -> int | None:
        """Peak memory of ours beyond the inputs and its own output."""
        entry = self.entry("ours")
        return None if entry is None or entry.seconds is None else max(0, entry.extra_bytes - entry.output_bytes)

    def record(self) -> dict[str, Any]:
        """JSON-ready, ratios included."""
        best = self.best_peer
        return {
            "rule": self.rule,
            "n": self.n,
            "d": self.d,
            "contestants": [asdict(entry) for entry in self.entries],
            "best_peer": None if best is None else best.name,
            "ratio_to_best_peer": self.ratio_to_best,
            "ratio_to_flower": self.ratio_to(FLOWER),
            "reads": self.reads,
            "beyond_output_bytes": self.beyond_output_bytes,
        }


def from_record(record: dict[str, Any]) -> Result:
    """What `record` made, read back."""
    entries = tuple(Entry(**entry) for entry in record["contestants"])
    return Result(record["rule"], record["n"], record["d"], entries)
