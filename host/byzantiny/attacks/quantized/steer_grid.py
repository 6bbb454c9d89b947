"""Steering the grid: send codes that ask the coordinator for another step, so that honest updates saturate or drown.

The attack on adaptive grids that this project's own adaptation has to withstand (docs/grid.md); from no paper. A
saturated row is also the largest lie the wire allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.updates import CODE_LIMIT

TOWARDS = ("coarse", "fine", "both")


@dataclass(frozen=True, slots=True)
class SteerGrid:
    """Return `-127 sign(x_own)` (+127 where it is 0), which asks for a coarser step, or zeros, which ask for a finer one.

    `towards = "both"` sends one and the other in turn, `period` rounds each, to make the grid swing.

    Raises:
        AttackError: a direction that is none, a period below 1; from `craft`, no round number to take turns by.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 0]]))
    >>> SteerGrid().craft(context).tolist(), SteerGrid(towards="fine").craft(context).tolist()
    ([[-127.0, 127.0, 127.0]], [[0.0, 0.0, 0.0]])
    """

    towards: Literal["coarse", "fine", "both"] = "coarse"
    period: int = 3

    name: ClassVar[str] = "steer-grid"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="steer-grid",
        formula="-127 sign(x_own), or 0: what asks for a coarser, or a finer, grid",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="none; docs/grid.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.towards not in TOWARDS:
            raise AttackError(f"steer-grid: towards is {self.towards!r}; it must be one of {', '.join(TOWARDS)}")
        if not isinstance(self.period, int) or isinstance(self.period, bool) or self.period < 1:
            raise AttackError(f"steer-grid: period is {self.period!r}; it is a count of rounds, an integer from 1")

    @property
    def knowledge(self) -> Knowledge:
        """Its own update."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own = context.need(self.name, "own")
        towards = self.towards
        if towards == "both":
            if context.round_num is None:
                raise AttackError("steer-grid takes turns by the round, and this context has no `round_num`; set it")
            towards = "fine" if (context.round_num - 1) // self.period % 2 else "coarse"
        return np.zeros(own.shape) if towards == "fine" else np.where(own > 0, -float(CODE_LIMIT), float(CODE_LIMIT))
