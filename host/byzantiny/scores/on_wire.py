"""What became of attacks on the manifest, on links and on the way down: these are to be refused, not ranked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from byzantiny.scores import metrics
from byzantiny.scores.records import Cell, Result

Results = Mapping[str, Result]


def is_on_wire(result: Result) -> bool:
    """Whether the run's attack exists on a wire alone."""
    return bool(result.leaves)


def wire_row(attack: str, cells: Sequence[Cell], clean: Sequence[Cell], results: Results) -> dict[str, Any] | None:
    """Return what one attack on the wire came to in one setting, over its scored seeds; None without any.

    `refused`: by name, over all seeds. `lies_taken`, `honest_taken`: accepted updates of the clients it holds, and of the
    others, over those that a round without it would have had.
    """
    done = [results[cell.run] for cell in cells if not cell.tuning]
    if not done:
        return None
    refused = Counter[str]()
    for result in done:
        refused.update(result.refusals)
    untouched = {cell.seed: metrics.accuracy(results[cell.run]) for cell in clean if not cell.tuning}
    touched = {cell.seed: metrics.accuracy(results[cell.run]) for cell in cells if not cell.tuning}
    pairs = [
        (before, after)
        for seed, after in sorted(touched.items())
        if after is not None and (before := untouched.get(seed)) is not None
    ]
    held = cells[0].f
    rates = [rate for rate in map(metrics.denial_rate, done) if rate is not None]
    waits = [result.open_s for result in done if result.open_s is not None]
    return {
        "attack": attack,
        "leaves": done[0].leaves,
        "answer": list(done[0].answer),
        "refused": dict(sorted(refused.items())),
        "lies_taken": _share([(sum(r.series.byzantine), held * len(r.series.byzantine)) for r in done if r.series]),
        "honest_taken": _share(
            [(sum(r.series.honest), (r.cohort - held) * len(r.series.honest)) for r in done if r.series]
        ),
        "impact": metrics.impact([a for a, _ in pairs], [b for _, b in pairs]),
        "denial_rate": sum(rates) / len(rates) if rates else None,
        "open_s": max(waits) if waits else None,
        "seeds": len(done),
    }


def _share(counts: Sequence[tuple[int, int]]) -> float | None:
    whole = sum(of for _, of in counts)
    return sum(part for part, _ in counts) / whole if whole else None
