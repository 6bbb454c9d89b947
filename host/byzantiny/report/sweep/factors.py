"""The wire taken apart: what one factor (training, box, rounding, step, adaptation) does to accuracy, all else equal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from byzantiny.report.sweep.load import Row, SweepRun, place
from byzantiny.scores.statistics import Estimate, estimate
from byzantiny.scores.tables import CLEAN, CONTROL

DEFAULTS: dict[str, Any] = {"training": "int8", "box": True, "rounding": "sr", "shift": None, "adapt": False}
"""The keys of a wire and what they are where a grid leaves them out (docs/sweep.md)."""
REAL = "int8"


@dataclass(frozen=True)
class Effect:
    """What going from one wire to another does to a defence under one attack: paired differences over the scored seeds."""

    step: str
    """The factors that differ, in words."""
    wires: tuple[str, str]
    where: str
    defence: str
    attack: str
    worst: bool
    """The attack is the defence's worst on the second wire; else it is nobody's."""
    change: Estimate


def wires_of(run: SweepRun) -> dict[str, dict[str, Any]]:
    """Every wire of the cells with all of its keys, in the grid's order."""
    table: Mapping[str, Mapping[str, Any]] = run.sweep.grid.get("wires") or {}
    return {name: {**DEFAULTS, **{k: v for k, v in table.get(name, {}).items() if k in DEFAULTS}}
            for name in run.ordered("wire")}  # fmt: skip


def steps(wires: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Pairs of wires as (what differs, from, to): all that differ in one factor, and from the control to the real wire.

    The first of a pair has less of the wire: float training, no box, less rounding.

    >>> steps({"int8": DEFAULTS, "no-box": DEFAULTS | {"box": False}})
    [('box', 'no-box', 'int8')]
    """
    found = []
    for a, b in itertools.combinations(wires, 2):
        keys = [key for key in DEFAULTS if wires[a][key] != wires[b][key]]
        if len(keys) == 1 or {a, b} == {CONTROL, REAL}:
            first, second = (b, a) if _wired(wires[a]) > _wired(wires[b]) else (a, b)
            found.append((" and ".join(keys), first, second))
    return found


def _wired(wire: Mapping[str, Any]) -> tuple[bool, bool, int]:
    return wire["training"] == "int8", bool(wire["box"]), ("none", "nearest", "sr").index(wire["rounding"])


def effects(run: SweepRun) -> list[Effect]:
    """Every step's effect on every defence, with nobody lying and under the worst attack on the second wire."""
    rows = {(*_spot(row), row["wire"], row["defence"], row["attack"]): row for row in run.scores["attacks"]}
    worst = {(*_spot(row), row["wire"], row["defence"]): row["worst_attack"] for row in run.scores["defences"]}
    axes = tuple(axis for axis in run.varying if axis != "wire")
    found = []
    for what, first, second in steps(wires_of(run)):
        for key, row in rows.items():
            *_, wire, defence, attack = key
            other = rows.get((*_spot(row), first, defence, attack))
            most = worst.get((*_spot(row), second, defence))
            if wire != second or other is None or not row["f"] or attack not in {CLEAN, most}:
                continue
            change = estimate(_paired(row, other))
            if change is not None:
                found.append(Effect(what, (first, second), place(row, axes), defence, attack, attack != CLEAN, change))
    return found


def _spot(row: Row) -> tuple[Any, ...]:
    return row["task"], row["alpha"], row["f"], row["f_declared"]


def _paired(row: Row, other: Row) -> list[float]:
    return [value - other["by_seed"][seed] for seed, value in row["by_seed"].items() if seed in other["by_seed"]]
