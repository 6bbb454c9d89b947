"""Runs an experiment: every arm with every seed, from its ledger, so that starting and resuming are the same."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from byzantiny.coordinator import Coordinator, Surroundings
from byzantiny.experiment import rundir
from byzantiny.experiment.adversary import check_adversary, make_adversary
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import ConfigError, Experiment, RunConfig
from byzantiny.experiment.data import open_task, require_same
from byzantiny.experiment.evaluating import Deployed, Evaluator, make_evaluator, opened_deployed, probes_of
from byzantiny.experiment.events import ArmFinished, ArmStarted, Listener, Notice, RoundClosed
from byzantiny.experiment.exposure import doubts
from byzantiny.experiment.manifest import describe
from byzantiny.experiment.opening import open_first
from byzantiny.experiment.resolve import check_pipeline, check_training, make_federation, make_plan
from byzantiny.experiment.starting import PinnedStart, pin_start
from byzantiny.experiment.world import Setting, World, open_world
from byzantiny.ledger import Ledger
from byzantiny.records import Final, FirmwareInfo, RoundRow
from byzantiny.transport.brokers import open_broker
from byzantiny.transport.mqtt_names import PASSWORD_ENV
from byzantiny.wire.auth import derive_keys
from byzantiny_models.tasks import Task


@dataclass(frozen=True, slots=True)
class Engine:
    """How to run: who listens, who may stop it, and what stands in for the outside world in a test."""

    listener: Listener
    stop: Callable[[], bool] = lambda: False
    entropy: Callable[[int], bytes] = os.urandom
    broker: str | None = None
    command: tuple[str, ...] = ()
    cohorts: Mapping[tuple[str, int], Mapping[int, tuple[str, ...]]] = field(default_factory=dict)
    """Replays: (arm, seed) -> round -> the clients whose updates were accepted."""
    in_memory: bool = False
    """Keep the ledgers in memory, for sweeps: an arm that is interrupted is run anew, and P2 is not claimed (SPEC 8)."""
    known: Mapping[tuple[str, int], Mapping[int, Sequence[str]]] = field(default_factory=dict)
    """Replays: (arm, seed) -> round -> the clients whose codes the adversary knew, where not all were in."""
    task: Task | None = None
    """The experiment's task, where it is loaded already."""

    def run(self, experiment: Experiment, run_dir: Path) -> list[Final]:
        """Run whatever `run_dir` does not hold yet; its config must be this experiment's.

        Raises ByzantinyError with the remedy; Suspended if `stop()` said so. Nothing recorded is lost by either.
        """
        started = time.perf_counter()
        before = rundir.begun(run_dir, experiment)
        if before is not None and before.finished:
            held = [
                rundir.load_final(rundir.arm_dir(run_dir, arm.name, seed))
                for seed in before.seeds
                for arm in before.arms
            ]
            if None not in held:
                return [final for final in held if final is not None]
        if self.in_memory and {group.transport for group in experiment.base.clients} != {"memory"}:
            raise ConfigError(
                'a ledger in memory is for the memory transport alone; set transport = "memory" for all clients'
            )
        task = open_task(experiment) if self.task is None else self.task
        if before is not None:
            require_same(before, task, run_dir)
        for arm, run in experiment.arms.items():
            scoped = check_training(arm, run, task)
            check_pipeline(arm, run, scoped.network.layout)
            check_adversary(arm, run, scoped)
            make_cast(run, run.seeds[0], scoped)  # refuses, before any round, an attack or a partition that cannot be
            probes_of(run, run.seeds[0], scoped)
        for doubt in dict.fromkeys(doubt for run in experiment.arms.values() for doubt in doubts(run)):
            arms = ", ".join(arm for arm, run in experiment.arms.items() if doubt in doubts(run))
            self.listener(Notice(f"{arms}: {doubt}"))
        with ExitStack() as stack:
            stack.enter_context(rundir.locked(run_dir))
            deployed = stack.enter_context(
                opened_deployed(experiment, task.network, lambda text: self.listener(Notice(text)))
            )
            url, kind = self._open_broker(experiment, stack)
            start = pin_start(experiment, run_dir, task.network, before)
            for run in experiment.arms.values():  # refuses, before any round, a first model that cannot be
                open_first(run, run.seeds[0], task, None if start is None else start.start.model)
            manifest = describe(
                experiment, run_dir.name, task, self.command, broker_kind=kind, before=before, start=start
            )
            rundir.write_json(run_dir / rundir.MANIFEST, manifest.to_dict())
            firmware = {info.name: info for info in manifest.firmware}
            stage = _Stage(experiment, run_dir, task, url, firmware, start, deployed)
            finished = False
            try:
                finals = [self._run_arm(stage, arm, seed) for seed in experiment.base.seeds for arm in experiment.arms]
                finished = True
            finally:
                wall_s = round(manifest.wall_s + time.perf_counter() - started, 3)
                images = list(stage.firmware.values())
                done = msgspec.structs.replace(manifest, firmware=images, finished=finished, wall_s=wall_s)
                rundir.write_json(run_dir / rundir.MANIFEST, done.to_dict())
        return finals

    def _open_broker(self, experiment: Experiment, stack: ExitStack) -> tuple[str | None, str]:
        if not any(group.transport == "mqtt" for group in experiment.base.clients):
            return None, "none"
        url = experiment.base.mqtt.broker if self.broker is None else self.broker
        broker = stack.enter_context(open_broker(url, os.environ.get(PASSWORD_ENV)))
        if broker.notice:
            self.listener(Notice(broker.notice))
        return broker.url, broker.kind

    def _run_arm(self, stage: _Stage, arm: str, seed: int) -> Final:
        run = stage.experiment.arms[arm]
        folder = rundir.arm_dir(stage.run_dir, arm, seed)
        arms = list(stage.experiment.arms)
        count = len(arms) * len(run.seeds)
        index = run.seeds.index(seed) * len(arms) + arms.index(arm) + 1
        self.listener(ArmStarted(arm, run.title or arm, index, count, run.rounds, seed, stage.task.metric))
        held = rundir.load_final(folder)
        if held is not None:
            self.listener(ArmFinished(arm, seed, held.accuracy_last_tenth, held.wall_s))
            return held
        opening = open_first(run, seed, stage.task, stage.pretrained)
        task, first_model = opening.task, opening.model
        cast, network = make_cast(run, seed, task, first_model), task.network
        name = hashlib.sha256(f"{stage.run_dir.resolve()}/{arm}/{seed}".encode()).hexdigest()[:12]
        with ExitStack() as stack:
            stack.enter_context(rundir.naming_damage(folder))
            ledger = stack.enter_context(self._ledger(folder, run))
            stack.callback(rundir.export, folder, ledger)
            closed = ledger.last_closed()
            first = 1 if closed is None else closed.round_num + 1
            setting = Setting(
                network,
                stage.broker,
                name,
                self.entropy,
                adversary=make_adversary(run, seed, cast, network),
                folder=None if self.in_memory else folder,
                known=self.known.get((arm, seed)),
                notice=lambda text: self.listener(Notice(text)),
                first_round=first,
            )
            world = open_world(run, seed, cast, setting)
            stack.callback(world.close)
            progress = _Progress(self.listener, run.rounds, count, index)
            untouched = first_model if opening.untouched is None else opening.untouched
            evaluator = make_evaluator(stage.experiment, arm, seed, task, cast, stage.deployed[arm], untouched)
            surroundings = self._surroundings(evaluator, world, ledger, progress, (arm, seed))
            plan = make_plan(run, arm, seed, network.layout)
            federation = make_federation(run, network.layout)
            Coordinator(plan, network.layout, federation, surroundings).run(first_model)
            for info in world.firmware():
                if info.name not in stage.firmware or info.instructions_per_step is not None:
                    stage.firmware[info.name] = info  # the same image may run where it is counted and where it is not
            rounds, _ = rundir.export(folder, ledger)
        final = rundir.finish(folder, rounds)
        self.listener(ArmFinished(arm, seed, final.accuracy_last_tenth, final.wall_s))
        return final

    def _ledger(self, folder: Path, run: RunConfig) -> Ledger:
        if not self.in_memory:
            return rundir.open_ledger(folder, keep_updates=run.keep_updates)
        folder.mkdir(parents=True, exist_ok=True)
        return Ledger.create(":memory:", keep_updates=run.keep_updates)

    def _surroundings(
        self,
        evaluator: Evaluator,
        world: World,
        ledger: Ledger,
        progress: Callable[[RoundRow], None],
        which: tuple[str, int],
    ) -> Surroundings:
        def stop() -> bool:
            world.check()
            return self.stop()

        return Surroundings(
            transport=world.transport,
            clock=world.clock,
            ledger=ledger,
            keys={client_id: derive_keys(secret) for client_id, secret in world.secrets.items()},
            clients=world.clients,
            evaluate=evaluator,
            entropy=self.entropy,
            instructions=world.instructions,
            stop=stop,
            notice=lambda text: self.listener(Notice(text)),
            on_round=progress,
            links=world.links,
            wake=world.wake,
            poll_s=world.poll_s,
            samples=world.samples,
            refused=world.refused,
            witness=world.witness,
            cohorts=self.cohorts.get(which),
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all arms of a run share."""

    experiment: Experiment
    run_dir: Path
    task: Task
    broker: str | None
    firmware: dict[str, FirmwareInfo]
    """Filled as the arms say what they ran."""
    start: PinnedStart | None
    deployed: Mapping[str, Deployed | None]
    """Who answers for the exported models, by arm."""

    @property
    def pretrained(self) -> NDArray[np.int32] | None:
        """The whole model of the starting point, None if the seed draws one."""
        return None if self.start is None else self.start.start.model


class _Progress:
    """Turns closed rounds into events with an estimate of the time left."""

    def __init__(self, listener: Listener, rounds: int, count: int, index: int) -> None:
        self._listener = listener
        self._rounds = rounds
        self._runs_after = count - index
        self._started = time.perf_counter()
        self._first: int | None = None

    def __call__(self, row: RoundRow) -> None:
        """Report one closed round."""
        if self._first is None:
            self._first = row.round_num
        done = row.round_num - self._first + 1
        per_round = (time.perf_counter() - self._started) / done
        left = self._rounds - row.round_num + self._runs_after * self._rounds
        self._listener(
            RoundClosed(
                arm=row.arm,
                round_num=row.round_num,
                rounds=self._rounds,
                accuracy=row.accuracy,
                accepted=row.accepted,
                refused=row.refused,
                bytes_up=row.bytes_up,
                bytes_down=row.bytes_down,
                eta_s=per_round * left,
                seed=row.seed,
                outcome=row.outcome,
                reason=row.reason,
                exported=row.accuracy_exported,
                asr=row.asr if row.asr_exported is None else row.asr_exported,
            )
        )
