"""Min-Max and Min-Sum: as far against the honest mean as a row can go without standing out among honest rows.

Shejwalkar, Houmansadr. Manipulating the Byzantine: optimizing model poisoning attacks and defenses for federated learning.
NDSS 2021. Differs from the paper: gamma is the root of a parabola, where the paper halves an interval to 1e-5; and on the
wire the integer rows are searched, because a rounded solution may leave the constraint (`lattice=False` gives the paper's
real row). Min-Sum has two thresholds alive in public code: the largest of the honest sums (FLPoison, the paper) and the
least (the authors' notebooks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count, require_knowledge
from byzantiny.attacks.geometry import Directions, Floats, direction, mean, pairwise
from byzantiny.attacks.lattice import Radius, along

_TAXONOMY = {"atlas": ("AML.T0018.000", "AML.T0031"), "nist": ("NISTAML.011",)}
_PAPER = "Shejwalkar, Houmansadr, NDSS 2021"


@dataclass(frozen=True, slots=True)
class MinMax:
    """Return `mean + gamma * way`, the largest gamma with `max_i ||row - x_i|| <= max_ij ||x_i - x_j||`.

    `direction`: `unit`, `sign` or `std`. With `lattice` the row is an integer one within the constraint, stretched
    coordinate by coordinate as far as that goes. `knowledge="colluding"` measures the attackers' own updates.

    Raises:
        AttackError: a parameter out of range, or too few rows for a deviation.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> MinMax(lattice=False).craft(context).round(4).tolist()
    [[1.6158, 2.0198, 2.4237]]
    """

    direction: str = "unit"
    lattice: bool = True
    ddof: int = 0
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "min-max"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="min-max",
        formula="mean + gamma * way; largest gamma with max_i ||row - x_i|| <= max_ij ||x_i - x_j||",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper=_PAPER,
        atlas=_TAXONOMY["atlas"],
        nist=_TAXONOMY["nist"],
    )

    def __post_init__(self) -> None:
        _check(self.name, self.direction, self.ddof, self.lattice, self.knowledge)

    def radius(self, context: AttackContext) -> Radius:
        """Return the constraint that the known rows set."""
        rows = context.known(self.name, self.knowledge)
        return Radius(rows, float(pairwise(rows, context.scale).max()), "max", context.scale)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return _crafted(self.name, context, self.radius(context), self.direction, self.ddof, lattice=self.lattice)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows of codes are within the constraint."""
        radius = self.radius(context)
        return np.array([radius.within(row.astype(np.float64)) for row in codes])


@dataclass(frozen=True, slots=True)
class MinSum:
    """Return `mean + gamma * way`, the largest gamma with `sum_i ||row - x_i||^2 <= threshold over i of sum_j ||x_i - x_j||^2`.

    `threshold`: `max` (the paper) or `min` (the authors' notebooks). Else as `MinMax`.

    Raises:
        AttackError: a parameter out of range, or too few rows for a deviation.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> MinSum(lattice=False).craft(context).round(4).tolist()
    [[1.6314, 2.0392, 2.4471]]
    """

    direction: str = "unit"
    threshold: Literal["max", "min"] = "max"
    lattice: bool = True
    ddof: int = 0
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "min-sum"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="min-sum",
        formula="mean + gamma * way; largest gamma with sum_i ||row - x_i||^2 <= max_i sum_j ||x_i - x_j||^2",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper=_PAPER,
        atlas=_TAXONOMY["atlas"],
        nist=_TAXONOMY["nist"],
    )

    def __post_init__(self) -> None:
        _check(self.name, self.direction, self.ddof, self.lattice, self.knowledge)
        require_choice(self.name, "threshold", self.threshold, ("max", "min"))

    def radius(self, context: AttackContext) -> Radius:
        """Return the constraint that the known rows set."""
        rows = context.known(self.name, self.knowledge)
        sums = pairwise(rows, context.scale).sum(axis=1)
        return Radius(rows, float(sums.max() if self.threshold == "max" else sums.min()), "sum", context.scale)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return _crafted(self.name, context, self.radius(context), self.direction, self.ddof, lattice=self.lattice)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows of codes are within the constraint."""
        radius = self.radius(context)
        return np.array([radius.within(row.astype(np.float64)) for row in codes])


def _check(attack: str, way: str, ddof: int, lattice: object, knowledge: Knowledge) -> None:
    require_choice(attack, "direction", way, Directions)
    require_count(attack, "ddof", ddof, 0, 1)
    require_knowledge(attack, knowledge)
    if not isinstance(lattice, bool):
        raise AttackError(f"{attack}: lattice is {lattice!r}; it must be true or false")


def _crafted(
    attack: str, context: AttackContext, radius: Radius, way: str, ddof: int, *, lattice: bool
) -> NDArray[np.float64]:
    middle, towards = mean(radius.rows), direction(attack, way, radius.rows, ddof)
    gamma = radius.farthest(middle, towards)
    row: Floats = middle + gamma * towards
    if lattice:
        # An honest row is within, always: it stands in where the grid has no row along the way.
        found = along(context, middle, towards, gamma, radius.within)
        row = radius.rows[_central(radius)] if found is None else _bounded(context, radius, found, towards)
    return np.tile(row, (context.f, 1))


def _bounded(context: AttackContext, radius: Radius, codes: Floats, towards: Floats) -> Floats:
    """Stretch within the constraint, unless that leaves the announced bound."""
    stretched = radius.stretched(codes, towards)
    bound = float(context.l2_bound)
    if bound and float(((stretched * context.scale) ** 2).sum()) > bound * bound:
        return codes
    return stretched


def _central(radius: Radius) -> int:
    """Return the known row that is nearest to the others, which keeps either constraint."""
    return int(np.argmin(pairwise(radius.rows, radius.scale).sum(axis=1)))
