"""Optimised IPM: epsilon is searched against the deployed defence.

Xie et al., UAI 2019, arXiv 1903.03936 (the form); the search against a defence is after ByzFL's (arXiv 2505.24802).
Differs from ByzFL: the search is not caught on plateaus (byzantiny.attacks.search); every candidate is put on the grid before the
defence sees it, and what is sent is that integer row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.deployed import Target
from byzantiny.attacks.geometry import mean
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.search import EVALUATIONS


@dataclass(frozen=True, slots=True)
class OptimalIPM:
    """Return `-epsilon * mean` with the epsilon that moves the defence's aggregate farthest from the mean.

    Raises:
        AttackError: fewer than 2 evaluations; from `craft`, no defence.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> mean_of = lambda codes: codes.mean(axis=0)
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0), defence=mean_of)
    >>> OptimalIPM().craft(context).tolist()
    [[-127.0, -127.0, -127.0]]
    """

    evaluations: int = EVALUATIONS

    name: ClassVar[str] = "optimal-ipm"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="optimal-ipm",
        formula="-epsilon * mean, epsilon maximises ||defence(attacked) - mean||",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Xie et al., UAI 2019; ByzFL, arXiv 2505.24802",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "evaluations", self.evaluations, 2)

    @property
    def knowledge(self) -> Knowledge:
        """Everyone's updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        rows = context.need(self.name, "honest")
        target, middle = Target(context, self.name, rows), mean(rows)
        epsilon = target.best_along(np.zeros_like(middle), -middle, self.evaluations)
        return np.tile(on_grid(context, -epsilon * middle), (context.f, 1))
