"""Low-bit collapse: on a coarse grid most honest codes are -1, 0 or 1, and a few zeros more make the median stand still.

From this project. Every code sent is 0 or the honest median: the commonest code there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge
from byzantiny.updates import CODE_LIMIT
from byzantiny.updates.aggregate import round_half_away


@dataclass(frozen=True, slots=True)
class LowBitCollapse:
    """Return 0 wherever f zeros make the median of all 0, and the rounded honest median elsewhere; the same from all.

    With h known honest codes and f attackers the median is 0 if at most `(h + f - 1) // 2` codes are above 0 and at most as
    many below.

    Raises:
        AttackError: an unknown knowledge, or one's own update alone.

    >>> honest = np.array([[1, 5], [1, 6], [0, 7]])
    >>> context = AttackContext(honest=honest, n=5, f=2, rng=np.random.default_rng(0))
    >>> LowBitCollapse().craft(context).tolist()[0]
    [0.0, 6.0]
    """

    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "low-bit-collapse"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="low-bit-collapse",
        formula="0 where f zeros make the median 0, else the honest median",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="none; this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        rows = context.known(self.name, self.knowledge)
        most = (len(rows) + context.together - 1) // 2
        collapses = ((rows > 0).sum(axis=0) <= most) & ((rows < 0).sum(axis=0) <= most)
        codes = np.where(collapses, 0.0, round_half_away(np.median(rows, axis=0)))
        return np.tile(np.clip(codes, -CODE_LIMIT, CODE_LIMIT) + 0.0, (context.f, 1))
