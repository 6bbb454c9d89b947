"""What a sweep would cost, before it runs: how many runs are missing, and a guess at their time from short ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from byzantiny.scores.files import RUNS
from byzantiny.sweep import store
from byzantiny.sweep.checks import check_grid
from byzantiny.sweep.grid import Grid, Job
from byzantiny.sweep.work import run_job

_SHORT, _LONGER = 1, 4
"""Rounds of the two short runs of a kind: what a run costs at least, and what a round adds."""
Clock = Callable[[Job], float]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Distinct runs of a grid, how many its directory holds, and the processor seconds that the others will take, about."""

    cells: int
    runs: int
    held: int
    kinds: int
    """Kinds of runs among the missing: wire, task, attack and defence; each was tried."""
    cpu_s: float


def forecast(grid: Grid, folder: Path, *, clock: Clock | None = None) -> Forecast:
    """Check a grid as `run_sweep` does, and say what is missing. Nothing is written. Raises SweepError.

    Two runs of a few rounds of every kind are timed, with the most attackers it has. The guess is rough: it knows
    nothing of a busy machine, and an attack that starts late costs more than it says.
    """
    check_grid(grid)
    held = store.finished(folder, list(grid.jobs)) if (folder / RUNS).is_dir() else set()
    kinds: dict[Hashable, list[Job]] = {}
    for job in (job for run, job in grid.jobs.items() if run not in held):
        kinds.setdefault(_kind(job), []).append(job)
    measure = cpu_seconds if clock is None else clock
    if kinds and clock is None:
        measure(_rounds(next(iter(kinds.values()))[0], _SHORT))  # imports and tasks are paid once, and not counted
    spent = sum(len(jobs) * _cost(jobs, measure) for jobs in kinds.values())
    return Forecast(len(grid.cells), len(grid.jobs), len(held), len(kinds), round(spent, 1))


def cpu_seconds(job: Job) -> float:
    """Run a job and return the processor seconds it took."""
    return run_job(job).cpu_s


def _kind(job: Job) -> Hashable:
    attack = msgspec.structs.replace(job.config.attack, byzantine=0)
    return (
        job.config.task, job.wire, job.frames, msgspec.json.encode(attack), msgspec.json.encode(job.config.defence.pipeline),
        job.config.attack.byzantine != 0,
    )  # fmt: skip


def _cost(jobs: Iterable[Job], measure: Clock) -> float:
    """The seconds of one run of a kind."""
    job = max(jobs, key=lambda each: each.config.liars)
    rounds = job.config.rounds
    least = measure(_rounds(job, min(_SHORT, rounds)))
    if rounds <= _SHORT:
        return least
    longer = min(_LONGER, rounds)
    a_round = max(0.0, measure(_rounds(job, longer)) - least) / (longer - _SHORT)
    return least + a_round * (rounds - _SHORT)


def _rounds(job: Job, rounds: int) -> Job:
    """The same run, cut short."""
    config = msgspec.structs.replace(job.config, rounds=rounds)
    return replace(job, config=config, table={**job.table, "rounds": rounds})
