"""Drift mimicry: a lie that every honest client could have told, for it stays inside the spread that skewed data make.

From no paper as a whole; kin: ALIE (inside the deviation), Min-Max (inside the diameter), mimic (an honest row itself). What is
new: it is inside coordinate by coordinate and as a whole at once, so no rule that accepts all honest rows, by coordinate, by
length or by distance from their mean, can reject it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_share
from byzantiny.attacks.geometry import mean, squared_distances
from byzantiny.attacks.lattice import along, on_grid


@dataclass(frozen=True, slots=True)
class DriftMimicry:
    """Return the integer row farthest from the mean, against it, inside the spread of the known rows; the same from all.

    Every coordinate is among the known rows' values; its distance from their mean, and its length, are at most `strength`
    of the way from the mean's to the largest known. It goes from the mean towards the extreme value of each coordinate on
    the side against the mean.

    Raises:
        AttackError: a strength outside 0 .. 1, an unknown knowledge.

    >>> honest = np.array([[4, 1], [6, 5], [8, 3]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> DriftMimicry().craft(context).tolist()
    [[4.0, 1.0]]
    """

    strength: float = 1.0
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "drift-mimicry"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="drift-mimicry",
        formula="from the mean towards the extreme honest value against it, within the honest box, distance and length",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="none; kin: Baruch et al., NeurIPS 2019; Shejwalkar and Houmansadr, NDSS 2021",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "strength", self.strength)
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        rows = context.known(self.name, self.knowledge)
        middle = mean(rows)
        extreme = np.where(middle > 0, rows.min(axis=0), np.where(middle < 0, rows.max(axis=0), middle))
        codes = along(context, middle, extreme - middle, self.strength, lambda row: self._within(context, row))
        if codes is None:  # the mean itself rounds to outside: the honest row nearest to it does not
            codes = on_grid(context, rows[int(np.argmin(squared_distances(rows, middle, context.scale)))])
        return np.tile(codes, (context.f, 1))

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row of codes is inside the spread."""
        return np.array([self._within(context, row.astype(np.float64)) for row in codes])

    def _within(self, context: AttackContext, row: NDArray[np.float64]) -> bool:
        rows, scale = context.known(self.name, self.knowledge), context.scale
        middle, zero = mean(rows), np.zeros(rows.shape[1])
        # A rounded row has to be allowed the values between which the mean lies, also where all rows have one.
        inside = (row >= np.floor(rows.min(axis=0))) & (row <= np.ceil(rows.max(axis=0)))
        far = float(squared_distances(row[None], middle, scale)[0]) <= float(
            squared_distances(rows, middle, scale).max()
        )
        long = float(squared_distances(row[None], zero, scale)[0]) <= float(squared_distances(rows, zero, scale).max())
        return bool(inside.all()) and far and long
