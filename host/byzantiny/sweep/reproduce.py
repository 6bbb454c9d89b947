"""Run one finished run of a sweep again and compare all that it recorded but times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.scores.files import RUNS, load_results, load_sweep
from byzantiny.scores.records import Result
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import engine_named, parse_grid
from byzantiny.sweep.work import run_job

OUTSIDE = {"wall_s", "cpu_s", "version", "notes", "engine"}
"""What may differ between two runs that are the same; every engine gives the same bytes (P1)."""


@dataclass(frozen=True, slots=True)
class CellReproduction:
    """The verdict; `difference` names the first field, and of a series the round."""

    run: str
    identical: bool
    difference: str | None
    error: str = ""
    """With which the run failed, both times where identical."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.identical and self.error:
            return f"identical: run {self.run} fails again: {self.error}"
        if self.identical:
            return f"identical: run {self.run}, every score the same number, the model the same bytes"
        return f"different: run {self.run}: {self.difference}"


def is_cell(path: Path) -> bool:
    """Whether a path is a run's file in a sweep's directory."""
    return path.suffix == ".json" and path.parent.name == RUNS


def reproduce_cell(path: Path) -> CellReproduction:
    """Run the cell whose result is `path` again, by the sweep's grid. Raises SweepError and ScoresError."""
    folder, run = path.parent.parent, path.stem
    sweep, _ = load_sweep(folder)
    before = load_results(folder, [run]).get(run)
    if before is None:
        raise SweepError(f"{path}: no such run; {folder / 'results.csv'} has those there are in its column `run`")
    grid = parse_grid(sweep.grid, where=str(folder / "sweep.json"), engine=engine_named(sweep.engine))
    if run not in grid.jobs:
        said = f"this version's grid of {folder} has no such run"
        raise SweepError(f"{path}: {said}; use byzantiny {before.version}, which wrote it, or sweep again")
    difference = first_difference(before, run_job(grid.jobs[run]))
    return CellReproduction(run, difference is None, difference, before.error)


def first_difference(before: Result, now: Result) -> str | None:
    """Return the first field that is not as recorded, with the round where it is a series; None where all are.

    >>> was = Result(run="a", status="done", engine="inprocess", config={}, wire={}, version="1", model_sha256="x")
    >>> first_difference(was, was), first_difference(was, msgspec.structs.replace(was, model_sha256="y"))
    (None, 'model_sha256')
    """
    a, b = (msgspec.to_builtins(each) for each in (before, now))
    for name in (name for name in a if name not in OUTSIDE | {"series"}):
        if a[name] != b[name]:
            return f"{name} ({b['error']})" if name == "status" and b["error"] else name
    return _series_difference(a["series"] or {}, b["series"] or {})


def _series_difference(a: dict[str, Any], b: dict[str, Any]) -> str | None:
    """Return the round and name of the earliest value that differs."""
    rounds = [
        (number, name)
        for name in a
        for number, (x, y) in enumerate(zip(a[name], b.get(name, []), strict=False), 1)
        if x != y
    ]
    if rounds:
        number, name = min(rounds)
        return f"{name} of round {number}"
    return next((f"rounds of {name}" for name in a if len(a[name]) != len(b.get(name, []))), None)
