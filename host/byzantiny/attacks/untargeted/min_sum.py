"""Min-Sum: as far along a harmful direction as the sum of squared distances to the honest rows allows.

Shejwalkar, Houmansadr. Manipulating the Byzantine: optimizing model poisoning attacks and defenses for federated learning.
NDSS 2021.
Differs from the paper: as Min-Max. Two limits are in use under this name: the largest sum any honest row has (the paper;
FLPoison), or the smallest (the code published with the paper, CRYPTO-KU), with which there may be no room at all:
`threshold`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, AttackWarning, Knowledge
from byzantiny.attacks.checks import require_choice, require_count, require_knowledge
from byzantiny.attacks.geometry import Directions, pairwise
from byzantiny.attacks.lattice import Radius
from byzantiny.attacks.untargeted.radius import crafted, room


@dataclass(frozen=True, slots=True)
class MinSum:
    """Return `mean + gamma p`, the same from all, with the largest gamma the sum of squared distances allows.

    `sum_i ||m - x_i||^2 <= max_i sum_j ||x_i - x_j||^2`, or the min with `threshold="min"`; directions and lattice as
    Min-Max. Warns where there is no room beside the mean: then it is no attack.

    Raises:
        AttackError: an unknown direction, threshold or knowledge, a ddof that is none.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> MinSum(lattice=False).craft(context).round(4).tolist(), MinSum().craft(context).tolist()
    ([[1.6314, 2.0392, 2.4471]], [[1.0, 2.0, 3.0]])
    """

    direction: Literal["unit", "sign", "std"] = "unit"
    threshold: Literal["max", "min"] = "max"
    knowledge: Knowledge = "omniscient"
    ddof: int = 0
    lattice: bool = True

    name: ClassVar[str] = "min-sum"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="min-sum",
        formula="mean + gamma p, sum_i ||m - x_i||^2 <= max_i sum_j ||x_i - x_j||^2 (or min_i), p: unit, sign or std",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Shejwalkar and Houmansadr, NDSS 2021",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "direction", self.direction, Directions)
        require_choice(self.name, "threshold", self.threshold, ("max", "min"))
        require_knowledge(self.name, self.knowledge)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps; integers on the lattice."""
        rows = context.known(self.name, self.knowledge)
        radius = self.radius(context)
        if room(context, self.name, rows, radius, self.direction, self.ddof) <= 1e-9:
            warnings.warn(
                f"min-sum: the {self.threshold} of the honest sums leaves no room beside the mean, which is no attack; "
                'set threshold = "max", or grant more rows',
                AttackWarning,
                stacklevel=2,
            )
        return crafted(context, self.name, rows, radius, self.direction, self.ddof, self.lattice)

    def radius(self, context: AttackContext) -> Radius:
        """Return the constraint."""
        rows = context.known(self.name, self.knowledge)
        sums = pairwise(rows, context.scale).sum(axis=1)
        limit = sums.max() if self.threshold == "max" else sums.min()
        return Radius(rows, float(limit), "sum", context.scale)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row of codes is within the radius."""
        radius = self.radius(context)
        return np.array([radius.within(row.astype(np.float64)) for row in codes])
