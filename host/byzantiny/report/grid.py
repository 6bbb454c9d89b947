"""How an arm's grid moved: the shift of every tensor, round by round, in each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from byzantiny.report.arms import ArmSummary
from byzantiny.report.run import Run


@dataclass(frozen=True)
class TensorPath:
    """The shifts of one tensor from round 1 on, one sequence a seed."""

    tensor: str
    seeds: tuple[tuple[int, ...], ...]

    @property
    def moves(self) -> int:
        """Steps made, over all seeds."""
        return sum(before != after for path in self.seeds for before, after in pairwise(path))


def tensor_paths(run: Run, arm: str) -> list[TensorPath]:
    """One path a tensor, in layout order; none where the arm's grid is fixed."""
    seeds = [[row.shifts for row in run.rounds[arm, seed]] for seed in run.seeds_of(arm)]
    count = min((len(shifts) for rows in seeds for shifts in rows), default=0)
    known = next((info.tensors for info in run.arms if info.name == arm and info.tensors), run.manifest.tensors)
    names = [*known[:count], *(f"tensor {t}" for t in range(len(known), count))]
    return [
        TensorPath(name, tuple(tuple(shifts[t] for shifts in rows) for rows in seeds)) for t, name in enumerate(names)
    ]


def adapted(run: Run, arms: Sequence[ArmSummary]) -> list[tuple[int, ArmSummary, list[TensorPath]]]:
    """The arms whose grid adapts, with their place among all arms."""
    found = [(index, arm, tensor_paths(run, arm.info.name)) for index, arm in enumerate(arms)]
    return [each for each in found if each[2]]
