"""The rows one closed round leaves behind (`byzantiny.records`), from what the coordinator measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from byzantiny.coordinator.collect import Collected
from byzantiny.federation import RoundDiagnostics
from byzantiny.ledger import AcceptedUpdate, Receipt
from byzantiny.records import ClientRow, Evaluated, RoundRow
from byzantiny.updates import CODE_LIMIT
from byzantiny.wire.events import LinkStats
from byzantiny.wire.messages import Verdict


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What the experiment knows of a client and the coordinator only passes on to the rows."""

    body: str
    transport: str
    byzantine: bool = False
    attack: str = ""
    rounds: Callable[[int], bool] | None = None
    """In which rounds it is Byzantine, where that changes."""

    def lies(self, round_num: int) -> bool:
        """Whether it is Byzantine in a round."""
        return self.byzantine and (self.rounds is None or self.rounds(round_num))


@dataclass(frozen=True, slots=True)
class UpdateFacts:
    """What is left of an accepted update in the rows: measured from its codes, which go."""

    client_id: str
    n_samples: int
    squared_norm: int
    saturated: int

    @staticmethod
    def of(update: AcceptedUpdate) -> UpdateFacts:
        """Measure an update whose round is open."""
        if update.codes is None:
            raise RuntimeError(f"the ledger holds no codes of {update.client_id} in an open round")
        saturated = int(np.count_nonzero(np.abs(update.codes.astype(np.int16)) == CODE_LIMIT))
        return UpdateFacts(update.client_id, update.n_samples, update.squared_norm, saturated)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one client in one round, counted at the framing boundary."""

    up: int
    down: int
    resent: int

    @staticmethod
    def of(stats: LinkStats) -> Traffic:
        """The counters now."""
        return Traffic(stats.bytes_up, stats.bytes_down, stats.bytes_resent)

    def since(self, before: Traffic) -> Traffic:
        """What has passed since `before`."""
        return Traffic(self.up - before.up, self.down - before.down, self.resent - before.resent)


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """One closed round, before it becomes rows."""

    arm: str
    seed: int
    round_num: int
    cohort: tuple[str, ...]
    outcome: str
    reason: str
    evaluated: Evaluated
    model_sha256: str
    wall_s: float
    server_ms: float
    shifts: tuple[int, ...] = ()
    """The round's grid, where it adapts."""
    step: float = 1.0
    """Its finest step, in those of the first grid."""
    open_s: float = 0.0
    """By the coordinator's clock, virtual or not."""
    elsewhere: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What devices refused of somebody else, by client and name."""


_EVALUATED = [field.name for field in msgspec.structs.fields(Evaluated)]


def round_row(facts: RoundFacts, collected: Collected, accepted: int, traffic: Mapping[str, Traffic]) -> RoundRow:
    """Sum one round up; `accepted` comes from the ledger, so that it holds across a resume."""
    verdicts = Counter(receipt.verdict for receipt in collected.receipts)
    return RoundRow(
        arm=facts.arm,
        seed=facts.seed,
        round_num=facts.round_num,
        outcome=facts.outcome,
        reason=facts.reason,
        **{name: getattr(facts.evaluated, name) for name in _EVALUATED},
        cohort=len(facts.cohort),
        accepted=accepted,
        refused=verdicts[Verdict.REJECTED] + len(collected.device_refusals),
        stale=verdicts[Verdict.STALE],
        duplicate=verdicts[Verdict.DUPLICATE],
        conflict=verdicts[Verdict.CONFLICT],
        bytes_up=sum(each.up for each in traffic.values()),
        bytes_down=sum(each.down for each in traffic.values()),
        bytes_resent=sum(each.resent for each in traffic.values()),
        model_sha256=facts.model_sha256,
        wall_s=round(facts.wall_s, 4),
        open_s=round(float(facts.open_s), 3),
        server_ms=round(facts.server_ms, 3),
        shifts=list(facts.shifts),
    )


def client_rows(
    facts: RoundFacts,
    clients: Mapping[str, ClientFacts],
    collected: Collected,
    accepted: Sequence[UpdateFacts],
    diagnostics: RoundDiagnostics | None,
    traffic: Mapping[str, Traffic],
    instructions: Mapping[str, int],
) -> list[ClientRow]:
    """One row per client of the cohort, and per client that was heard though it is not in it."""
    by_client: dict[str, list[Receipt]] = {}
    for receipt in collected.receipts:
        by_client.setdefault(receipt.client_id, []).append(receipt)
    updates = {update.client_id: update for update in accepted}
    judged = _judgements(diagnostics, [update.client_id for update in accepted])
    heard = [*facts.cohort, *sorted(set(by_client) - set(facts.cohort))]
    rows = []
    for client_id in heard:
        known = clients.get(client_id, ClientFacts("unknown", "unknown"))
        update = updates.get(client_id)
        verdict, reason = _outcome(update, by_client.get(client_id, []), collected.device_refusals.get(client_id))
        moved = traffic.get(client_id, Traffic(0, 0, 0))
        row = ClientRow(
            arm=facts.arm,
            seed=facts.seed,
            round_num=facts.round_num,
            client_id=client_id,
            body=known.body,
            transport=known.transport,
            byzantine=known.lies(facts.round_num),
            attack=known.attack if known.lies(facts.round_num) else "",
            verdict=verdict,
            reason=reason,
            refusals=_refusals(by_client.get(client_id, []), collected.device_refusals.get(client_id))
            | dict(facts.elsewhere.get(client_id, {})),
            bytes_up=moved.up,
            bytes_down=moved.down,
            instructions=instructions.get(client_id),
        )
        if update is not None:
            measured = {
                "n_samples": update.n_samples,
                "norm_steps": round(facts.step * float(np.sqrt(np.float64(update.squared_norm))), 3),
                "saturated": update.saturated,
            }
            row = msgspec.structs.replace(row, **measured, **judged.get(client_id, {}))
        rows.append(row)
    return rows


def _outcome(update: UpdateFacts | None, receipts: Sequence[Receipt], refusal: str | None) -> tuple[str, str]:
    """The verdict that is final for a client, and its sentence."""
    if update is not None:
        return "accepted", ""
    if refusal is not None:
        return "rejected", refusal
    if not receipts:
        return "missing", "nothing was received before the round closed"
    last = receipts[-1]
    return last.verdict.name.lower(), last.text


def _refusals(receipts: Sequence[Receipt], refusal: str | None) -> dict[str, int]:
    counted = Counter(receipt.name.lower() for receipt in receipts if receipt.verdict is not Verdict.ACCEPTED)
    if refusal is not None:
        counted["device"] += 1
    return dict(sorted(counted.items()))


def _judgements(diagnostics: RoundDiagnostics | None, client_ids: Sequence[str]) -> dict[str, dict[str, object]]:
    """What the pipeline did to each client: the aggregator's verdict, and the product of all clip factors."""
    if diagnostics is None:
        return {}
    merged: dict[str, dict[str, object]] = {client_id: {} for client_id in client_ids}
    for stage in diagnostics.stages:
        for record in stage.records(client_ids):
            into = merged[record["client_id"]]
            into["kept"] = bool(into.get("kept", True)) and bool(record["kept"])
            for name in ("weight", "score"):
                if record.get(name) is not None and np.isfinite(record[name]):
                    into[name] = float(record[name])
            if record.get("clipped") is not None:
                into["clip_factor"] = float(record["clipped"]) * float(into.get("clip_factor", 1.0))  # type: ignore[arg-type]
    return merged
