"""Low-bit collapse: on a coarse grid, push the median to 0 with the least that does it, so that nobody learns.

From no paper: where honest codes are -1, 0 and 1 the median is a vote, and a few votes for 0, or against, stop it. What the
attackers cannot turn they leave as the honest mean has it, so that nothing else gives them away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.geometry import Floats, mean
from byzantiny.updates.aggregate import round_half_away


@dataclass(frozen=True, slots=True)
class LowBitCollapse:
    """Return per coordinate 0 if that makes the median 0, else `-sign(mean)` if that does, else the rounded honest mean.

    The median is that of the honest codes and f such codes, `(x_lo + x_hi) / 2`.

    >>> honest = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 1]])
    >>> LowBitCollapse().craft(AttackContext(honest, n=5, f=1, rng=np.random.default_rng(0))).tolist()
    [[0.0, 0.0, 1.0]]
    """

    name: ClassVar[str] = "low-bit-collapse"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="low-bit-collapse",
        formula="0, else -sign(mean), whichever makes the median 0; else the rounded mean",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="none; docs/attacks.md of this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        middle = mean(rows)
        against = -np.sign(middle)
        zeros = np.zeros_like(middle)
        row = np.where(_median_is_zero(rows, against, context.f), against, round_half_away(middle))
        row = np.where(_median_is_zero(rows, zeros, context.f), zeros, row)
        return np.tile(row + 0.0, (context.f, 1))


def _median_is_zero(rows: Floats, lie: Floats, f: int) -> NDArray[np.bool_]:
    ranked = np.sort(np.concatenate([rows, np.tile(lie, (f, 1))]), axis=0)
    n = len(ranked)
    return np.asarray(ranked[(n - 1) // 2] + ranked[n // 2] == 0)
