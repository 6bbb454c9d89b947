"""Min-Max: as far along a harmful direction as the two honest rows farthest apart are from each other.

Shejwalkar, Houmansadr. Manipulating the Byzantine: optimizing model poisoning attacks and defenses for federated learning.
NDSS 2021.
Differs from the paper: gamma is the exact root, not a bisection to 1e-5, and with `lattice` (the default) the row is an
integer one that meets the constraint itself: it is searched for, for rounding a real solution breaks it. Public
implementations differ in the deviation (FLPoison divides by m, NDSS21 by m - 1): `ddof`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count, require_knowledge
from byzantiny.attacks.geometry import Directions, pairwise
from byzantiny.attacks.lattice import Radius
from byzantiny.attacks.untargeted.radius import crafted


@dataclass(frozen=True, slots=True)
class MinMax:
    """Return `mean + gamma p`, the same from all, with the largest gamma for which no honest row is too far away.

    `max_i ||m - x_i|| <= max_(i, j) ||x_i - x_j||`; p is `-mean / ||mean||` ("unit"), `-sign(mean)` ("sign") or `-std`
    ("std"). On the lattice: the farthest rounded row within, then moved on along p step by step while it stays within.

    Raises:
        AttackError: an unknown direction or knowledge, a ddof that is none.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> MinMax(lattice=False).craft(context).round(4).tolist(), MinMax().craft(context).tolist()
    ([[1.6158, 2.0198, 2.4237]], [[1.0, 2.0, 3.0]])
    """

    direction: Literal["unit", "sign", "std"] = "unit"
    knowledge: Knowledge = "omniscient"
    ddof: int = 0
    lattice: bool = True

    name: ClassVar[str] = "min-max"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="min-max",
        formula="mean + gamma p, max_i ||m - x_i|| <= max_ij ||x_i - x_j||, p: unit, sign or std",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Shejwalkar and Houmansadr, NDSS 2021",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "direction", self.direction, Directions)
        require_knowledge(self.name, self.knowledge)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps; integers on the lattice."""
        rows = context.known(self.name, self.knowledge)
        return crafted(context, self.name, rows, self.radius(context), self.direction, self.ddof, self.lattice)

    def radius(self, context: AttackContext) -> Radius:
        """Return the constraint."""
        rows = context.known(self.name, self.knowledge)
        return Radius(rows, float(pairwise(rows, context.scale).max()), "max", context.scale)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row of codes is within the radius."""
        radius = self.radius(context)
        return np.array([radius.within(row.astype(np.float64)) for row in codes])
