"""A sweep's directory in memory: its grid, its cells, the results that are there, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byzantiny.report.run import ReportError
from byzantiny.scores.files import SWEEP, load_results, load_sweep
from byzantiny.scores.records import Cell, Result, Sweep
from byzantiny.scores.tables import CLEAN, Setting, score, setting_of

AXES = ("task", "alpha", "wire", "f", "f_declared")
"""The axes beside attack, defence and seed."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SweepRun:
    """A sweep in memory; `scores` are computed from the results, which are the truth."""

    path: Path
    sweep: Sweep
    cells: Sequence[Cell]
    results: Mapping[str, Result]
    scores: Mapping[str, Any]
    groups: Mapping[tuple[Setting, str], Sequence[Cell]] = field(repr=False)
    """(setting, attack) -> its cells that are done."""

    @property
    def missing(self) -> int:
        """Cells whose run is not there yet."""
        return sum(cell.run not in self.results for cell in self.cells)

    @property
    def varying(self) -> tuple[str, ...]:
        """The axes of which the scored settings have more than one value."""
        rows = [row for row in self.scores["defences"] if row["f"]] or self.scores["defences"]
        many = [axis for axis in AXES if len({row[axis] for row in rows}) > 1]
        same = all(row["f"] == row["f_declared"] for row in rows)
        return tuple(axis for axis in many if axis != "f_declared" or not same)

    def ordered(self, axis: str) -> list[str]:
        """The defences, attacks or wires in the grid's own order; nobody's attack first, the int8 wire where none is named."""
        present = list(dict.fromkeys(getattr(cell, axis) for cell in self.cells))
        named = list(self.sweep.grid.get(f"{axis}s") or {})
        first = [CLEAN] if axis == "attack" else []
        known = [name for name in (*first, *named) if name in present]
        return known + [name for name in present if name not in known]

    def done(self, setting: Setting, attack: str, *, tuning: bool = False) -> list[Result]:
        """The results of one setting and attack by seed; those of tuning seeds are scored nowhere."""
        cells = sorted(self.groups.get((setting, attack), ()), key=lambda cell: cell.seed)
        return [self.results[cell.run] for cell in cells if cell.tuning == tuning]


def is_sweep(path: str | Path) -> bool:
    """Whether the directory is a sweep's, not a run's."""
    return (Path(path) / SWEEP).is_file()


def load_sweep_run(path: str | Path) -> SweepRun:
    """Read and score the sweep directory at `path`.

    Raises ScoresError where a file is missing or damaged, ReportError where nothing is finished or SciPy is not there.
    """
    path = Path(path)
    sweep, cells = load_sweep(path)
    results = load_results(path, list(dict.fromkeys(cell.run for cell in cells)))
    if not results:
        raise ReportError(f"{path} has no finished run yet; run the sweep first, its command is in sweep.json")
    groups: dict[tuple[Setting, str], list[Cell]] = {}
    for cell in cells:
        if cell.run in results and results[cell.run].status == "done":
            groups.setdefault((setting_of(cell), cell.attack), []).append(cell)
    try:
        scores = score(cells, results)
    except ImportError as error:
        raise ReportError("scores need SciPy, which is not installed; pip install 'byzantiny[sweep]'") from error
    return SweepRun(path, sweep, cells, results, scores, groups)


def setting_in(row: Row) -> Setting:
    """The setting of a row of the scores."""
    return row["task"], row["alpha"], row["wire"], row["defence"], row["f"], row["f_declared"]


def place(row: Row, axes: Sequence[str]) -> str:
    """Where a row is on some axes, in words.

    >>> place({"alpha": 0.5, "f": 4, "wire": "int8"}, ("wire", "alpha", "f"))
    'int8, alpha 0.5, f 4'
    """
    words = {
        "task": lambda value: str(value),
        "wire": lambda value: str(value),
        "alpha": lambda value: "base partition" if value is None else f"alpha {value:g}",
        "f": lambda value: f"f {value}",
        "f_declared": lambda value: f"declared {value}",
    }
    return ", ".join(words[axis](row[axis]) for axis in axes)


def asr_attack(run: SweepRun, setting: Row) -> Row | None:
    """The row of the setting's attack with the highest success rate; None where no attack has probes."""
    wanted = setting_in(setting)
    rows = [row for row in run.scores["attacks"] if row["asr"] is not None and setting_in(row) == wanted]
    return max(rows, key=lambda row: row["asr"]["value"]) if rows else None


def lowest_attack(run: SweepRun, setting: Row) -> Row | None:
    """The row of the setting's attack with the lowest accuracy on the scored seeds, whichever was chosen as the worst."""
    wanted = setting_in(setting)
    rows = [row for row in run.scores["attacks"] if row["attack"] != CLEAN and setting_in(row) == wanted]
    return min(rows, key=lambda row: row["accuracy"]["value"]) if rows else None


def surpassed(run: SweepRun) -> list[tuple[Row, Row]]:
    """(defence's row, attack's row) where an attack that was not chosen is clearly worse: its interval lies below the chosen one's.

    Without intervals any lower mean counts.
    """
    found = []
    for row in run.scores["defences"]:
        worst, lowest = row["worst"], lowest_attack(run, row)
        if worst is None or lowest is None or lowest["attack"] == row["worst_attack"]:
            continue
        high, low = (lowest["accuracy"]["high"], worst["low"])
        if (lowest["accuracy"]["value"] if high is None else high) < (worst["value"] if low is None else low):
            found.append((row, lowest))
    return found
