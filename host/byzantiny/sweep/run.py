"""Run a sweep: check the grid, run what its directory does not hold yet, score all of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.experiment import provenance
from byzantiny.experiment.rundir import locked
from byzantiny.scores.files import RUNS, load_results
from byzantiny.scores.records import Sweep
from byzantiny.scores.tables import score
from byzantiny.sweep import store
from byzantiny.sweep.checks import check_grid
from byzantiny.sweep.grid import EngineName, Grid, Job
from byzantiny.sweep.pool import Finished, run_pool
from byzantiny.sweep.ray_pool import require_ray, run_ray


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sweep came to; `complete` is False where it was stopped."""

    folder: Path
    cells: int
    runs: int
    held: int
    """Runs that were there before."""
    failed: int
    complete: bool
    scores: dict[str, Any]


Progress = Callable[[int, int, int], None]
"""Told (finished now, of so many that were missing, failed among them)."""


def run_sweep(
    grid: Grid,
    folder: Path,
    *,
    engine: EngineName = "inprocess",
    workers: int | None = None,
    retry_failed: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _done, _of, _failed: None,
    command: Sequence[str] = (),
) -> Outcome:
    """Run the grid into `folder`. Raises SweepError before anything runs where a cell cannot."""
    if engine == "ray":
        require_ray()
    check_grid(grid)
    store.prepare(folder, _describe(grid, engine, command), grid.cells)
    with locked(folder):
        if retry_failed:
            for run, result in load_results(folder, list(grid.jobs)).items():
                if result.status == "failed":
                    (folder / RUNS / f"{run}.json").unlink(missing_ok=True)
        held = store.finished(folder, list(grid.jobs))
        missing = [job for run, job in grid.jobs.items() if run not in held]
        progress(0, len(missing), 0)
        done = failed = 0
        with closing(_start(engine, missing, folder, workers, stop)) as finished:
            for _, status in finished:
                done, failed = done + 1, failed + (status == "failed")
                progress(done, len(missing), failed)
        results = load_results(folder, list(grid.jobs))
        scores = score(grid.cells, results)
        store.export(folder, grid.cells, results, scores)
    return Outcome(
        folder=folder,
        cells=len(grid.cells),
        runs=len(grid.jobs),
        held=len(held),
        failed=sum(result.status == "failed" for result in results.values()),
        complete=len(results) == len(grid.jobs),
        scores=scores,
    )


def _start(
    engine: EngineName, jobs: Sequence[Job], folder: Path, workers: int | None, stop: Callable[[], bool]
) -> Generator[Finished, None, None]:
    if engine == "ray":
        return run_ray(jobs, folder, workers, stop)
    return run_pool(jobs, folder, max(1, min(workers or provenance.cores(), len(jobs) or 1)), stop)


def _describe(grid: Grid, engine: str, command: Sequence[str]) -> Sweep:
    return Sweep(
        name=grid.file.name,
        title=grid.file.title or grid.file.name,
        grid=msgspec.to_builtins(grid.file),
        engine=engine,
        cells=len(grid.cells),
        runs=len(grid.jobs),
        version=provenance.version(),
        created_utc=provenance.utc_now().isoformat(timespec="seconds"),
        git_commit=provenance.git_state()[0],
        command=list(command),
    )
