"""Accuracy and attack success against the round, for a chosen few: each defence with nobody lying and under its worst attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from byzantiny.charts.style import thin
from byzantiny.report.sweep.load import Row, SweepRun, asr_attack, place, setting_in
from byzantiny.report.sweep.panels import place_of
from byzantiny.scores.records import Result, Series
from byzantiny.scores.statistics import iqm
from byzantiny.scores.tables import CLEAN

MOST_FIGURES = 4
MOST_POINTS = 120


@dataclass(frozen=True)
class Point:
    """The IQM over the scored seeds after one round, and the quartiles."""

    round_num: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curves:
    """One defence: its curves, empty where there are no values."""

    defence: str
    note: str
    """Its f, where not all are drawn at the same."""
    attack: str
    asr_attack: str | None
    """The attack with the highest success rate, whose curve `asr` is."""
    clean: tuple[Point, ...]
    attacked: tuple[Point, ...]
    asr: tuple[Point, ...]
    attack_start: int | None


@dataclass(frozen=True)
class CurveSet:
    """The defences at one place of the other axes."""

    place: str
    rounds: int
    curves: tuple[Curves, ...]


def curve_sets(run: SweepRun) -> list[CurveSet]:
    """One set a task and skew, on the first real wire, each defence at its largest f; at most a few."""
    places: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in _largest(_on_one_wire(run)):
        places.setdefault(place_of(row)[:2], {})[row["defence"]] = row
    order = run.ordered("defence")
    sets = [_set(run, [group[name] for name in order if name in group]) for group in places.values()]
    return [each for each in sets if each.curves][:MOST_FIGURES]


def _on_one_wire(run: SweepRun) -> list[Row]:
    """The defences under attack on the first wire in the grid's order that is no bypass; on the first where all are."""
    rows = [row for row in run.scores["defences"] if row["f"] and row["worst_attack"] is not None]
    real = {row["wire"] for row in run.scores["attacks"] if not row["bypass"]}
    wires = [name for name in run.ordered("wire") if any(row["wire"] == name for row in rows)]
    wire = next((name for name in wires if name in real), wires[0] if wires else None)
    return [row for row in rows if row["wire"] == wire]


def _largest(rows: Sequence[Row]) -> list[Row]:
    """Those with the largest f of their defence and task: some defences cannot have as many liars as others."""
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["defence"], row["task"]
        most[key] = max(most.get(key, 0), row["f"])
    return [row for row in rows if row["f"] == most[row["defence"], row["task"]]]


def _set(run: SweepRun, rows: Sequence[Row]) -> CurveSet:
    one_f = len({row["f"] for row in rows}) == 1
    curves = tuple(each for row in rows if (each := _curves(run, row, named=one_f)).attacked)
    rounds = max((p.round_num for each in curves for p in (*each.clean, *each.attacked)), default=1)
    axes = [axis for axis in run.varying if axis not in {"f", "f_declared"} or one_f]
    return CurveSet(place(rows[0], axes), rounds, curves)


def _curves(run: SweepRun, row: Row, *, named: bool) -> Curves:
    setting, attack, found = setting_in(row), row["worst_attack"], asr_attack(run, row)
    wish = None if found is None else found["attack"]
    lied = run.done(setting, attack)
    return Curves(
        row["defence"],
        "" if named else f"f {row['f']}",
        attack,
        wish,
        _points(run.done(setting, CLEAN), lambda series: series.accuracy),
        _points(lied, lambda series: series.accuracy),
        _points([] if wish is None else run.done(setting, wish), lambda series: series.asr),
        next((result.attack_start for result in lied if result.attack_start), None),
    )


def _points(results: Sequence[Result], of: Callable[[Series], Sequence[float | None]]) -> tuple[Point, ...]:
    columns = [of(result.series) for result in results if result.series is not None]
    found = []
    for index in thin(max(map(len, columns), default=0), MOST_POINTS):
        known = [v for column in columns if index < len(column) and (v := column[index]) is not None]
        if known:
            low, high = np.quantile(known, [0.25, 0.75])
            found.append(Point(index + 1, iqm(known), float(low), float(high)))
    return tuple(found)
