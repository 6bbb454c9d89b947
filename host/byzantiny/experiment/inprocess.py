"""One arm and seed without frames: the coordinator's rounds on a body's batch call, for sweeps and benchmarks.

The same pieces as the way through frames: the cohort's draw and the offer, the trainer's integers, the adversary's
`craft_round`, the limits of validation, `Federation.close`. So the global model has the same bytes after every round
(promise P1). What it does not have: a wire (bytes are 0), time (the whole cohort is always accepted) and a ledger on the
disk (promise P2 is not claimed).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny import kernels
from byzantiny.attacks.base import Samples
from byzantiny.bodies.batch import BatchFactory, BatchTrainer, load_batch
from byzantiny.coordinator.collect import Collected
from byzantiny.coordinator.plan import Model, OpenRound, Plan, make_round, plan_of
from byzantiny.coordinator.rows import RoundFacts, round_row
from byzantiny.experiment.accounts import Account, account, kept_by_all, minority_of
from byzantiny.experiment.adversary import device_of, make_adversary
from byzantiny.experiment.cast import Cast, make_attack, make_cast, schedule_of
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.opening import open_first
from byzantiny.experiment.resolve import make_federation, make_plan
from byzantiny.federation import Federation, RoundDiagnostics, Scales, ServerState, StreamedRound, measure
from byzantiny.federation.streaming import STREAM_ABOVE
from byzantiny.fleet.adversary import AdversaryPlan, Put, Scene, craft_round
from byzantiny.fleet.schedule import ALWAYS, Schedule
from byzantiny.ledger import Receipt
from byzantiny.records import Evaluated, RoundRow
from byzantiny.updates import UpdateBatch, quantize_rows
from byzantiny.validation import norm_limit
from byzantiny.wire.messages import Reason, Verdict
from byzantiny_models.evaluation import Probes, scores_of
from byzantiny_models.networks import Layout
from byzantiny_models.tasks import Task

Codes = npt.NDArray[Any]
CHUNK = 512
"""Clients trained at a time where a round is streamed."""


@dataclass(frozen=True, slots=True)
class InProcess:
    """What a run in process leaves: a row and an account a round, notes for the reader, the last model."""

    rows: list[RoundRow]
    accounts: list[Account]
    notes: list[str]
    model: Model


@dataclass(frozen=True)
class Setup:
    """What stays the same in all rounds of one arm and seed."""

    plan: Plan
    layout: Layout
    federation: Federation
    trainer: BatchTrainer
    ids: tuple[str, ...]
    """In the order of the trainer's slots."""
    claimed: tuple[int, ...]
    """Samples, by slot."""
    pool: frozenset[str] = frozenset()
    """Who lies, or, where attackers are drawn anew every round, who may."""
    schedule: Schedule = ALWAYS
    adversary: AdversaryPlan | None = None
    """None: nobody lies about updates."""
    minority: frozenset[str] = frozenset()
    spread: bool = False
    """Measure how far the honest codes are spread."""
    put: Put = quantize_rows
    """How what the adversary crafts comes onto the grid."""
    slots: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", {client_id: slot for slot, client_id in enumerate(self.ids)})

    def liars(self, round_num: int) -> frozenset[str]:
        """Who is Byzantine in a round."""
        return self.schedule.among(self.pool, round_num)


def run_inprocess(
    run: RunConfig,
    seed: int,
    task: Task,
    *,
    arm: str = "main",
    batch: BatchFactory | None = None,
    spread: bool = False,
    evaluate: Evaluate | None = None,
) -> InProcess:
    """Run one arm with one seed. Raises ConfigError for what only frames have (faults, a quorum below the cohort)."""
    check_inprocess(run, arm)
    opening = open_first(run, seed, task)
    task, cast = opening.task, make_cast(run, seed, opening.task, opening.model)
    setup = make_setup(run, seed, task, cast, arm=arm, batch=batch, spread=spread)

    return run_rounds(setup, opening.model, evaluate or scored(setup.trainer, task, cast.chosen))


