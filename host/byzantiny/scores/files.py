"""Reading a sweep's directory: its grid, its cells, its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from byzantiny.scores.records import Cell, Result, Sweep
from byzantiny.scores.statistics import ScoresError

SWEEP, CELLS, RUNS, SCORES = "sweep.json", "cells.jsonl", "runs", "scores.json"


def load_results(folder: Path, runs: Sequence[str]) -> dict[str, Result]:
    """Return the results that are there. Raises ScoresError for one that cannot be read."""
    found = {}
    for run in runs:
        path = folder / RUNS / f"{Path(run).name}.json"
        try:
            found[run] = msgspec.json.decode(path.read_bytes(), type=Result)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.DecodeError) as error:
            raise ScoresError(f"{path} cannot be read ({error}); delete it, and the sweep runs it again") from error
    return found


def load_sweep(folder: Path) -> tuple[Sweep, list[Cell]]:
    """Return a sweep directory's grid and cells. Raises ScoresError."""
    try:
        sweep = msgspec.json.decode((folder / SWEEP).read_bytes(), type=Sweep)
        cells = [msgspec.json.decode(line, type=Cell) for line in (folder / CELLS).read_bytes().splitlines()]
    except FileNotFoundError as error:
        raise ScoresError(f"{folder} is not a sweep directory: it has no {Path(error.filename).name}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise ScoresError(
            f"{folder}: its records cannot be read ({error}); run the sweep again, its runs are kept"
        ) from error
    return sweep, cells
