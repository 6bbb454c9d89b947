"""The tables of benchmarks/study_effects.py, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from byzantiny.scores.statistics import estimate
from effects.runs import ATTACKED, MOST_F


def shown(values: Sequence[float | None]) -> str:
    """The interquartile mean and its interval, in per cent."""
    found = estimate([value for value in values if value is not None])
    if found is None:
        return "-"
    value, *ends = (
        f"{round(100 * number, 1) + 0.0:.1f}" for number in (found.value, found.low, found.high) if number is not None
    )  # fmt: skip
    return value if len(set(ends)) < 2 else f"{value} ({ends[0]} .. {ends[1]})"


def counted(values: Sequence[int | None], beyond: str) -> str:
    """The median of counts, and their range, where None is more than was tried."""
    ordered = sorted(values, key=lambda value: float("inf") if value is None else value)
    said = [beyond if value is None else str(value) for value in ordered]
    low, middle, high = said[0], said[(len(said) - 1) // 2], said[-1]
    return middle if low == high else f"{middle} ({low} .. {high})"


def grid_of(header: str, rows: list[list[str]]) -> str:
    lines = [f"| {header} |", "|" + "---|" * (header.count("|") + 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def print_factors(rows: list[dict[str, Any]]) -> str:
    """One shot and MPAF, wire by wire, and what each factor does."""
    wires = grid_of(
        "training | box | rounding | codes beyond the box, % | ASR after one shot, % | accuracy then, % | ASR 10 rounds later, %"
        " | of 100: beyond the box, % | of 100: ASR after one shot, % | MPAF x10, accuracy, % | MPAF x100 of 100, accuracy, %",
        [[*_wire(row), *(shown(row[key]) for key in _FACTOR_KEYS)] for row in rows],
    )
    changes = grid_of(
        "factor | ASR after one shot, points | of 100: ASR after one shot | MPAF x10, accuracy | MPAF x100 of 100, accuracy",
        changes_of(rows, ("asr", "asr_many", "mpaf", "mpaf_many")),
    )
    return f"{wires}\n\n{changes}"


def print_alie(rows: list[dict[str, Any]]) -> str:
    """ALIE against the median, wire by wire, and what each factor does."""
    keys = ("clean", "accuracy", "lost")
    wires = grid_of(
        "training | box | rounding | accuracy unattacked, % | accuracy, % | lost, points",
        [[*_wire(row), *(shown(row[key]) for key in keys)] for row in rows],
    )
    changes = grid_of("factor | accuracy unattacked, points | accuracy | lost", changes_of(rows, keys))
    return f"{wires}\n\n{changes}"


def _wire(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["training"], "yes" if row["box"] else "no", row["rounding"]


def changes_of(rows: list[dict[str, Any]], keys: Sequence[str]) -> list[list[str]]:
    """What each factor does by itself to numbers, paired by seed and by the other two factors."""
    by_wire = {(row["training"], row["box"], row["rounding"]): row for row in rows}
    found = []
    for name, index, before, after in _CHANGES:
        pairs = [
            (row, by_wire[_with(wire, index, after)])
            for wire, row in by_wire.items()
            if wire[index] == before and _with(wire, index, after) in by_wire
        ]
        if pairs:
            seeds = range(len(pairs[0][0][keys[0]]))
            cells = [shown([float(np.mean([b[key][s] - a[key][s] for a, b in pairs])) for s in seeds]) for key in keys]
            found.append([name, *cells])
    return found


_FACTOR_KEYS = ("saturated", "asr", "accuracy", "asr_later", "saturated_many", "asr_many", "mpaf", "mpaf_many")
_CHANGES = (
    ("training: float to int8", 0, "float", "int8"),
    ("box: off to on", 1, False, True),
    ("rounding: none to nearest", 2, "none", "nearest"),
    ("rounding: none to stochastic", 2, "none", "sr"),
)


def _with(wire: tuple[Any, ...], index: int, part: Any) -> tuple[Any, ...]:
    return (*wire[:index], part, *wire[index + 1 :])


def print_effects(rows: list[dict[str, Any]]) -> str:
    """A line an attack and wire."""
    return grid_of(
        "attack | f | rule | wire | accuracy unattacked, % | accuracy, % | ASR floor, % | ASR, % | rounds to ASR 50 %"
        " | smallest f that harms | codes beyond the box, % | rounds in which Krum took an attacker, %",
        [
            [
                row["attack"], str(row["f"]), row["rule"], row["wire"], shown(row["clean"]), shown(row["accuracy"]),
                shown(row["floor"]), shown(row["asr"]),
                "-" if row["asr"][0] is None else counted(row["to_half"], f"> {ATTACKED}"),
                counted(row["smallest_f"], f"> {MOST_F}"), shown(row["saturated"]),
                shown(row["kept"]) if row["rule"] == "krum" else "-",
            ]
            for row in rows
        ],
    )  # fmt: skip


def print_start(rows: list[dict[str, Any]]) -> str:
    """ASR and accuracy by honest rounds since."""
    marks = [key.removeprefix("asr_") for key in rows[0] if key.startswith("asr_")]
    head = [f"ASR after {mark}, %" for mark in marks] + [f"accuracy after {mark}, %" for mark in marks]
    return grid_of(
        f"wire | rule | shares it has | ASR floor, % | accuracy unattacked, % | {' | '.join(head)}",
        [
            [
                row["wire"], row["rule"], str(row["f"]), shown(row["floor"]), shown(row["clean"]),
                *(shown(row[f"asr_{mark}"]) for mark in marks), *(shown(row[f"accuracy_{mark}"]) for mark in marks),
            ]
            for row in rows
        ],
    )  # fmt: skip
