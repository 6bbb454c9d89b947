"""Saturate against the mean: the largest code the wire has, against the sign of what is known.

From no paper: on a grid with an edge it is the strongest attack that needs no search. On this wire it took the median of a
prototype to 36 to 57 % where the sign flip times four left 62 to 96 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_number
from byzantiny.attacks.geometry import mean
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class Saturate:
    """Return `-reach * sign(mean)` of the updates it knows, the same row from every attacker; 0 where the mean is 0.

    `knowledge="own"` takes each attacker's own update for the mean.

    Raises:
        AttackError: a reach outside (0, 127], or an unknown knowledge.

    >>> own = np.array([[3, -4, 0], [1, -2, 0]])
    >>> context = AttackContext(honest=None, n=6, f=2, rng=np.random.default_rng(0), own=own)
    >>> Saturate().craft(context).tolist()[0]
    [-127.0, 127.0, 0.0]
    """

    reach: float = float(CODE_LIMIT)
    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "saturate"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="saturate",
        formula="-127 sign(mean of the known updates)",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; SPEC 3 and docs/robustness.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "reach", self.reach, 0, CODE_LIMIT)
        require_knowledge(self.name, self.knowledge, own=True)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.known(self.name, self.knowledge)
        if self.knowledge == "own":
            return -self.reach * np.sign(rows) + 0.0  # no -0
        return np.tile(-self.reach * np.sign(mean(rows)) + 0.0, (context.f, 1))
