"""From a checked config to the numbers and rules a run needs: plan, bound, pipeline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from byzantiny.coordinator import Plan
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.federation import Federation, GridPolicy, build_pipeline
from byzantiny.federation.streaming import STREAM_ABOVE
from byzantiny.screening import load_screening
from byzantiny.updates import AggregationError
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Layout, initial_model
from byzantiny_models.tasks import Task
from byzantiny_models.trainers import TRAINERS, check_trainer

DEFAULT_BOUND_PER_ROOT_D = 16
"""The default L2 bound is this times ceil(sqrt(d)) grid steps, an eighth of a saturated row (127 sqrt(d)):
docs/decisions/0005 has the measurement."""


def stages_of(run: RunConfig, d: int) -> list[dict[str, Any]]:
    """Return the defence's stages; while an L2 bound is announced, the coordinator's re-clip to it comes first (SPEC 3).

    Screens alone come before it: they pass rows on as they are, and judge them by what was sent.
    """
    stages = list(run.defence.pipeline)
    bound = l2_bound(run, d)
    if bound and not any(stage.get("name") == "norm-clip" for stage in stages):
        screens = load_screening()
        first = next((i for i, stage in enumerate(stages) if stage.get("name") not in screens), len(stages))
        stages.insert(first, {"name": "norm-clip", "bound": bound})
    return stages


def scoped_task(run: RunConfig, task: Task, seed: int, pretrained: ArrayLike | None = None) -> Task:
    """Return the task with the network that is trained: what the scope leaves out is frozen as the first model has it.

    That is `pretrained`, int32 (d,) of the whole network, or what the seed draws. Everything behind it, layout, bodies,
    attacks, evaluation, then needs to know of no scope.

    >>> from byzantiny.experiment.config import parse_experiment
    >>> from byzantiny_models.tasks import load_task
    >>> run = parse_experiment({"training": {"scope": "last-layer"}}).base
    >>> scoped_task(run, load_task("digits"), 1).network.layout.d
    330
    """
    whole, scope = task.network.whole, run.training.scope
    if scope == "all":
        return task
    return replace(task, network=whole.scoped(scope, initial_model(whole, seed) if pretrained is None else pretrained))


def check_training(arm: str, run: RunConfig, task: Task) -> Task:
    """Refuse what the trainer or the network does not do; returns the task as the first seed trains it.

    Raises:
        ConfigError: tensors that the network does not have; a layer, a head, a scope or a rate that is not the trainer's.
    """
    try:
        scoped = scoped_task(run, task, run.seeds[0])
    except InvalidValueError as error:
        names = ", ".join(tensor.name for tensor in task.network.whole.layout.tensors)
        raise ConfigError(f"arms.{arm}: training.scope: {error}; {task.network.name} has {names}") from error
    try:
        check_trainer(TRAINERS[run.training.trainer].info, scoped.network, run.training.lr_shift)
    except InvalidValueError as error:
        raise ConfigError(f"arms.{arm}: training.trainer: {error}") from error
    return scoped


def make_plan(run: RunConfig, arm: str, seed: int, layout: Layout) -> Plan:
    """Turn a checked config into the coordinator's numbers."""
    ids = tuple(run.client_ids())
    cohort = run.round.cohort or len(ids)
    return Plan(
        arm=arm,
        seed=seed,
        rounds=run.rounds,
        clients=ids,
        cohort_size=cohort,
        quorum=run.round.quorum or cohort,
        deadline_s=run.round.deadline_s,
        epochs=run.training.epochs,
        lr_shift=run.training.lr_shift,
        shifts=layout.default_shifts(run.training.shift),
        l2_bound=l2_bound(run, layout.d),
    )


def make_federation(run: RunConfig, layout: Layout) -> Federation:
    """Build the defence and the policy of the grid. Raises PipelineError and AggregationError."""
    first, f = layout.default_shifts(run.training.shift), run.defence.f_declared
    pipeline = build_pipeline(stages_of(run, layout.d), f, finest=min(layout.exponents(first)))
    grid, bound = run.grid, l2_bound(run, layout.d)
    if not grid.adapt:
        return Federation(layout, pipeline)
    policy = GridPolicy(layout, first, f, grid.every_rounds, grid.low_steps, grid.high_steps, bound)
    return Federation(layout, pipeline, policy)


def l2_bound(run: RunConfig, d: int) -> int:
    """Return the bound in grid steps of the finest tensor; 0 for none."""
    if isinstance(run.round.l2_bound, int):
        return run.round.l2_bound
    return default_l2_bound(d) if run.round.l2_bound == "default" else 0


def default_l2_bound(d: int) -> int:
    """Return the bound of `round.l2_bound = "default"`, in grid steps.

    >>> default_l2_bound(2410)
    800
    """
    return DEFAULT_BOUND_PER_ROOT_D * math.isqrt(d - 1) + DEFAULT_BOUND_PER_ROOT_D


def check_pipeline(arm: str, run: RunConfig, layout: Layout) -> None:
    """Refuse what would fail in every round (P6).

    Raises:
        ConfigError: a quorum below the pipeline's minimum, or rules that cannot follow each other or read this network.
    """
    federation = make_federation(run, layout)
    least, cohort = federation.pipeline.min_clients, run.round.cohort or len(run.client_ids())
    quorum = run.round.quorum or cohort
    if quorum < least:
        raise ConfigError(
            f"arms.{arm}: a quorum of {quorum} is below the {least} clients that its defence needs "
            f"with f_declared = {run.defence.f_declared}; raise the quorum, add clients or lower f_declared"
        )
    if run.grid.adapt and quorum < 2 * run.defence.f_declared + 1:
        raise ConfigError(
            f"arms.{arm}: grid.adapt with a quorum of {quorum} and f_declared = {run.defence.f_declared}: fewer than"
            f" {2 * run.defence.f_declared + 1} clients, 2 f_declared + 1, say nothing about the grid; raise the quorum,"
            " lower f_declared, or set grid.adapt = false"
        )
    for n in sorted({quorum, cohort}):
        error = trial_round(federation, layout.default_shifts(run.training.shift), run.client_ids(), n)
        if error is not None:
            raise ConfigError(
                f"arms.{arm}: {federation.pipeline.name} fails on a trial round of {n} made-up updates: {error}"
            ) from error


def trial_round(
    federation: Federation, shifts: Sequence[int], client_ids: Sequence[str], n: int
) -> AggregationError | None:
    """Return what a round of n made-up updates ends in, whichever n clients in a row they are from; None if one works.

    What a rule refuses whatever clients send shows here, before a run: float rows where it counts codes, a client it has
    no weight for, more subsets than it tries. Rounds above 512 clients are not tried.
    """
    error: AggregationError | None = None
    if n > STREAM_ABOVE:
        return error
    ids, d = sorted(client_ids, key=str.encode), federation.layout.d
    state = federation.init(np.zeros(d, dtype=np.int32))
    for first in range(0, len(ids), n):
        cohort = ids[first : first + n] if first + n <= len(ids) else ids[-n:]
        buffer = federation.buffer(state, shifts, cohort)
        for i, client_id in enumerate(cohort):
            buffer.put(client_id, ((np.arange(d) + 2 * i) % 5 - 2).astype(np.int8), 1)
        try:
            federation.apply(state, buffer.batch(), np.random.default_rng(0))
        except AggregationError as refused:
            error = refused
        else:
            return None
    return error
