"""Update norms per round: honest and Byzantine clients apart, as median and range over clients and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from byzantiny.report.run import Run


@dataclass(frozen=True)
class NormPoint:
    """Norms of one group in one round, in steps of e_min of the first grid."""

    round_num: int
    low: float
    median: float
    high: float


def norm_curve(run: Run, arm: str, *, byzantine: bool) -> list[NormPoint]:
    """The group's curve; rounds in which it sent nothing are left out."""
    norms: dict[int, list[float]] = {}
    for seed in run.manifest.seeds:
        for row in run.clients.get((arm, seed), ()):
            if row.byzantine == byzantine and row.norm_steps is not None:
                norms.setdefault(row.round_num, []).append(row.norm_steps)
    return [
        NormPoint(number, min(values), float(np.median(values)), max(values))
        for number, values in sorted(norms.items())
    ]
