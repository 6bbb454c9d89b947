"""The round loop: select, offer, collect, apply, evaluate, record; and go on where a crash or a suspension left it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from byzantiny.coordinator.clock import Clock
from byzantiny.coordinator.collect import Collected, Collector
from byzantiny.coordinator.intake import Intake
from byzantiny.coordinator.plan import Model, OpenRound, Plan, make_round, plan_of, reopen, steps_of
from byzantiny.coordinator.rows import ClientFacts, RoundFacts, Traffic, UpdateFacts, client_rows, round_row
from byzantiny.coordinator.witness import NOBODY, Witness
from byzantiny.federation import Federation, RoundDiagnostics, ServerState
from byzantiny.ledger import AcceptedUpdate, Ledger, RoundClosing
from byzantiny.records import Evaluated, RoundRow
from byzantiny.transport.base import Inbox, Transport
from byzantiny.validation import ValidationContext
from byzantiny.wire.auth import Keys
from byzantiny.wire.codec import decode_offer
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout
from byzantiny_models.rng import Stream, rng_for

RoundListener = Callable[[RoundRow], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the coordinator is given of the world."""

    transport: Transport
    clock: Clock
    ledger: Ledger
    keys: Mapping[str, Keys]
    clients: Mapping[str, ClientFacts]
    evaluate: Callable[[int, Model], Evaluated]
    """What the model after a round is worth, by the round's number."""
    entropy: Callable[[int], bytes]
    """Nonces only; they are outside the reproduced set."""
    instructions: Callable[[], Mapping[str, int]]
    """Emulated instructions of the last local training, by client, where they are counted."""
    stop: Callable[[], bool]
    notice: Callable[[str], None]
    on_round: RoundListener
    links: Mapping[str, Link]
    wake: Callable[[], float | None] = lambda: None
    poll_s: float = 0.25
    samples: Mapping[str, int] = field(default_factory=dict)
    """How many samples each client was enrolled with, the most it may claim."""
    refused: Callable[[], Mapping[str, Mapping[str, int]]] = dict
    """What devices refused of somebody else in this round, by client and name, where the experiment can see it."""
    witness: Witness = NOBODY
    cohorts: Mapping[int, tuple[str, ...]] | None = None
    """Replays the accepted sets of another run: the cohort of each round, instead of a draw."""


@dataclass(frozen=True, slots=True)
class Link:
    """How a session reaches its client."""

    address: int = 1
    max_payload: int = 240
    baud: int | None = None
    rto_s: float = 0.5


