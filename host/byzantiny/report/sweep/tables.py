"""The tables of a sweep's page: scores by defence, scores by attack, steps of the wire, failed cells, how to run each again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from byzantiny.report.sweep.factors import Effect
from byzantiny.report.sweep.load import AXES, Row, SweepRun, asr_attack, lowest_attack, place
from byzantiny.report.targets import percent
from byzantiny.report.text import printable
from byzantiny.scores.files import RUNS
from byzantiny.scores.records import Cell

MOST_CELLS = 2000
"""More reproduce lines than this, and only the first seed of each is on the page; results.csv has all runs."""


@dataclass(frozen=True)
class Value:
    """One cell: what it says, what stands small below, and what it is sorted by (empty: always last)."""

    text: str
    sub: str = ""
    key: str = ""


@dataclass(frozen=True)
class SortTable:
    """A table that a reader sorts by a column; from `numeric_from` on columns are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    numeric_from: int
    note: str = ""


def told(table: SortTable) -> SortTable:
    """The table without the columns in which nothing was measured."""
    kept = [at for at in range(len(table.header)) if not table.rows or any(row[at].text != "–" for row in table.rows)]
    rows = tuple(tuple(row[at] for at in kept) for row in table.rows)
    numeric_from = sum(at < table.numeric_from for at in kept)
    return SortTable(table.title, tuple(table.header[at] for at in kept), rows, numeric_from, table.note)


def word(text: str) -> Value:
    """A cell that is sorted as text."""
    return Value(printable(text, 80), key=text.lower())


def number(value: float | None, text: str, sub: str = "") -> Value:
    """A cell that is sorted as a number."""
    return Value(text, sub, "" if value is None else repr(float(value)))


def share(value: float | None) -> Value:
    """A share without an interval."""
    return number(value, percent(value))


def estimated(found: Mapping[str, Any] | None) -> Value:
    """A share with its interval, or with how many seeds it is from."""
    if found is None:
        return number(None, "–")
    return number(found["value"], percent(found["value"]), interval(found["low"], found["high"], found["n"]))


def interval(low: float | None, high: float | None, n: int) -> str:
    """The words below an estimate.

    >>> interval(0.5, 0.625, 4), interval(None, None, 1)
    ('50.0 – 62.5 %', 'one seed')
    """
    if low is None or high is None:
        return "one seed" if n == 1 else f"{n} seeds"
    return f"{100 * low:.1f} – {100 * high:.1f} %"


def points(value: float | None, low: float | None = None, high: float | None = None) -> Value:
    """A difference of shares, in percentage points.

    >>> points(-0.031, -0.05, 0.0).text, points(-0.031, -0.05, 0.0).sub
    ('−3.1', '−5.0 to 0.0')
    """

    def signed(share: float) -> str:
        return f"{100 * share + 0.0:.1f}".replace("-0.0", "0.0").replace("-", "−")

    if value is None:
        return number(None, "–")
    sub = "" if low is None or high is None else f"{signed(low)} to {signed(high)}"
    return number(value, signed(value), sub)


def _places(run: SweepRun, rows: Sequence[Row]) -> tuple[str, ...]:
    """The axes that need a column: those with more than one value in the rows."""
    return tuple(axis for axis in AXES if axis in run.varying or (len({row[axis] for row in rows}) > 1
                 and (axis != "f_declared" or any(row["f"] != row["f_declared"] for row in rows))))  # fmt: skip


def _axis(row: Row, axis: str) -> Value:
    value = row[axis]
    if axis in {"task", "wire"}:
        return word(value)
    return number(value, "base" if value is None else f"{value:g}")


def defence_table(run: SweepRun) -> SortTable:
    """A row a setting: nobody lying, the worst attack, what is left under it, and what the defence did then."""
    attacks = {_key(row): row for row in run.scores["attacks"]}
    rows = _told(run)
    axes = _places(run, rows)
    shown = []
    for row in rows:
        worst = attacks.get((*_key(row)[:-1], row["worst_attack"]), {})
        judged = worst or attacks.get((*_key(row)[:-1], "none"), {})
        shown.append(
            (
                word(row["defence"]),
                *(_axis(row, axis) for axis in axes),
                word(row["worst_attack"] or "–"),
                estimated(row["worst"]),
                lowest_of(run, row),
                estimated(row["clean"]),
                points(worst.get("impact"), *(worst.get("impact_interval") or (None, None))),
                highest_asr(run, row),
                share(judged.get("honest_rejection")),
                share(judged.get("minority_rejection")),
                share(judged.get("denial_rate")),
                points(row["cost_of_caution"]),
            )
        )
    header = ("defence", *axes, "worst attack", "worst case", "lowest of any", "nobody lies", "impact, points", "highest ASR",
              "honest rejected", "minority rejected", "denial", "cost of caution, points")  # fmt: skip
    return told(SortTable("Scores by defence", header, tuple(shown), len(axes) + 2))


