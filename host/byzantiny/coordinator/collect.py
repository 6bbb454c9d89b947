"""One round's updates in time: offer, receive, judge; until all have settled, the quorum or the deadline."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from byzantiny.coordinator.clock import Clock
from byzantiny.coordinator.plan import OpenRound
from byzantiny.ledger import Candidate, Ledger, Receipt
from byzantiny.ledger.records import Codes
from byzantiny.transport.base import Inbox, Transport
from byzantiny.validation import Rejection, ValidationContext, validate
from byzantiny.wire.events import Event, Greeted, Rebooted, Refused, RoundWork, Silent, Step, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Reason, Verdict

CERTAIN = frozenset({Reason.WRONG_LAYOUT, Reason.CODE_RANGE, Reason.NORM, Reason.SAMPLES})
"""Reasons that only the device can cause: its tag is good, for this round's offer, and so is the hash of its codes.

Anything else can be had in its name by whoever can put a frame on its link: with noise, with a captured object of another
round, arm or run, or with a true manifest over other codes. Such a refusal must not end the device's round at once.
"""
FORGERIES_BORNE = 3
"""After so many in a round the link is given up until the next: a device with a wrong key must not hold up others."""


STRANGERS_NAMED = 64
MANY = "(many more)"
"""A flood of names must not fill the ledger."""


class Suspended(Exception):  # noqa: N818 - not an error: the user asked for it
    """The run was asked to stop; the round stays open in the ledger and `resume` goes on with it."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection saw; bytes and frames are those of this round alone."""

    receipts: tuple[Receipt, ...]
    device_refusals: Mapping[str, str]
    """client_id -> what the device refused, and why."""


