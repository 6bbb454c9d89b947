"""Saturate against the mean: the largest row the wire can carry, against the direction in which honest clients learn.

From no paper: on an int8 wire the sign of the known mean times 127 is the corner of the box that is farthest from it. On
digits it took the median to 36-57 % where sign flip x4 left 62-96 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge
from byzantiny.attacks.geometry import mean
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class SaturateMean:
    """Return `-127 sign(mean)` of the updates it knows, the same row from every attacker; 0 where the mean is 0.

    `knowledge="colluding"` takes the mean of the attackers' own updates, `"omniscient"` that of the honest clients'.

    Raises:
        AttackError: an unknown knowledge.

    >>> own = np.array([[3, -4, 0], [5, -2, 0]])
    >>> context = AttackContext(honest=None, n=7, f=2, rng=np.random.default_rng(0), own=own)
    >>> SaturateMean().craft(context).tolist()[0]
    [-127.0, 127.0, 0.0]
    """

    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "saturate-mean"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="saturate-mean",
        formula="-127 sign(mean of the known updates)",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; the corner of the int8 box against the mean",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        middle = mean(context.known(self.name, self.knowledge))
        return np.tile(-CODE_LIMIT * np.sign(middle) + 0.0, (context.f, 1))
