"""The metrics of one run and of a group of runs, as docs/metrics.md defines them: pure functions of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from byzantiny.scores.records import Result
from byzantiny.scores.statistics import iqm

LASTING = 0.5
"""A backdoor is alive in a round whose attack success exceeds its floor by this."""


def tail(values: Sequence[float | None]) -> float | None:
    """Return the mean over the last tenth of the rounds that have a value, at least one; None where none has.

    >>> tail([0.1] * 18 + [0.8, 0.9]), tail([None])
    (0.8500000000000001, None)
    """
    present = [value for value in values if value is not None]
    last = present[-max(1, len(present) // 10) :]
    return sum(last) / len(last) if last else None


def accuracy(result: Result) -> float | None:
    """Return the run's accuracy: over the last tenth of the rounds."""
    return None if result.series is None else tail(result.series.accuracy)


def attack_success(result: Result) -> float | None:
    """Return the run's attack success rate over the last tenth of the rounds; None without probes."""
    return None if result.series is None else tail(result.series.asr)


def denial_rate(result: Result) -> float | None:
    """Return the share of rounds that closed without an aggregate."""
    if result.series is None or not result.series.aggregated:
        return None
    return 1.0 - sum(result.series.aggregated) / len(result.series.aggregated)


def rejection_rate(result: Result, stratum: str = "honest") -> float | None:
    """Return the share of accepted honest updates that the defence set aside, in rounds with an aggregate.

    `stratum`: `honest`, or `minority`, the quarter of the honest clients whose labels are least like everybody's.
    """
    if result.series is None:
        return None
    there = sum(_where(result, getattr(result.series, stratum)))
    kept = sum(_where(result, getattr(result.series, f"{stratum}_kept")))
    return 1.0 - kept / there if there else None


def detection(result: Result) -> tuple[float | None, float | None]:
    """Return (precision, recall) of setting updates aside as a detector of liars, in rounds since the attack began.

    Precision is None where nothing was set aside, recall where nobody lied.
    """
    if result.series is None:
        return None, None
    began = (result.attack_start or 1) - 1
    lies, lies_kept, honest, honest_kept = (
        sum(_where(result, values)[began:]) if began < len(values) else 0
        for values in (
            result.series.byzantine,
            result.series.byzantine_kept,
            result.series.honest,
            result.series.honest_kept,
        )
    )
    caught, wronged = lies - lies_kept, honest - honest_kept
    precision = caught / (caught + wronged) if caught + wronged else None
    return precision, caught / lies if lies else None


def _where(result: Result, values: Sequence[int]) -> list[int]:
    """The counts of a round with an aggregate; 0 of any other, in which nobody was judged."""
    assert result.series is not None
    return [value if done else 0 for value, done in zip(values, result.series.aggregated, strict=True)]


def diverged(result: Result) -> bool | None:
    """Return whether the run learned nothing: no better at its end than always answering the commonest class."""
    final = accuracy(result)
    return None if final is None else final <= result.chance


def lifespan(result: Result, left_after: int, floor: float = 0.0) -> int | None:
    """Return for how many rounds after round `left_after`, the attackers' last, the success stayed above floor + .5.

    The last such round counts, whatever lies between; None without probes.
    """
    if result.series is None or all(value is None for value in result.series.asr):
        return None
    alive = [
        number
        for number, value in enumerate(result.series.asr, 1)
        if number > left_after and value is not None and value > floor + LASTING
    ]
    return max(alive) - left_after if alive else 0


def impact(clean: Sequence[float], attacked: Sequence[float]) -> float | None:
    """Return the attack's impact on one defence: the IQM over paired seeds of clean less attacked accuracy.

    >>> round(impact([0.9, 0.8], [0.5, 0.6]), 3)
    0.3
    """
    pairs = list(zip(clean, attacked, strict=True))
    return iqm([a - b for a, b in pairs]) if pairs else None


def cost_of_caution(unguarded: Sequence[float], guarded: Sequence[float]) -> float | None:
    """Return what declaring f costs when nobody lies: accuracy with f_declared = 0 less that with f_declared = f, paired."""
    return impact(unguarded, guarded)


def worst_attack(tuning: Mapping[str, Sequence[float]]) -> str | None:
    """Return the attack with the lowest IQM of accuracy on the tuning seeds; of equal ones the first by name.

    >>> worst_attack({"alie": [0.4, 0.5], "ipm": [0.9, 0.8]})
    'alie'
    """
    known = {name: iqm(values) for name, values in tuning.items() if len(values)}
    return min(sorted(known), key=known.__getitem__) if known else None
