"""LSB budget: at most so many grid steps away from what an honest client would send, in every coordinate.

From this project: ALIE and Min-Max measure stealth in deviations and distances; here it is counted in the least significant bits
of the codes, the unit of whoever looks at int8 updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count, require_knowledge
from byzantiny.attacks.geometry import deviation, mean
from byzantiny.updates import CODE_LIMIT
from byzantiny.updates.aggregate import round_half_away


@dataclass(frozen=True, slots=True)
class LSBBudget:
    """Return `base - min(budget, want) * sign(mean)` per coordinate, an integer row.

    `knowledge="own"`: base is each attacker's own codes and the signs are its own; else base is the rounded mean of the
    known rows, the same from all. `direction="sign"` wants the whole budget everywhere, `"std"` no more than the
    known rows' deviation, rounded up (ALIE in steps). A budget of 0 is the honest update.

    Raises:
        AttackError: a budget outside 0 .. 254, an unknown direction or knowledge; "std" of one's own update alone.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 0]]))
    >>> LSBBudget(budget=2).craft(context).tolist()
    [[1.0, -2.0, 0.0]]
    """

    budget: int = 1
    direction: Literal["sign", "std"] = "sign"
    knowledge: Knowledge = "own"

    name: ClassVar[str] = "lsb-budget"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="lsb-budget",
        formula="base - budget sign(mean), |code - base| <= budget grid steps",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="none; this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
        idle="budget",
    )

    def __post_init__(self) -> None:
        require_count(self.name, "budget", self.budget, 0, 2 * CODE_LIMIT)
        require_choice(self.name, "direction", self.direction, ("sign", "std"))
        require_knowledge(self.name, self.knowledge, own=self.direction == "sign")

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        base = self._base(context)
        steps = np.full(base.shape, float(self.budget))
        if self.direction == "std":
            spread = deviation(self.name, context.known(self.name, self.knowledge), 0)
            steps = np.minimum(steps, np.ceil(spread))
        signs = base if self.knowledge == "own" else mean(context.known(self.name, self.knowledge))
        return np.asarray(np.clip(base - steps * np.sign(signs), -CODE_LIMIT, CODE_LIMIT) + 0.0, dtype=np.float64)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether every code of a row is within the budget."""
        off = np.abs(codes.astype(np.int64) - self._base(context))
        return np.asarray((off <= self.budget).all(axis=1))

    def _base(self, context: AttackContext) -> NDArray[np.float64]:
        rows = context.known(self.name, self.knowledge)
        base = rows if self.knowledge == "own" else np.tile(mean(rows), (context.f, 1))
        return np.clip(round_half_away(base), -CODE_LIMIT, CODE_LIMIT)
