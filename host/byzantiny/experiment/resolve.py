"""From a checked config to the numbers and rules a run needs: plan, bound, pipeline."""

from __future__ import annotations

import math
from typing import Any

from byzantiny.coordinator import Plan
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.federation import Federation, GridPolicy, build_pipeline
from byzantiny_models.networks import Layout

DEFAULT_BOUND_PER_ROOT_D = 16
"""The default L2 bound is this times ceil(sqrt(d)) grid steps, an eighth of a saturated row (127 sqrt(d)):
docs/decisions/0005 has the measurement."""


def stages_of(run: RunConfig, d: int) -> list[dict[str, Any]]:
    """Return the defence's stages; while an L2 bound is announced, the coordinator's re-clip to it is the first (SPEC 3)."""
    stages = list(run.defence.pipeline)
    bound = l2_bound(run, d)
    if bound and not any(stage.get("name") == "norm-clip" for stage in stages):
        stages.insert(0, {"name": "norm-clip", "bound": bound})
    return stages


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
    """Refuse what would fail in every round (P6): a quorum below the pipeline's minimum. Raises ConfigError."""
    least = make_federation(run, layout).pipeline.min_clients
    quorum = run.round.quorum or run.round.cohort or len(run.client_ids())
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
