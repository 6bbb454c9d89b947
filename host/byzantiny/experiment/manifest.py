"""The manifest of a run: everything needed to say what ran, and to run it again."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import msgspec

from byzantiny import kernels
from byzantiny.coordinator.plan import draw_cohort
from byzantiny.experiment import provenance
from byzantiny.experiment.cast import byzantine_ids, make_cast
from byzantiny.experiment.config import Experiment, RunConfig
from byzantiny.experiment.costs import network_costs
from byzantiny.experiment.data import dataset_sha256, sources_of
from byzantiny.experiment.resolve import make_plan, scoped_task, stages_of
from byzantiny.experiment.starting import PinnedStart
from byzantiny.records import ArmInfo, Manifest
from byzantiny.wire.messages import PROTO
from byzantiny_models.networks import Layout
from byzantiny_models.tasks import Task
from byzantiny_models.trainers import TRAINERS
from byzantiny_models.trainers.base import EVERY_MACHINE, ONE_MACHINE


def describe(
    experiment: Experiment,
    run_id: str,
    task: Task,
    command: tuple[str, ...],
    *,
    broker_kind: str,
    before: Manifest | None = None,
    start: PinnedStart | None = None,
) -> Manifest:
    """Return the manifest of a run that begins, or goes on from `before`; data and partitions are the first seed's.

    `start` is the starting point, if the seeds do not draw the first model.
    """
    base = experiment.base
    network = scoped_task(base, task, base.seeds[0], None if start is None else start.start.model).network
    cast = make_cast(base, base.seeds[0], task)
    commit, dirty = provenance.git_state()
    return Manifest(
        run_id=run_id,
        name=base.name,
        title=experiment.source.get("title", base.name),
        created_utc=before.created_utc if before else provenance.utc_now().isoformat(timespec="seconds"),
        command=before.command if before else list(command),
        config_sha256=experiment.sha256,
        version=provenance.version(),
        wire_version=PROTO,
        git_commit=commit,
        git_dirty=dirty,
        python=sys.version.split()[0],
        platform=sys.platform,
        cpu=provenance.cpu(),
        cores=provenance.cores(),
        packages=provenance.packages(),
        task={
            "name": task.name,
            "train_samples": len(task.train_y),
            "test_samples": len(task.test_y),
            "dataset_sha256": dataset_sha256(task),
            **base.partition.in_force(),
            "partition_sha256": cast.partition_sha256,
            "metric": task.metric,
            "network": network.name,
            "parameters": network.layout.d,
            "layout_sha256": network.layout.sha256.hex(),
            **({} if start is None else start.described()),
        },
        sources=sources_of(task),
        training=_training(experiment),
        grid=msgspec.to_builtins(base.grid),
        evaluation=msgspec.to_builtins(base.evaluation),
        class_names=list(task.class_names),
        costs=network_costs(network),
        tensors=_names(network.layout),
        clients=[
            {
                "client_id": role.client_id,
                "body": role.group.body,
                "transport": role.group.transport,
                "samples": role.samples,
                "byzantine": role.in_firmware
                or any(role.client_id in _liars(run, base.seeds[0]) for run in experiment.arms.values()),
            }
            for role in cast.roles
        ],
        arms=[_arm(name, experiment, task) for name in experiment.arms],
        seeds=list(base.seeds),
        draws=[_draws(experiment, seed, task) for seed in base.seeds],
        rounds=base.rounds,
        broker=broker_kind,
        kernels=kernels.backend().variant,
        firmware=before.firmware if before else [],
        finished=False,
        wall_s=before.wall_s if before else 0.0,
    )


def _training(experiment: Experiment) -> dict[str, str | int | float | list[str]]:
    """The keys of [training], and where a run gives the same bytes (P1): the float control does on one machine only."""
    keys = msgspec.to_builtins(experiment.base.training)
    bound = [
        arm for arm, run in experiment.arms.items() if TRAINERS[run.training.trainer].info.same_bytes != EVERY_MACHINE
    ]
    where = f"{ONE_MACHINE}: {', '.join(bound)}" if bound else EVERY_MACHINE
    return {**keys, "same_bytes": where}


def _draws(experiment: Experiment, seed: int, task: Task) -> dict[str, Any]:
    base = experiment.base
    plan = make_plan(base, "", seed, scoped_task(base, task, seed).network.layout)
    cohorts = [draw_cohort(plan, round_num) for round_num in range(1, base.rounds + 1)]
    return {
        "seed": seed,
        "partition_sha256": make_cast(base, seed, task).partition_sha256,
        "cohorts_sha256": hashlib.sha256(msgspec.json.encode(cohorts)).hexdigest(),
        "byzantine": {name: _liars(run, seed) for name, run in experiment.arms.items()},
    }


def _arm(name: str, experiment: Experiment, task: Task) -> ArmInfo:
    run, table = experiment.arms[name], experiment.source["arms"].get(name, {})
    own, first = (scoped_task(each, task, each.seeds[0]).network.layout for each in (run, experiment.base))
    tensors = [] if _names(own) == _names(first) else _names(own)
    liars = _liars(run, run.seeds[0])
    names = [f"{run.attack.name}{_params(run.attack.params)}"] if run.attack.name != "none" and run.liars else []
    names += [
        f"{group.firmware_attack}{_params(group.firmware_params)} in the firmware"
        for group in run.clients
        if group.firmware_attack is not None
    ]
    attack = ", ".join(names) or "none"
    return ArmInfo(
        name=name,
        title=run.title or name,
        attack=attack,
        attack_start_round=run.attack.start_round if liars else None,
        attack_stop_round=run.attack.stop_round if liars else None,
        byzantine=liars,
        f=run.liars if liars and run.attack.attackers == "resampled" else None,
        defence=[_stage(stage) for stage in stages_of(run, own.d)],
        overrides={key: value for key, value in table.items() if key not in ("title", "target", "attack", "defence")},
        target=run.target,
        tensors=tensors,
    )


def _names(layout: Layout) -> list[str]:
    return [tensor.name for tensor in layout.tensors]


def _liars(run: RunConfig, seed: int) -> list[str]:
    inside = [client_id for client_id, group in run.members() if group.firmware_attack is not None]
    return inside if run.attack.name == "none" else [*byzantine_ids(run, seed), *inside]


def _stage(stage: dict[str, Any]) -> str:
    return f"{stage['name']}{_params({key: value for key, value in stage.items() if key != 'name'})}"


def _params(params: dict[str, Any]) -> str:
    return f"({', '.join(f'{key}={value}' for key, value in params.items())})" if params else ""
