"""AGR-tailored: the defence is known, and the attack is the worst of three directions, each followed as far as it pays.

Shejwalkar, Houmansadr. Manipulating the Byzantine: optimizing model poisoning attacks and defenses for federated learning.
NDSS 2021, section IV.
Differs from the paper: it derives one objective per rule (Krum picked, Bulyan's, ...); here the objective is what these stand
for, the distance of the aggregate from the honest mean, so that it fits every defence; all three directions are tried, and the
line search is that of the optimised attacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_knowledge
from byzantiny.attacks.deployed import Target
from byzantiny.attacks.geometry import Directions, direction, mean
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.search import EVALUATIONS


@dataclass(frozen=True, slots=True)
class AGRTailored:
    """Return `mean + gamma p`, over the directions unit, sign and std, that moves the defence's aggregate farthest.

    `knowledge="colluding"`: the attackers' own honest updates stand for everyone's.

    Raises:
        AttackError: fewer than 2 evaluations, an unknown knowledge; from `craft`, no defence.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> mean_of = lambda codes: codes.mean(axis=0)
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0), defence=mean_of)
    >>> AGRTailored().craft(context).tolist()
    [[-127.0, -127.0, -127.0]]
    """

    evaluations: int = EVALUATIONS
    knowledge: Knowledge = "omniscient"
    ddof: int = 0

    name: ClassVar[str] = "agr-tailored"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="agr-tailored",
        formula="mean + gamma p, gamma and p (unit, sign, std) maximise ||defence(attacked) - mean||",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Shejwalkar and Houmansadr, NDSS 2021",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "evaluations", self.evaluations, 2)
        require_knowledge(self.name, self.knowledge)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        rows = context.known(self.name, self.knowledge)
        target, middle = Target(context, self.name, stand_in(rows, context)), mean(rows)
        best, most = middle, target.harm(middle)
        for name in Directions:
            way = direction(self.name, name, rows, self.ddof)
            if name == "unit":
                way = way * np.sqrt(len(way))  # as long as the signs, so that one first step fits all three
            gamma = target.best_along(middle, way, self.evaluations)
            harm = target.harm(middle + gamma * way)
            if harm > most:
                best, most = middle + gamma * way, harm
        return np.tile(on_grid(context, best), (context.f, 1))


def stand_in(rows: NDArray[np.float64], context: AttackContext) -> NDArray[np.float64]:
    """Return n - f rows for the honest ones: those known, repeated in turn where they are fewer."""
    honest = context.n - context.together
    return rows if len(rows) == honest or honest < 1 else rows[np.arange(honest) % len(rows)]
