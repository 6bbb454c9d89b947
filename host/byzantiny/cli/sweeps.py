"""`byzantiny sweep`: a grid of runs, from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from byzantiny.cli.errors import EXIT_SUSPENDED
from byzantiny.cli.runs import Output, StopFlag
from byzantiny.experiment.provenance import cores
from byzantiny.report.sweep import load_sweep_run, sweep_summary, write_sweep_report
from byzantiny.report.sweep.words import headline, misjudged, problems
from byzantiny.sweep.estimate import forecast
from byzantiny.sweep.grid import engine_named, load_grid
from byzantiny.sweep.reproduce import reproduce_cell
from byzantiny.sweep.run import Outcome, run_sweep

EXIT_FAILED = 1
"""Some cells failed; what did not is complete."""
_EVERY = 10
"""Lines that a log gets, about."""


def start_sweep(
    output: Output,
    path: Path,
    *,
    out: Path,
    engine: str,
    jobs: int | None,
    retry_failed: bool,
    overrides: Mapping[str, Any],
) -> None:
    """Run a grid file into `out/NAME`, or go on with it there."""
    chosen = engine_named(engine)
    grid = load_grid(path, chosen, overrides)
    folder = out / grid.file.name
    output.say(f"{len(grid.cells)} cells, {len(grid.jobs)} runs, into {folder}")
    with StopFlag().watching() as stop, Watching(enabled=not output.json) as watching:
        outcome = run_sweep(
            grid, folder, engine=chosen, workers=jobs, retry_failed=retry_failed, stop=stop, progress=watching,
            command=sys.argv,
        )  # fmt: skip
    _conclude(output, outcome)
    if not outcome.complete:
        sys.stderr.write("stopped; every finished run is kept. Go on with the same command.\n")
        raise SystemExit(EXIT_SUSPENDED)
    if outcome.failed:
        raise SystemExit(EXIT_FAILED)


def forecast_sweep(
    output: Output, path: Path, *, out: Path, engine: str, jobs: int | None, overrides: Mapping[str, Any]
) -> None:
    """Print what a sweep would run, how much of it is there, and about how long the rest takes; writes nothing."""
    grid = load_grid(path, engine_named(engine), overrides)
    folder = out / grid.file.name
    with output.waiting("trying a few rounds of every kind of run"):
        found = forecast(grid, folder)
    missing = found.runs - found.held
    workers = max(1, min(jobs or cores(), missing or 1))
    output.give({"sweep": str(folder), **asdict(found), "wall_s": round(found.cpu_s / workers, 1)})
    output.say(f"cells     {found.cells}, with {found.runs} different runs")
    output.say(f"there     {found.held} in {folder}, {missing} to run")
    if missing:
        output.say(
            f"time      about {duration(found.cpu_s)} of CPU, {duration(found.cpu_s / workers)} with {workers} at a time;"
            f" guessed from {found.kinds} kinds of runs, cut short"
        )


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(0.4), duration(75.0), duration(7265.0)
    ('1 s', '1 min 15 s', '2 h 1 min')
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def open_sweep_report(output: Output, folder: Path) -> None:
    """Write the report of a sweep's directory and print its worst cases."""
    with output.waiting("scoring"):
        run = load_sweep_run(folder)
        path = write_sweep_report(run)
    if output.json:
        output.give({**sweep_summary(run), "report": str(path)})
        return
    console = Console(highlight=False)
    console.print(worst_cases(run.scores), soft_wrap=not console.is_terminal)
    output.say(headline(run))
    for said in filter(None, (misjudged(run), *(f"{problem}." for problem in problems(run)))):
        output.say(said)
    output.say(f"report    {path}")


def reproduce_sweep_cell(output: Output, path: Path) -> None:
    """Run one run of a sweep again and compare; exits with status 1 if it differs."""
    with output.waiting("running it again"):
        outcome = reproduce_cell(path)
    output.say(outcome.sentence)
    output.give(asdict(outcome))
    if not outcome.identical:
        raise SystemExit(EXIT_FAILED)


@final
class Watching:
    """Progress of a sweep: a bar with the time left on a terminal, else a line every tenth."""

    def __init__(
        self, *, enabled: bool, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._enabled, self._clock = enabled, clock
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._started, self._said = 0.0, 0

    def __enter__(self) -> Watching:
        """Begin to count the time."""
        self._started = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, of: int, failed: int) -> None:
        """Show how far it is."""
        if not self._enabled or not of:
            return
        if self._console.is_terminal:
            self._show(done, of, failed)
        elif done and (_EVERY * done // of > self._said or done == of):
            self._said = _EVERY * done // of
            elapsed = self._clock() - self._started
            note = f", {failed} failed" if failed else ""
            self._console.print(
                f"{done} of {of} runs{note}, about {elapsed * (of - done) / done:.0f} s left", soft_wrap=True
            )

    def _show(self, done: int, of: int, failed: int) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console)
            self._bar.add_task("runs", total=of)
            self._bar.start()
        self._bar.update(
            self._bar.task_ids[0], completed=done, description=f"runs, {failed} failed" if failed else "runs"
        )


def _conclude(output: Output, outcome: Outcome) -> None:
    record = {"sweep": str(outcome.folder), "cells": outcome.cells, "runs": outcome.runs, "held": outcome.held}
    output.give({**record, "failed": outcome.failed, "complete": outcome.complete, "scores": outcome.scores})
    if output.json:
        return
    console = Console(highlight=False)
    console.print(worst_cases(outcome.scores), soft_wrap=not console.is_terminal)
    for failure in outcome.scores["failed"][:5]:
        console.print(Text(f"failed: {failure['cell']}: {failure['error']}", style="yellow"), soft_wrap=True)
    output.say(f"runs      {outcome.runs}, of which {outcome.held} were there before and {outcome.failed} failed")
    output.say(f"sweep     {outcome.folder} (results.csv, scores.json)")
    output.say(f"report    byzantiny report {outcome.folder}")


_AXES = {"defence": "defence", "wire": "wire", "task": "task", "alpha": "alpha", "f": "f", "f_declared": "declared"}


def worst_cases(scores: Mapping[str, Any]) -> Table:
    """A row a setting: clean accuracy, the worst attack and what is left under it. An axis with one value has no column."""
    rows = scores["defences"]
    axes = [axis for axis in _AXES if axis == "defence" or len({row[axis] for row in rows}) > 1]
    if all(row["f"] == row["f_declared"] for row in rows):
        axes = [axis for axis in axes if axis != "f_declared"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for axis in axes:
        table.add_column(_AXES[axis], no_wrap=True)
    for header in ("clean", "worst case", "attack"):
        table.add_column(header, justify="left" if header == "attack" else "right", no_wrap=True)
    for row in rows:
        place = ["" if row[axis] is None else f"{row[axis]:g}" if axis == "alpha" else str(row[axis]) for axis in axes]
        table.add_row(*place, _percent(row["clean"]), _percent(row["worst"]), row["worst_attack"] or "")
    return table


def _percent(estimate: Mapping[str, Any] | None) -> str:
    """An accuracy in a table.

    >>> _percent({"value": 0.934}), _percent(None)
    ('93.4 %', '')
    """
    return "" if estimate is None else f"{100 * estimate['value']:.1f} %"
