"""The sweep's cells laid out for heatmaps: attack by defence, and f by alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byzantiny.report.sweep.load import Row, SweepRun, place

MOST_PANELS = 12
"""More are in the tables; the order is the grid's, the real wire first."""


@dataclass(frozen=True)
class Square:
    """One square: its row and column by name, its share from 0 to 1, and whether it is framed."""

    row: str
    column: str
    share: float
    framed: bool = False


@dataclass(frozen=True)
class Heat:
    """One heatmap."""

    title: str
    subtitle: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Pair:
    """Accuracy attack by defence at one place of the other axes, and attack success beside it where there is one."""

    place: str
    bypass: bool
    accuracy: Heat
    asr: Heat | None


def attack_panels(run: SweepRun) -> list[Pair]:
    """A pair of heatmaps for each task, skew, wire, f and f_declared with an attack; the worst attack is framed."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in run.scores["attacks"]:
        if row["f"]:
            groups.setdefault(place_of(row), []).append(row)
    wires = run.ordered("wire")
    ordered = sorted(groups.items(), key=lambda item: (any(row["bypass"] for row in item[1]), wires.index(item[0][2])))
    return [_pair(run, rows) for _, rows in ordered]


def place_of(row: Row) -> tuple[Any, ...]:
    """Everything of a row but its attack and defence."""
    return row["task"], row["alpha"], row["wire"], row["f"], row["f_declared"]


def worst_of(run: SweepRun) -> dict[tuple[Any, ...], str]:
    """(place, defence) -> its worst attack."""
    return {
        (*place_of(row), row["defence"]): row["worst_attack"]
        for row in run.scores["defences"]
        if row["worst_attack"] is not None
    }


def _pair(run: SweepRun, rows: Sequence[Row]) -> Pair:
    worst = worst_of(run)

    def heat(field: str, title: str, chosen: Sequence[Row]) -> Heat:
        squares = tuple(
            Square(
                row["attack"],
                row["defence"],
                row[field]["value"],
                framed=worst.get((*place_of(row), row["defence"])) == row["attack"] and field == "accuracy",
            )
            for row in chosen
        )
        attacks, defences = {each.row for each in squares}, {row["defence"] for row in rows}
        return Heat(
            title,
            "",
            tuple(name for name in run.ordered("attack") if name in attacks),
            tuple(name for name in run.ordered("defence") if name in defences),
            squares,
        )

    with_asr = [row for row in rows if row["asr"] is not None]
    return Pair(
        place(rows[0], run.varying),
        rows[0]["bypass"],
        heat("accuracy", "Accuracy", rows),
        heat("asr", "Attack success rate", with_asr) if with_asr else None,
    )


def grid_panels(run: SweepRun) -> list[Heat]:
    """Worst-case accuracy, f by alpha, one heatmap a task, wire and defence with two values of either; f = 0: no attack."""
    groups: dict[tuple[str, str, str], dict[tuple[int, float], Row]] = {}
    for row in run.scores["defences"]:
        if row["alpha"] is not None:
            where = groups.setdefault((row["wire"], row["task"], row["defence"]), {})
            told = where.get((row["f"], row["alpha"]))
            if told is None or row["f_declared"] == row["f"]:
                where[row["f"], row["alpha"]] = row
    wires, defences = run.ordered("wire"), run.ordered("defence")
    found = []
    for (wire, task, defence), rows in sorted(
        groups.items(), key=lambda item: (wires.index(item[0][0]), item[0][1], defences.index(item[0][2]))
    ):
        fs, alphas = sorted({f for f, _ in rows}), sorted({alpha for _, alpha in rows}, reverse=True)
        squares = []
        for (f, alpha), row in rows.items():
            told = row["worst"] if f else row["clean"]
            if told is not None:
                squares.append(Square(f"{f}", f"{alpha:g}", told["value"]))
        if len(fs) > 1 and len(alphas) > 1 and squares:
            words = [*([wire] if len(wires) > 1 else []), *([task] if "task" in run.varying else [])]
            names = tuple(f"{f}" for f in reversed(fs)), tuple(f"{alpha:g}" for alpha in alphas)
            found.append(Heat(defence, ", ".join(words), *names, tuple(squares)))
    return found