@dataclass
class Collector:
    """The sessions of all clients, and the loop that drives them. One instance serves all rounds of a run."""

    sessions: Mapping[str, HostSession]
    transport: Transport
    inbox: Inbox
    clock: Clock
    ledger: Ledger
    stop: Callable[[], bool]
    notice: Callable[[str], None]
    wake: Callable[[], float | None]
    """When something that only `pump` sees is due: a frame held by a channel, a relay's timer."""
    gone: Callable[[str], None] = lambda _client_id: None
    """Told of a client whose round is over without an accepted update."""
    poll_s: float = 0.25
    """Longest wait without looking at `stop` (and at a transport that works only when pumped)."""
    _strangers: Counter[str] = field(default_factory=Counter)
    """Frames of this round from links that belong to no client of the experiment, by what they call themselves."""
    _store: Callable[[str, Codes, int], None] = field(default=lambda _client_id, _codes, _claimed: None)
    _due: list[tuple[float, str]] = field(default_factory=list)
    _forgeries: Counter[str] = field(default_factory=Counter)
    _settled: set[str] = field(default_factory=set)
    _device_refusals: dict[str, str] = field(default_factory=dict)
    _receipts: list[Receipt] = field(default_factory=list)

    def collect(
        self,
        round_: OpenRound,
        model: bytes,
        context: ValidationContext,
        *,
        accepted: Sequence[str],
        store: Callable[[str, Codes, int], None],
        quorum: int,
        deadline_s: float,
    ) -> Collected:
        """Run one round's exchange.

        `accepted` are the clients whose updates are held already, `store` takes codes and claimed samples of every other.

        Raises Suspended when `stop()` says so; nothing that was receipted is lost.
        """
        cohort = round_.opening.cohort
        self._begin(set(accepted), store)
        work = RoundWork(round_num=round_.round_num, offer_body=round_.opening.offer_body, model=model)
        for client_id in cohort:
            if client_id not in self._settled:
                self._apply(client_id, self.sessions[client_id].begin(work, self.clock.now()), [])
        deadline = self.clock.now() + deadline_s
        taken = len(self._settled)
        while taken < quorum and not self._settled.issuperset(cohort):
            if self.stop():
                raise Suspended
            now = self.clock.now()
            if now >= deadline:
                break
            taken += self._turn(context, work, min(deadline - now, self.poll_s))
        for client_id in cohort:
            self.sessions[client_id].end()
        self._refuse_strangers(round_.round_num)
        return Collected(tuple(self._receipts), dict(self._device_refusals))

    def _begin(self, settled: set[str], store: Callable[[str, Codes, int], None]) -> None:
        self._settled = settled
        self._store = store
        self._forgeries.clear()
        self._strangers.clear()
        self._device_refusals = {}
        self._receipts = []

    def _refuse_strangers(self, round_num: int) -> None:
        """Put into the ledger who sent frames and is no client: one refusal each, however many frames."""
        nothing = bytes(32)
        refused = [
            Candidate(
                name, round_num, nothing, rejection=Rejection(Reason.UNKNOWN_DEVICE, f"{frames} frames of no client")
            )
            for name, frames in sorted(self._strangers.items())
        ]
        self._receipts += self.ledger.judge(refused)

    def _turn(self, context: ValidationContext, work: RoundWork, longest_s: float) -> int:
        """One turn of the loop: what is due, what has arrived, the verdicts; returns how many were accepted."""
        received: list[tuple[str, UpdateReceived]] = []
        self._run_due(received)
        self.transport.pump()
        for client_id, frame in self.clock.wait(self.inbox, self._wait_s(longest_s)):
            session = self.sessions.get(client_id)
            if session is None:
                named = client_id in self._strangers or len(self._strangers) < STRANGERS_NAMED
                self._strangers[client_id if named else MANY] += 1
                continue
            self._apply(client_id, session.on_frame(frame, self.clock.now()), received)
        return self._judge(received, context, work) if received else 0

    def _run_due(self, received: list[tuple[str, UpdateReceived]]) -> None:
        now = self.clock.now()
        while self._due and self._due[0][0] <= now:
            _, client_id = heapq.heappop(self._due)
            session = self.sessions[client_id]
            if session.next_due is not None and session.next_due <= now:
                self._apply(client_id, session.on_time(now), received)

    def _wait_s(self, longest_s: float) -> float:
        times = [when for when in (self._due[0][0] if self._due else None, self.wake()) if when is not None]
        return min([longest_s, *(max(0.0, when - self.clock.now()) for when in times)])

    def _apply(self, client_id: str, step: Step, received: list[tuple[str, UpdateReceived]]) -> None:
        for frame in step.frames:
            self.transport.send(client_id, frame)
        for event in step.events:
            if isinstance(event, UpdateReceived):
                received.append((client_id, event))
            else:
                self._note(client_id, event)
        due = self.sessions[client_id].next_due
        if due is not None:
            heapq.heappush(self._due, (due, client_id))

    def _note(self, client_id: str, event: Event) -> None:
        if isinstance(event, Greeted | Rebooted):
            hello = event.hello
            if hello.device_id != client_id:
                self.sessions[client_id].end()
                self._give_up(client_id)
                self._device_refusals[client_id] = f"the link of {client_id} answers as {hello.device_id}"
                return
            facts = {
                "boot_id": hello.boot_id,
                "fw_sha256": hello.fw_sha256.hex(),
                "data_sha256": hello.data_sha256.hex(),
            }
            self.ledger.put_device(client_id, {**facts, "n_samples": hello.n_samples, "max_payload": hello.max_payload})
        elif isinstance(event, Refused):
            self._give_up(client_id)
            self._device_refusals[client_id] = f"{event.name} ({event.phase})"
        elif isinstance(event, Silent):
            self.notice(f"{client_id} does not answer; the round waits for it until its deadline")

    def _judge(self, received: list[tuple[str, UpdateReceived]], context: ValidationContext, work: RoundWork) -> int:
        """Validate, let the ledger judge all of them in one commit, and only then send the receipts."""
        candidates = [_candidate(client_id, event, context) for client_id, event in received]
        accepted = 0
        receipts = self.ledger.judge(candidates)
        for (client_id, event), candidate, receipt in zip(received, candidates, receipts, strict=True):
            self._receipts.append(receipt)
            now = self.clock.now()
            session = self.sessions[client_id]
            self._apply(client_id, session.conclude(event.xfer, receipt.verdict, receipt.reason, now), [])
            if receipt.verdict is Verdict.ACCEPTED:
                accepted += 1
                if candidate.codes is not None:
                    self._store(client_id, candidate.codes, candidate.n_samples)
                self._settled.add(client_id)
            elif self._is_final(receipt):
                self._give_up(client_id)
            elif client_id in context.cohort and client_id not in self._settled:
                self._apply(client_id, session.begin(work, now), [])
        return accepted

    def _give_up(self, client_id: str) -> None:
        """The round is over for a client, without its update unless that came before."""
        if client_id not in self._settled:
            self._settled.add(client_id)
            self.gone(client_id)

    def _is_final(self, receipt: Receipt) -> bool:
        """Whether a refusal ends the device's round: not if a forger may have caused it, or if it is of another one."""
        if receipt.verdict is not Verdict.REJECTED:
            return receipt.verdict is not Verdict.STALE
        if receipt.reason in CERTAIN:
            return True
        self._forgeries[receipt.client_id] += 1
        return self._forgeries[receipt.client_id] >= FORGERIES_BORNE


def _candidate(client_id: str, event: UpdateReceived, context: ValidationContext) -> Candidate:
    outcome = validate(event.data, event.start, client_id, context)
    if isinstance(outcome, Rejection):
        return Candidate(client_id, context.offer.round_num, event.start.sha256, rejection=outcome)
    return Candidate(
        client_id=client_id,
        round_num=outcome.manifest.round_num,
        update_sha256=event.start.sha256,
        codes=outcome.codes,
        n_samples=outcome.manifest.n_samples,
        squared_norm=outcome.squared_norm,
        counter=outcome.manifest.counter,
    )