def _told(run: SweepRun) -> list[Row]:
    """The settings with liars, and those that tell the cost of caution: real wires first, the best worst case on top."""
    rows = [row for row in run.scores["defences"] if row["f"] or row["cost_of_caution"] is not None]
    wires = run.ordered("wire")

    def order(row: Row) -> tuple[Any, ...]:
        kept = row["worst"] or row["clean"]
        where = row["task"], wires.index(row["wire"]), -(row["alpha"] or 0), row["f"], row["f_declared"]
        return (*where, -(kept["value"] if kept else 0), row["defence"])

    return sorted(rows or run.scores["defences"], key=order)


def lowest_of(run: SweepRun, setting: Row) -> Value:
    """The lowest accuracy of any attack on the scored seeds, and its name: beside the worst case, how well that was chosen."""
    attack = lowest_attack(run, setting)
    if attack is None:
        return number(None, "–")
    return number(attack["accuracy"]["value"], percent(attack["accuracy"]["value"]), attack["attack"])


def highest_asr(run: SweepRun, setting: Row) -> Value:
    """The success rate of the setting's most successful attack, and its name."""
    attack = asr_attack(run, setting)
    if attack is None:
        return number(None, "–")
    return number(attack["asr"]["value"], percent(attack["asr"]["value"]), attack["attack"])


def attack_table(run: SweepRun) -> SortTable:
    """A row a setting and attack."""
    rows, axes = run.scores["attacks"], _places(run, run.scores["attacks"])
    shown = [
        (
            word(row["attack"]),
            word(row["defence"]),
            *(_axis(row, axis) for axis in axes),
            estimated(row["accuracy"]),
            points(row["impact"], *(row["impact_interval"] or (None, None))),
            estimated(row["asr"]),
            share(row["asr_floor"]),
            share(row["honest_rejection"]),
            share(row["precision"]),
            share(row["recall"]),
            share(row["denial_rate"]),
            share(row["divergence_rate"]),
            number(row["spread_steps"], "–" if row["spread_steps"] is None else f"{row['spread_steps']:.1f}"),
        )
        for row in rows
    ]
    header = ("attack", "defence", *axes, "accuracy", "impact, points", "ASR", "ASR floor", "honest rejected",
              "precision", "recall", "denial", "diverged", "spread, steps")  # fmt: skip
    return told(SortTable("Scores by attack", header, tuple(shown), len(axes) + 2))


def _key(row: Row) -> tuple[Any, ...]:
    return row["task"], row["alpha"], row["wire"], row["f"], row["f_declared"], row["defence"], row.get("attack")


def effect_table(effects: Sequence[Effect]) -> SortTable:
    """A row a step, defence and attack."""
    many = len({effect.where for effect in effects}) > 1
    shown = [
        (
            word(each.step),
            word(" → ".join(each.wires)),
            *([word(each.where)] if many else []),
            word(each.defence),
            word(each.attack),
            points(each.change.value, each.change.low, each.change.high),
        )
        for each in effects
    ]
    header = ("factor", "wires", *(["place"] if many else []), "defence", "attack", "change, points")
    return SortTable("The wire taken apart", header, tuple(shown), len(header) - 1)


def failures(run: SweepRun) -> list[tuple[str, str, str]]:
    """(cell, error, how to run it again) of every failed cell."""
    return [
        (name(run, cell), printable(run.results[cell.run].error, 400), reproduce_line(run, cell))
        for cell in run.cells
        if cell.run in run.results and run.results[cell.run].status != "done"
    ]


def name(run: SweepRun, cell: Cell) -> str:
    """A cell in words."""
    row = {axis: getattr(cell, axis) for axis in AXES}
    axes = [axis for axis in AXES if axis in run.varying]
    return ", ".join(filter(None, [f"{cell.defence} against {cell.attack}", place(row, axes), f"seed {cell.seed}"])) + (
        " (tuning)" if cell.tuning else ""
    )


def reproduce_line(run: SweepRun, cell: Cell) -> str:
    """The command that runs a cell again and compares its bytes."""
    return f"byzantiny reproduce {shlex.quote(str(run.path / RUNS / f'{cell.run}.json'))}"


def reproduce_table(run: SweepRun) -> SortTable:
    """A row a cell that has run, or its first seed alone where there are very many."""
    cells = [cell for cell in run.cells if cell.run in run.results]
    note = ""
    if len(cells) > MOST_CELLS:
        first = {(c.task, c.alpha, c.wire, c.defence, c.attack, c.f, c.f_declared): c for c in reversed(cells)}
        cells = list(reversed(first.values()))
        note = "The first seed of each cell; the runs of the others are in the column `run` of results.csv."
    rows = [
        (word(name(run, cell)), word(run.results[cell.run].status), Value(reproduce_line(run, cell))) for cell in cells
    ]
    return SortTable("How to run each cell again", ("cell", "status", "command"), tuple(rows), 3, note)
