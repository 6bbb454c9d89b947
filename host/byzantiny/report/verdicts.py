"""What became of every client's updates: counted a client for the chart, and a reason for the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from byzantiny.records import ClientRow
from byzantiny.report.run import Run

KINDS = ("accepted", "set aside", "refused", "missing")
"""`set aside`: accepted by the coordinator, then not kept by the defence; `refused` includes stale and conflict."""


@dataclass(frozen=True)
class ClientVerdicts:
    """One client of one arm: rounds by kind, over all seeds."""

    client_id: str
    byzantine: bool
    counts: Counter[str] = field(default_factory=Counter)


def kind_of(row: ClientRow) -> str:
    """One of KINDS for one client and round."""
    if row.verdict == "accepted":
        return "set aside" if row.kept is False else "accepted"
    return "missing" if row.verdict == "missing" else "refused"


def client_verdicts(run: Run, arm: str) -> list[ClientVerdicts]:
    """Every client seen in `arm`, honest ones first, then by name; Byzantine if it was in any row."""
    found: dict[str, ClientVerdicts] = {}
    for row in _rows(run, arm):
        known = found.get(row.client_id)
        if known is None or (row.byzantine and not known.byzantine):
            counts = known.counts if known else Counter[str]()
            known = found[row.client_id] = ClientVerdicts(row.client_id, row.byzantine, counts)
        known.counts[kind_of(row)] += 1
    return sorted(found.values(), key=lambda client: (client.byzantine, client.client_id))


def refusal_reasons(run: Run, arms: Sequence[str]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Every reason with its refusals per arm as (honest, Byzantine), the commonest reason first."""
    totals: Counter[str] = Counter()
    table: dict[tuple[str, str], list[int]] = {}
    for arm in arms:
        for row in _rows(run, arm):
            for reason, count in row.refusals.items():
                totals[reason] += count
                table.setdefault((reason, arm), [0, 0])[row.byzantine] += count
    reasons = sorted(totals, key=lambda reason: (-totals[reason], reason))
    return [
        (reason, [(cell[0], cell[1]) for arm in arms for cell in [table.get((reason, arm), [0, 0])]])
        for reason in reasons
    ]


def _rows(run: Run, arm: str) -> list[ClientRow]:
    return [row for seed in run.manifest.seeds for row in run.clients.get((arm, seed), ())]
