"""Accuracy and attack success against the round, for a chosen few: each defence with nobody lying and under its worst attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from byzantiny.charts.style import thin
from byzantiny.report.sweep.load import SweepRun, asr_attack, place, setting_in
from byzantiny.report.sweep.panels import place_of
from byzantiny.scores.records import Series
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
    """One set a task and skew, on the first real wire at the largest f, at most a few; else on what wire there is."""
    import numpy as np

    def points(results: Sequence[Any], of: Callable[[Series], Sequence[float | None]]) -> tuple[Point, ...]:
        columns = [of(result.series) for result in results if result.series is not None]
        found = []
        for index in thin(max(map(len, columns), default=0), MOST_POINTS):
            known = [v for column in columns if index < len(column) and (v := column[index]) is not None]
            if known:
                low, high = np.quantile(known, [0.25, 0.75])
                found.append(Point(index + 1, iqm(known), float(low), float(high)))
        return tuple(found)

    rows = [row for row in run.scores["defences"] if row["f"] and row["worst_attack"] is not None]
    real = {row["wire"] for row in run.scores["attacks"] if not row["bypass"]}
    wires = [name for name in run.ordered("wire") if any(row["wire"] == name for row in rows)]
    wire = next((name for name in wires if name in real), wires[0] if wires else None)
    rows = [row for row in rows if row["wire"] == wire]
    places: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        largest = max(each["f"] for each in rows if each["defence"] == row["defence"] and each["task"] == row["task"])
        if row["f"] == largest:
            key = place_of(row)[:2]
            places.setdefault(key, []).append(row)
    sets = []
    for group in places.values():
        kept = list({row["defence"]: row for row in group}.values())
        kept.sort(key=lambda row: run.ordered("defence").index(row["defence"]))
        curves = []
        for row in kept:
            setting, attack = setting_in(row), row["worst_attack"]
            lied = run.done(setting, attack)
            found = asr_attack(run, row)
            wish = None if found is None else found["attack"]
            start = next((result.attack_start for result in lied if result.attack_start), None)
            shown = f"{row['defence']}, f {row['f']}" if len({each["f"] for each in kept}) > 1 else row["defence"]
            accuracy, asr = (lambda s: s.accuracy), (lambda s: s.asr)
            curves.append(
                Curves(
                    shown,
                    attack,
                    wish,
                    points(run.done(setting, CLEAN), accuracy),
                    points(lied, accuracy),
                    points([] if wish is None else run.done(setting, wish), asr),
                    start,
                )
            )
        axes = [axis for axis in run.varying if axis != "f" or len({row["f"] for row in kept}) == 1]
        rounds = max((p.round_num for c in curves for p in (*c.clean, *c.attacked)), default=1)
        sets.append(CurveSet(place(kept[0], axes), rounds, tuple(c for c in curves if c.attacked)))
    return [each for each in sets if each.curves][:MOST_FIGURES]
