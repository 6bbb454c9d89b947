"""Optimised ALIE: the deviation factor is searched against the deployed defence.

Baruch et al., NeurIPS 2019, arXiv 1902.06156 (the form); Shejwalkar, Houmansadr. Manipulating the Byzantine. NDSS 2021 (the
defence in the loop); the search against a defence is after ByzFL's (arXiv 2505.24802).
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
from byzantiny.attacks.geometry import deviation, mean
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.search import EVALUATIONS


@dataclass(frozen=True, slots=True)
class OptimalALIE:
    """Return `mean + z * std` with the z, of either sign, that moves the defence's aggregate farthest from the mean.

    Raises:
        AttackError: fewer than 2 evaluations, a ddof that is none; from `craft`, no defence.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> mean_of = lambda codes: codes.mean(axis=0)
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0), defence=mean_of)
    >>> np.abs(OptimalALIE().craft(context)).tolist()
    [[127.0, 127.0, 127.0]]
    """

    evaluations: int = EVALUATIONS
    ddof: int = 1

    name: ClassVar[str] = "optimal-alie"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="optimal-alie",
        formula="mean + z * std, z maximises ||defence(attacked) - mean||",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Baruch et al., NeurIPS 2019; ByzFL, arXiv 2505.24802",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "evaluations", self.evaluations, 2)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    @property
    def knowledge(self) -> Knowledge:
        """Everyone's updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        rows = context.need(self.name, "honest")
        target, middle = Target(context, self.name, rows), mean(rows)
        spread = deviation(self.name, rows, self.ddof)
        best = [side * target.best_along(middle, side * spread, self.evaluations) for side in (1.0, -1.0)]
        z = max(best, key=lambda z: target.harm(middle + z * spread))
        return np.tile(on_grid(context, middle + z * spread), (context.f, 1))
