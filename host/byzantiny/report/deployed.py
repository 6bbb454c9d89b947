"""The deployed model in a run's files: three forms, classes, clients, attack success with its floor, bits and arithmetics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from byzantiny.records import RoundRow
from byzantiny.report.run import Run
from byzantiny.report.statistics import last_tenth
from byzantiny.report.text import printable

Share = Callable[[RoundRow], float | None]
FORMS: dict[str, Share] = {
    "float control": lambda row: row.accuracy_float,
    "integers": lambda row: row.accuracy,
    "exported": lambda row: row.accuracy_exported,
}
STRATA: dict[str, Share] = {
    "mean": lambda row: row.honest_mean,
    "10 % quantile": lambda row: row.honest_p10,
    "worst": lambda row: row.honest_min,
}


def asr_of(row: RoundRow) -> float | None:
    """The deployed model's attack success rate: the exported one's where it was run, else the integer one's."""
    return row.asr if row.asr_exported is None else row.asr_exported


def evaluated(run: Run) -> bool:
    """Whether any round tells more than the integer model's score."""
    rows = (row for rows in run.rounds.values() for row in rows)
    return any(
        row.accuracy_float is not None or row.accuracy_exported is not None or row.asr is not None for row in rows
    )


def figure_of(run: Run, arm: str, share: Share) -> float | None:
    """The mean over the last tenth of the rounds, then over the seeds, as the figure of an arm is."""
    found = [last_tenth([share(row) for row in run.rounds[arm, seed]]) for seed in run.seeds_of(arm)]
    known = [value for value in found if value is not None]
    return math.fsum(known) / len(known) if known else None


def last_rows(run: Run, arm: str) -> list[RoundRow]:
    """The last round that was evaluated, one a seed."""
    rows = ([row for row in run.rounds[arm, seed] if row.accuracy is not None] for seed in run.seeds_of(arm))
    return [each[-1] for each in rows if each]


def class_recalls(run: Run, arm: str) -> list[tuple[str, float]]:
    """(class, recall of the deployed model after the last round, mean over seeds), for classes that have test samples."""
    columns = [row.recall for row in last_rows(run, arm) if row.recall]
    count = min(map(len, columns), default=0)
    names = [*run.manifest.class_names[:count], *map(str, range(len(run.manifest.class_names), count))]
    found = []
    for i, name in enumerate(names):
        known = [value for column in columns if (value := column[i]) is not None]
        if known:
            found.append((printable(name, 18), math.fsum(known) / len(known)))
    return found


@dataclass(frozen=True)
class Floor:
    """What a model that nobody attacked gives on an arm's probes, mean over seeds; `source` says which model."""

    rate: float
    source: str


def asr_floor(run: Run, arm: str) -> Floor | None:
    """The floor of an arm's attack success: of the first arm left alone, else of the run's first models."""
    for other in run.arms:
        rates = [row.last.asr_of[arm] for row in last_rows(run, other.name) if row.last and arm in row.last.asr_of]
        if rates:
            return Floor(math.fsum(rates) / len(rates), f"“{other.title or other.name}”")
    rates = [row.last.asr_initial for row in last_rows(run, arm) if row.last and row.last.asr_initial is not None]
    return Floor(math.fsum(rates) / len(rates), "the untrained first model") if rates else None


def probed(run: Run) -> list[str]:
    """The names of the arms whose attack has probes."""
    return [arm.name for arm in run.arms if figure_of(run, arm.name, asr_of) is not None]


def answered_by(run: Run) -> list[tuple[str, str]]:
    """Every (interpreter, arithmetic) that answered for an exported model."""
    rows = (row for rows in run.rounds.values() for row in rows)
    return sorted({(printable(row.interpreter, 80), row.arithmetic) for row in rows if row.interpreter})


def agreement(run: Run) -> tuple[int, int]:
    """In how many of the rounds with an exported model it scored as the integers did, on test samples and probes."""
    rows = [row for rows in run.rounds.values() for row in rows if row.accuracy_exported is not None]
    return sum((row.accuracy, row.asr) == (row.accuracy_exported, row.asr_exported) for row in rows), len(rows)


@dataclass(frozen=True)
class Cell:
    """One number of bits in one arithmetic, mean over seeds."""

    bits: int
    arithmetic: str
    weight_bytes: int
    accuracy: float
    asr: float | None


def axes(run: Run, arm: str) -> list[Cell]:
    """An arm's last models with fewer bits and in other arithmetics, in the order of the experiment."""
    cells: dict[tuple[int, str, int], list[tuple[float, float | None]]] = {}
    for row in last_rows(run, arm):
        for axis in row.last.axes if row.last else ():
            cells.setdefault((axis.bits, axis.arithmetic, axis.weight_bytes), []).append((axis.accuracy, axis.asr))
    return [
        Cell(*key, _mean([a for a, _ in found]), _mean_known([r for _, r in found])) for key, found in cells.items()
    ]


def confusions(run: Run, arm: str) -> list[tuple[str, str, int]]:
    """(true class, answer, test samples) of the deployed models' mistakes after the last round, summed over seeds, most first."""
    names = run.manifest.class_names
    counted: dict[tuple[int, int], int] = {}
    for row in last_rows(run, arm):
        for i, counts in enumerate(row.last.confusion if row.last else ()):
            for j, count in enumerate(counts):
                if i != j and count:
                    counted[i, j] = counted.get((i, j), 0) + count
    ranked = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return [(_name(names, i), _name(names, j), count) for (i, j), count in ranked]


def _name(names: Sequence[str], index: int) -> str:
    return printable(names[index], 18) if index < len(names) else str(index)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
