"""The LSB budget: each code of an honest update moved by at most k steps against the mean; one step is a directed rounding.

From no paper: on a grid of coarse steps the least significant bit is a large lie, and a small one to every test of a row.
With k = 1 every code is one that an honest stochastic rounding could have emitted: code c comes from some value between c
and its neighbour, and that value rounds to either. A device that knows its values would have half that room on average; a
relay sees codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_knowledge
from byzantiny.attacks.geometry import Floats, mean
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class LSBBudget:
    """Return `x_own - k sign(mean)` within +-127: every attacker's own codes, k grid steps against the known mean.

    Raises:
        AttackError: k outside 0 .. 127, or an unknown knowledge.

    >>> context = AttackContext(None, n=5, f=2, rng=np.random.default_rng(0), own=np.array([[3, -4, 127], [1, -2, 5]]))
    >>> LSBBudget(k=2).craft(context).tolist()
    [[1.0, -2.0, 125.0], [-1.0, 0.0, 3.0]]
    """

    k: int = 1
    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "lsb-budget"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="lsb-budget",
        formula="x_own - k sign(mean of the known updates)",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; docs/attacks.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "k", self.k, 0, CODE_LIMIT)
        require_knowledge(self.name, self.knowledge, own=True)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return moved(self.name, context, self.knowledge, self.k)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows differ from the attacker's own by at most k steps in every coordinate."""
        off = np.abs(codes.astype(np.int64) - context.need(self.name, "own"))
        return np.asarray((off <= self.k).all(axis=1))


@dataclass(frozen=True, slots=True)
class DirectedRounding:
    """Return the attackers' own codes, each rounded again the other way where that is against the known mean.

    `x_own - sign(mean)` within +-127. No test of a single update can reject it: for every coordinate there is a value that
    an honest stochastic rounding takes to this code or to the honest one.

    Raises:
        AttackError: an unknown knowledge.

    >>> context = AttackContext(None, n=5, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 0]]))
    >>> DirectedRounding().craft(context).tolist()
    [[2.0, -3.0, 0.0]]
    """

    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "directed-rounding"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="directed-rounding",
        formula="x_own - sign(mean of the known updates): one rounding, chosen",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; docs/attacks.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge, own=True)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return moved(self.name, context, self.knowledge, 1)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows an honest rounding of some values near the attacker's own codes could be."""
        off = np.abs(codes.astype(np.int64) - context.need(self.name, "own"))
        return np.asarray((off <= 1).all(axis=1))


def moved(attack: str, context: AttackContext, knowledge: Knowledge, steps: int) -> Floats:
    """Return every attacker's own codes, so many steps against what it knows: its own update, or a mean of several."""
    own = context.need(attack, "own")
    against = own if knowledge == "own" else mean(context.known(attack, knowledge))
    return np.asarray(np.clip(own - steps * np.sign(against), -CODE_LIMIT, CODE_LIMIT) + 0.0)
