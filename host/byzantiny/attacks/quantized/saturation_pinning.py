"""Saturation pinning: as many codes at +-127 as the announced bound allows, where honest clients move most; the rest honest.

From no paper: the wire's saturation is a limit an attacker may use up in few coordinates, where the sum of a mean, and the
tail that a trimmed mean drops, are decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_share
from byzantiny.attacks.geometry import mean
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class SaturationPinning:
    """Return `-127 sign(mean)` in the coordinates of the largest |mean|, the attackers' own codes elsewhere.

    So many as `share` of d, and as the announced L2 bound allows: the row is within it.

    Raises:
        AttackError: a share outside 0 .. 1, or an unknown knowledge.

    >>> context = AttackContext(None, n=5, f=1, rng=np.random.default_rng(0), own=np.array([[30, -4, 2, 1]]), l2_bound=130)
    >>> SaturationPinning(share=0.5).craft(context).tolist()
    [[-127.0, -4.0, 2.0, 1.0]]
    """

    share: float = 0.05
    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "saturation-pinning"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="saturation-pinning",
        formula="-127 sign(mean) where |mean| is largest, x_own elsewhere; as many as the bound allows",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; docs/attacks.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "share", self.share)
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own, middle = context.need(self.name, "own"), mean(context.known(self.name, self.knowledge))
        weight = np.broadcast_to(np.asarray(context.scale) ** 2, middle.shape)
        order = np.argsort(-np.abs(middle), kind="stable")[: int(self.share * len(middle))]
        rows = own.copy()
        for row in rows:
            chosen = order
            if context.l2_bound:
                # The squared length after pinning the first k: what is spent on them, and what the others keep.
                spent = np.cumsum(weight[order] * (CODE_LIMIT**2 - row[order] ** 2)) + float((weight * row * row).sum())
                chosen = order[: int(np.searchsorted(spent, context.l2_bound**2, side="right"))]
            row[chosen] = -CODE_LIMIT * np.sign(middle[chosen])
        return np.asarray(rows + 0.0)
