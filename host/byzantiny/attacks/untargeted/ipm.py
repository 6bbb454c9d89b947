"""IPM, inner product manipulation, also "Empire" or "fall of empires": the honest mean, negated and scaled.

Xie, Koyejo, Gupta. Fall of empires: breaking Byzantine-tolerant SGD by inner product manipulation. UAI 2019,
arXiv 1903.03936.
Differs from the paper: nothing. Two regimes go by this name and both are worth running: epsilon below 1 (the paper;
FLPoison and Blades .1) stays inside the honest spread and turns rules that pick or average near rows; a large one
(ByzFL 2, Blades 100) turns the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.attacks.base import KNOWLEDGE, AttackContext, AttackError, AttackInfo, Knowledge


@dataclass(frozen=True, slots=True)
class IPM:
    """Return `-epsilon * mean` of the updates it knows, the same row from every attacker.

    `knowledge="omniscient"` takes the mean of the honest clients' updates, `"colluding"` that of the attackers' own.

    Raises:
        AttackError: an epsilon that is not a finite number above 0, or knowledge of one's own update alone.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> IPM(epsilon=2.0).craft(context).tolist()
    [[-8.0, -10.0, -12.0]]
    """

    epsilon: float = 0.1
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "ipm"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="ipm",
        formula="-epsilon * mean of the known updates",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Xie et al., UAI 2019, arXiv 1903.03936",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if not (isinstance(self.epsilon, (int, float)) and math.isfinite(self.epsilon) and self.epsilon > 0):
            raise AttackError(f"ipm: epsilon is {self.epsilon!r}; it must be finite and above 0")
        if self.knowledge not in KNOWLEDGE[1:]:
            raise AttackError(f"ipm: knowledge is {self.knowledge!r}; it must be one of {', '.join(KNOWLEDGE[1:])}")

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest" if self.knowledge == "omniscient" else "own")
        return np.tile(-self.epsilon * (kernels.float_column_sum(rows) / len(rows)), (context.f, 1))