Evaluate = Callable[[Model], Evaluated]


def scored(trainer: BatchTrainer, task: Task, chosen: Samples | None) -> Evaluate:
    """Return what measures a model: the task's metric, and attack success where the attack has probes."""
    probes = None if chosen is None or not len(chosen[1]) else Probes(*chosen, confidence=False)

    def evaluate(model: Model) -> Evaluated:
        found = scores_of(task, lambda x: trainer.outputs(model, x), probes)
        return Evaluated(accuracy=found.score, asr=found.asr)

    return evaluate


def check_inprocess(run: RunConfig, arm: str) -> None:
    """Refuse what has no meaning without frames. Raises ConfigError."""
    attack = make_attack(run)
    if attack is not None and attack.info.on_wire:
        raise ConfigError(
            f"arms.{arm}: {run.attack.name} acts on frames, which are neither in process nor past the wire"
        )
    cohort = run.round.cohort or len(run.client_ids())
    if run.round.quorum not in (0, cohort):
        raise ConfigError(
            f"arms.{arm}: round.quorum = {run.round.quorum} of a cohort of {cohort}: in process nobody comes first; set it"
            " to 0, or choose the engine `frames`"
        )
    liar = next((group for group in run.clients if group.firmware_attack is not None), None)
    if liar is not None:
        raise ConfigError(
            f"arms.{arm}: the firmware of `{liar.prefix}` lies, which takes devices; choose the engine `frames`"
        )
    link = run.link
    if any((link.drop, link.duplicate, link.reorder, link.corrupt, link.delay_s)):
        raise ConfigError(f"arms.{arm}: [link] faults happen to frames; choose the engine `frames`")


def make_setup(
    run: RunConfig, seed: int, task: Task, cast: Cast, *, arm: str, batch: BatchFactory | None, spread: bool
) -> Setup:
    """Put the pieces of a run together; `task` is the scoped one."""
    specs = [device_of(run, role, task.network) for role in cast.roles]
    layout = task.network.layout
    return Setup(
        plan=make_plan(run, arm, seed, layout),
        layout=layout,
        federation=make_federation(run, layout),
        trainer=(batch or load_batch(trainer=run.training.trainer))(specs),
        ids=tuple(role.client_id for role in cast.roles),
        claimed=tuple(role.samples for role in cast.roles),
        pool=frozenset(cast.attackers),
        adversary=make_adversary(run, seed, cast, task.network),
        schedule=schedule_of(run, seed),
        minority=minority_of(cast, task.classes) if spread else frozenset(),
        spread=spread,
    )


def run_rounds(setup: Setup, initial: Model, evaluate: Evaluate) -> InProcess:
    """Run the rounds of a set-up from an initial model."""
    state = setup.federation.init(initial)
    out = InProcess([], [], [], initial)
    history: list[Model] = []
    while state.round_num < setup.plan.rounds:
        started = time.perf_counter()
        round_ = make_round(
            plan_of(setup.plan, setup.federation, state), state.round_num + 1, state.model, setup.layout, _no_nonce
        )
        before = tuple(history) if setup.adversary is not None and setup.adversary.history else None
        gathered = _gather(setup, round_, state, before, out.notes)
        server = time.perf_counter()
        after, diagnostics, reason = setup.federation.close(
            state, gathered.batch if gathered.ids else None, gathered.scales, setup.plan.seed
        )
        ended = time.perf_counter()
        facts = RoundFacts(
            arm=setup.plan.arm,
            seed=setup.plan.seed,
            round_num=round_.round_num,
            cohort=round_.opening.cohort,
            outcome="no-aggregate" if diagnostics is None else "aggregated",
            reason=reason,
            evaluated=evaluate(after.model),
            model_sha256=hashlib.sha256(setup.layout.pack(after.model)).hexdigest(),
            wall_s=time.perf_counter() - started,
            server_ms=1000 * (ended - server),
            shifts=() if setup.federation.grid is None else round_.offer.shifts,
        )
        out.rows.append(round_row(facts, Collected(tuple(gathered.refused), {}), len(gathered.ids), {}))
        out.accounts.append(_account(setup, round_.round_num, gathered, diagnostics))
        if before is not None:
            history.append(state.model)
        state = after
    return InProcess(out.rows, out.accounts, out.notes, state.model)


