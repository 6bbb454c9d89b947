"""Sign flip: send the opposite of an honest update.

Li, Xu, Chen, Giannakis, Ling. RSA: Byzantine-robust stochastic aggregation methods for distributed learning from
heterogeneous datasets. AAAI 2019, arXiv 1811.03761.
Differs from the paper: a scale, and a choice of whose update is flipped. Public implementations differ in that
choice (ByzFL flips the honest mean; ByzPy, FLPoison and Blades the attacker's own); own is the default.
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
class SignFlip:
    """Return `-scale * x_own` for each attacker, or `-scale * mean` of what it knows, the same from all.

    `knowledge="colluding"` flips the mean of the attackers' own honest updates, `"omniscient"` that of the honest
    clients' updates.

    Raises:
        AttackError: a scale that is not a finite number above 0, or an unknown knowledge.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4]]))
    >>> SignFlip(scale=2.0).craft(context).tolist()
    [[-6.0, 8.0]]
    """

    scale: float = 1.0
    knowledge: Knowledge = "own"

    name: ClassVar[str] = "sign-flip"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="sign-flip",
        formula="-scale * x_own; colluding, omniscient: -scale * mean of the known updates",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Li et al., AAAI 2019, arXiv 1811.03761",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise AttackError(f"sign-flip: scale is {self.scale!r}; it must be finite and above 0")
        if self.knowledge not in KNOWLEDGE:
            raise AttackError(f"sign-flip: knowledge is {self.knowledge!r}; it must be one of {', '.join(KNOWLEDGE)}")

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the flipped rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest" if self.knowledge == "omniscient" else "own")
        if self.knowledge == "own":
            return -self.scale * rows
        mean = kernels.float_column_sum(rows) / len(rows)
        return np.tile(-self.scale * mean, (context.f, 1))