class Coordinator:
    """Runs the rounds of one arm and seed; everything that must survive is in the ledger, nothing in this object."""

    def __init__(self, plan: Plan, layout: Layout, federation: Federation, world: Surroundings) -> None:
        self._plan = plan
        self._layout = layout
        self._federation = federation
        self._world = world
        self._inbox = Inbox()
        self._offers: dict[bytes, Offer] = {}
        sessions = {client_id: self._session(client_id) for client_id in plan.clients}
        self._collector = Collector(
            sessions=sessions,
            transport=world.transport,
            inbox=self._inbox,
            clock=world.clock,
            ledger=world.ledger,
            stop=world.stop,
            notice=world.notice,
            wake=world.wake,
            gone=world.witness.settled,
            poll_s=world.poll_s,
        )

    def run(self, initial: Model) -> Model:
        """Run all rounds that are not closed yet and return the final model.

        Raises Suspended, TransportError, LedgerError; whatever was receipted is in the ledger by then.
        """
        state = self._resume(initial)
        self._world.transport.open(self._inbox)
        try:
            while state.round_num < self._plan.rounds:
                state = self._run_round(state)
        finally:
            self._world.transport.close()
        return state.model

    def _resume(self, initial: Model) -> ServerState:
        last = self._world.ledger.last_closed()
        if last is None:
            return self._federation.init(initial)
        state = ServerState.from_bytes(last.state)
        if self._layout.pack(state.model) != last.model:
            raise RuntimeError(f"the ledger's model of round {last.round_num} and its state disagree")
        return state

    def _run_round(self, state: ServerState) -> ServerState:
        """One round of DESIGN.md 3, from the open record in the ledger to the closed one."""
        started = time.perf_counter()
        round_ = self._open(state)
        before, opened = self._traffic(), self._world.clock.now()
        model = self._layout.pack(state.model)
        intake, witness, quorum = self._intake(round_, state), self._world.witness, self._quorum(round_)
        now = self._world.clock.now()
        witness.opened(round_.offer, state.model, round_.opening.cohort, quorum, now, now + self._plan.deadline_s)

        def store(client_id: str, codes: npt.NDArray[np.int8], claimed: int) -> None:
            intake.put(client_id, codes, claimed)
            witness.accepted(client_id, codes)

        held: list[str] = []
        for update in self._world.ledger.each_accepted(round_.round_num):
            store(update.client_id, _codes(update), update.n_samples)
            held.append(update.client_id)
        receipts = self._world.ledger.receipts(round_.round_num)
        collected = self._collector.collect(
            round_,
            model,
            self._context(round_),
            accepted=held,
            store=store,
            quorum=quorum,
            deadline_s=self._plan.deadline_s,
        )
        # What was refused before a suspension is of this round too.
        collected = replace(collected, receipts=(*receipts, *collected.receipts))
        accepted = [UpdateFacts.of(update) for update in self._world.ledger.each_accepted(round_.round_num)]
        server_started = time.perf_counter()
        after, diagnostics, reason = self._federation.close(
            state, intake.buffer.batch if intake.buffer.count else None, lambda: intake.scales, self._plan.seed
        )
        server_ms = (time.perf_counter() - server_started) * 1000
        facts = RoundFacts(
            arm=self._plan.arm,
            seed=self._plan.seed,
            round_num=round_.round_num,
            cohort=round_.opening.cohort,
            outcome="no-aggregate" if diagnostics is None else "aggregated",
            reason=reason,
            evaluated=self._world.evaluate(round_.round_num, after.model),
            model_sha256=hashlib.sha256(self._layout.pack(after.model)).hexdigest(),
            wall_s=time.perf_counter() - started,
            server_ms=server_ms,
            shifts=() if self._federation.grid is None else round_.offer.shifts,
            step=steps_of(self._plan, self._layout, round_.offer.shifts),
            open_s=self._world.clock.now() - opened,
            elsewhere=self._world.refused(),
        )
        self._close(facts, after, collected, accepted, diagnostics, before)
        return after

    def _intake(self, round_: OpenRound, state: ServerState) -> Intake:
        buffer = self._federation.buffer(state, round_.offer.shifts, round_.opening.cohort)
        return Intake(buffer, self._layout, measured=self._federation.grid is not None)

    def _quorum(self, round_: OpenRound) -> int:
        """How many updates close a round; a replay waits for all that the other run accepted, which may be more."""
        cohort = len(round_.opening.cohort)
        return cohort if self._world.cohorts is not None else min(self._plan.quorum, cohort)

    def _open(self, state: ServerState) -> OpenRound:
        left_open = self._world.ledger.open_round_record()
        if left_open is not None:
            self._world.notice(f"going on with round {left_open.round_num}, which was left open")
            return reopen(left_open)
        round_ = make_round(
            plan_of(self._plan, self._federation, state),
            state.round_num + 1,
            state.model,
            self._layout,
            self._world.entropy,
            self._world.cohorts,
        )
        self._world.ledger.open_round(round_.opening)
        return round_

    def _close(
        self,
        facts: RoundFacts,
        state: ServerState,
        collected: Collected,
        accepted: list[UpdateFacts],
        diagnostics: RoundDiagnostics | None,
        before: Mapping[str, Traffic],
    ) -> None:
        now = self._traffic()
        traffic = {client_id: now[client_id].since(before[client_id]) for client_id in now}
        row = round_row(facts, collected, len(accepted), traffic)
        clients = client_rows(
            facts, self._world.clients, collected, accepted, diagnostics, traffic, self._world.instructions()
        )
        self._world.ledger.close_round(
            RoundClosing(
                round_num=facts.round_num,
                outcome="aggregated" if diagnostics is not None else "no-aggregate",
                reason=facts.reason,
                model=self._layout.pack(state.model),
                state=state.to_bytes(),
                round_row=row.to_dict(),
                client_rows=[client.to_dict() for client in clients],
            )
        )
        self._world.on_round(row)

    def _context(self, round_: OpenRound) -> ValidationContext:
        if not self._offers:
            self._offers = {sha: decode_offer(body) for sha, body in self._world.ledger.known_offers().items()}
        self._offers[round_.opening.offer_sha256] = round_.offer
        return ValidationContext(
            offer=round_.offer,
            offer_sha256=round_.opening.offer_sha256,
            cohort=frozenset(round_.opening.cohort),
            keys=self._world.keys,
            known_offers=self._offers,
            layout=self._layout,
            samples=self._world.samples,
        )

    def _traffic(self) -> dict[str, Traffic]:
        return {client_id: Traffic.of(session.stats) for client_id, session in self._collector.sessions.items()}

    def _session(self, client_id: str) -> HostSession:
        link = self._world.links.get(client_id, Link())
        return HostSession(
            client_id,
            self._world.keys[client_id],
            address=link.address,
            max_payload=link.max_payload,
            baud=link.baud,
            rto_s=link.rto_s,
            rng=rng_for(self._plan.seed, Stream.LINK, client_id=client_id),
        )


def _codes(update: AcceptedUpdate) -> npt.NDArray[np.int8]:
    """The codes of an update whose round is open."""
    if update.codes is None:
        raise RuntimeError(f"the ledger holds no codes of {update.client_id} in an open round")
    return update.codes