@dataclass(frozen=True)
class _Gathered:
    """A round's accepted updates, in the order of the client ids."""

    ids: list[str]
    batch: Callable[[], UpdateBatch | StreamedRound]
    measured: list[npt.NDArray[np.int64]]
    refused: list[Receipt]
    layout: Layout
    spread_steps: float | None = None

    def scales(self) -> Scales:
        return Scales.stack(self.measured, self.layout)


def _gather(
    setup: Setup, round_: OpenRound, state: ServerState, history: Sequence[Model] | None, notes: list[str]
) -> _Gathered:
    """Train the cohort, let the adversary craft, refuse what validation would."""
    cohort = list(round_.opening.cohort)
    if len(cohort) > STREAM_ABOVE and setup.federation.pipeline.streams:
        return _streamed(setup, round_, state, history, notes)
    codes = setup.trainer.updates([setup.slots[client_id] for client_id in cohort], state.model, round_.offer)
    liars = setup.liars(round_.round_num)
    lies = np.array([client_id in liars for client_id in cohort], np.bool_)
    spread = _spread(codes[~lies]) if setup.spread else None
    if setup.adversary is not None and lies.any():
        honest = {client_id: row for client_id, row, lie in zip(cohort, codes, lies, strict=True) if not lie}
        own = {client_id: row for client_id, row, lie in zip(cohort, codes, lies, strict=True) if lie}
        crafted = _craft(setup.adversary, setup, round_, state, history, honest, own, notes)
        codes = codes.copy()
        codes[lies] = [crafted[client_id] for client_id in own]
    if codes.dtype != np.int8:
        return _real(setup, round_, codes, spread)
    tiles, ids = kernels.to_tiles(codes), cohort
    fine, refused = _within(setup, round_, ids, kernels.squared_norms(tiles, setup.layout.slices))
    if refused:
        ids = [client_id for client_id, good in zip(ids, fine, strict=True) if good]
        tiles = np.ascontiguousarray(tiles[:, fine])
    measured = [measure(row, setup.layout) for row in codes[fine]] if setup.federation.grid is not None else []
    claimed = tuple(setup.claimed[setup.slots[client_id]] for client_id in ids)

    def batch() -> UpdateBatch:
        return UpdateBatch(tiles, setup.layout, round_.offer.shifts, tuple(ids), claimed=claimed, checked=True)

    return _Gathered(ids, batch, measured, refused, setup.layout, spread)


def _real(setup: Setup, round_: OpenRound, rows: npt.NDArray[np.float64], spread: float | None) -> _Gathered:
    """Rows that no wire carries: a study's, which has nothing to refuse."""
    cohort = list(round_.opening.cohort)
    claimed = tuple(setup.claimed[setup.slots[client_id]] for client_id in cohort)

    def batch() -> UpdateBatch:
        return UpdateBatch(rows, setup.layout, round_.offer.shifts, tuple(cohort), claimed=claimed)

    return _Gathered(cohort, batch, [], [], setup.layout, spread)


