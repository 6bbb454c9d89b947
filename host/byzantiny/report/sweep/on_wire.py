"""The table of attacks on the manifest, on links and on the way down: what met them, and what they left."""

from __future__ import annotations

from collections.abc import Mapping

from byzantiny.report.sweep.load import AXES, Row, SweepRun
from byzantiny.report.sweep.tables import SortTable, Value, number, points, share, told, word

LEFT = {
    "honest": "what there was without it",
    "silent": "a round without these clients",
    "lies": "a lie for each key it has",
}
"""What the card of an attack says it leaves of a round."""


def wire_table(run: SweepRun) -> SortTable | None:
    """A row a setting and attack; None where the grid has no such attack."""
    rows = run.scores.get("on_wire", [])
    if not rows:
        return None
    axes = [axis for axis in ("task", "alpha", "wire", "f") if axis in AXES and len({row[axis] for row in rows}) > 1]
    shown = [
        (
            word(row["attack"]),
            word(row["defence"]),
            *(_axis(row, axis) for axis in axes),
            Value(_refused(row["refused"]), key=str(sum(row["refused"].values()))),
            word(LEFT[row["leaves"]]),
            share(row["lies_taken"]),
            share(row["honest_taken"]),
            share(row["denial_rate"]),
            points(row["impact"]),
            _seconds(row["open_s"]),
        )
        for row in rows
    ]
    header = ("attack", "defence", *axes, "refused", "leaves, by its card", "its clients taken", "others taken", "denial",
              "impact, points", "round open, s")  # fmt: skip
    return told(SortTable("Attacks on the wire", header, tuple(shown), len(axes) + 4))


def _axis(row: Row, axis: str) -> Value:
    value = row[axis]
    return word(value) if isinstance(value, str) else number(value, "base" if value is None else f"{value:g}")


def _refused(counts: Mapping[str, int]) -> str:
    """Say what was refused, by name.

    >>> _refused({"rejected:bad_tag": 3, "missing": 1}), _refused({})
    ('bad tag × 3, missing × 1', 'nothing')
    """
    said = [f"{name.removeprefix('rejected:').replace('_', ' ')} × {count}" for name, count in counts.items()]
    return ", ".join(said) or "nothing"


def _seconds(value: float | None) -> Value:
    return number(value, "–" if value is None else f"{value:.2f}")