def _streamed(
    setup: Setup, round_: OpenRound, state: ServerState, history: Sequence[Model] | None, notes: list[str]
) -> _Gathered:
    """The same for a round that is counted: clients in chunks, and nothing kept of them that the adversary need not know."""
    cohort, offer = list(round_.opening.cohort), round_.offer
    buffer = setup.federation.buffer(state, offer.shifts, cohort)
    ids: list[str] = []
    measured: list[npt.NDArray[np.int64]] = []
    refused: list[Receipt] = []
    honest: dict[str, Codes] = {}
    own: dict[str, Codes] = {}
    adversary, liars = setup.adversary, setup.liars(round_.round_num)

    def take(names: Sequence[str], codes: Codes) -> None:
        norms = kernels.squared_norms(np.ascontiguousarray(codes), setup.layout.slices)
        fine, bad = _within(setup, round_, names, norms)
        refused.extend(bad)
        for client_id, row, good in zip(names, codes, fine, strict=True):
            if good:
                buffer.put(client_id, row, setup.claimed[setup.slots[client_id]])
                ids.append(client_id)
                if setup.federation.grid is not None:
                    measured.append(measure(row, setup.layout))

    for first in range(0, len(cohort), CHUNK):
        names = cohort[first : first + CHUNK]
        codes = setup.trainer.updates([setup.slots[client_id] for client_id in names], state.model, offer)
        truthful = [i for i, name in enumerate(names) if adversary is None or name not in liars]
        for i in sorted(set(range(len(names))) - set(truthful)):
            own[names[i]] = codes[i].copy()
        if adversary is not None and adversary.together:
            honest.update({names[i]: codes[i].copy() for i in truthful})
        take([names[i] for i in truthful], codes[truthful])
    if adversary is not None and own:
        crafted = _craft(adversary, setup, round_, state, history, honest, own, notes)
        take(list(crafted), np.stack(list(crafted.values())))
    return _Gathered(sorted(ids, key=str.encode), buffer.batch, measured, refused, setup.layout)


def _craft(
    adversary: AdversaryPlan,
    setup: Setup,
    round_: OpenRound,
    state: ServerState,
    history: Sequence[Model] | None,
    honest: dict[str, Codes],
    own: dict[str, Codes],
    notes: list[str],
) -> dict[str, Codes]:
    cohort = round_.opening.cohort
    liars = setup.liars(round_.round_num)
    attackers = tuple(client_id for client_id in cohort if client_id in liars)
    scene = Scene(round_.offer, setup.layout, state.model, history, cohort, attackers)
    crafted = craft_round(adversary, scene, honest, own, setup.put)
    if crafted.note:
        notes.append(crafted.note)
    return crafted.codes


def _within(
    setup: Setup, round_: OpenRound, ids: Sequence[str], by_tensor: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], list[Receipt]]:
    """Who is within the norm that validation takes, and the receipts of those who are not."""
    offer = round_.offer
    if not offer.l2_bound:
        return np.ones(len(ids), np.bool_), []
    exponents = np.array(setup.layout.exponents(offer.shifts), dtype=np.int64)
    norms = by_tensor @ np.int64(4) ** (exponents - exponents.min())
    limit = norm_limit(offer.l2_bound, setup.layout, offer.shifts)
    fine = norms <= limit**2
    refused = [
        Receipt(
            ids[i], round_.round_num, bytes(32), Verdict.REJECTED, Reason.NORM,
            f"the squared norm is {norms[i]}, the limit is {limit}^2 for the bound {offer.l2_bound}",
        )
        for i in np.flatnonzero(~fine).tolist()
    ]  # fmt: skip
    return fine, refused


def _account(setup: Setup, round_num: int, gathered: _Gathered, diagnostics: RoundDiagnostics | None) -> Account:
    kept = kept_by_all(diagnostics, len(gathered.ids))
    return account(gathered.ids, kept, setup.liars(round_num), setup.minority, gathered.spread_steps)


def _spread(codes: Codes) -> float | None:
    if len(codes) < 2:
        return None
    return float(np.sqrt(np.mean(np.var(codes.astype(np.float32), axis=0, ddof=1, dtype=np.float64))))


def _no_nonce(count: int) -> bytes:
    return bytes(count)
