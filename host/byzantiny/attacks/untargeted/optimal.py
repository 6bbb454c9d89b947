"""Optimised ALIE and IPM: the attacker runs the deployed defence at home and takes the strength that moves it most.

Guerraoui, Guirguis, Plassmann, Ragot, Rouault. Garfield: system support for Byzantine machine learning. DSN 2021, arXiv
2010.05888, as ByzFL has them (`Optimal_ALittleIsEnough`, `Optimal_InnerProductManipulation`). Differs: the search looks at
what the wire will carry (rows on the grid, within the announced bound), because a float optimum may round to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count
from byzantiny.attacks.deployed import Target
from byzantiny.attacks.geometry import Directions, deviation, direction, mean
from byzantiny.attacks.search import EVALUATIONS, strongest


@dataclass(frozen=True, slots=True)
class OptimalALIE:
    """Return `mean + z * std` with the z >= 0 that moves the deployed defence farthest from the honest mean.

    `evaluations` runs of the defence; `std` divides by m - ddof.

    Raises:
        AttackError: a parameter out of range; from `craft`, no defence granted or too few rows for a deviation.

    >>> from byzantiny.aggregators import AGGREGATORS
    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> context = AttackContext(honest, n=7, f=2, rng=np.random.default_rng(0), defence=AGGREGATORS["median"](f=2))
    >>> OptimalALIE().craft(context).shape
    (2, 2)
    """

    evaluations: int = EVALUATIONS
    ddof: int = 1

    name: ClassVar[str] = "optimal-alie"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="optimal-alie",
        formula="mean + z * std, z = argmax ||defence(attacked) - mean|| by line search",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Guerraoui et al., DSN 2021, arXiv 2010.05888; Baruch et al., NeurIPS 2019",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "evaluations", self.evaluations, 1, 10_000)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        middle, std = mean(rows), deviation(self.name, rows, self.ddof)
        target = Target(context, self.name, rows)
        z = strongest(lambda z: target.harm(middle + z * std), self.evaluations)
        return np.tile(middle + z * std, (context.f, 1))


@dataclass(frozen=True, slots=True)
class OptimalIPM:
    """Return `-epsilon * mean` with the epsilon >= 0 that moves the deployed defence farthest from the honest mean.

    Raises:
        AttackError: a parameter out of range; from `craft`, no defence granted.

    >>> from byzantiny.aggregators import AGGREGATORS
    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> context = AttackContext(honest, n=7, f=2, rng=np.random.default_rng(0), defence=AGGREGATORS["mean"]())
    >>> bool((OptimalIPM().craft(context)[0] * honest.mean(axis=0) < 0).all())
    True
    """

    evaluations: int = EVALUATIONS

    name: ClassVar[str] = "optimal-ipm"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="optimal-ipm",
        formula="-epsilon * mean, epsilon = argmax ||defence(attacked) - mean|| by line search",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Guerraoui et al., DSN 2021, arXiv 2010.05888; Xie et al., UAI 2019",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "evaluations", self.evaluations, 1, 10_000)

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        middle, target = mean(rows), Target(context, self.name, rows)
        epsilon = strongest(lambda e: target.harm(-e * middle), self.evaluations)
        return np.tile(-epsilon * middle, (context.f, 1))


@dataclass(frozen=True, slots=True)
class Tailored:
    """Return `mean + gamma * way` with the gamma >= 0 that moves the deployed defence farthest from the honest mean.

    Shejwalkar, Houmansadr. Manipulating the Byzantine. NDSS 2021: the aggregation rule is known (AGR-tailored). `direction`
    is one of the paper's three: `unit`, `sign`, `std`.

    Raises:
        AttackError: a parameter out of range; from `craft`, no defence granted.

    >>> from byzantiny.aggregators import AGGREGATORS
    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> context = AttackContext(honest, n=7, f=2, rng=np.random.default_rng(0), defence=AGGREGATORS["trimmed-mean"](f=2))
    >>> Tailored(direction="sign").craft(context)[0].tolist() < honest.mean(axis=0).tolist()
    True
    """

    direction: str = "unit"
    evaluations: int = EVALUATIONS
    ddof: int = 0

    name: ClassVar[str] = "agr-tailored"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="agr-tailored",
        formula="mean + gamma * way, way in {-mean/||mean||, -sign(mean), -std}, gamma = argmax ||defence(attacked) - mean||",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Shejwalkar, Houmansadr, NDSS 2021",
        needs=("defence",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "direction", self.direction, Directions)
        require_count(self.name, "evaluations", self.evaluations, 1, 10_000)
        require_count(self.name, "ddof", self.ddof, 0, 1)

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        middle, target = mean(rows), Target(context, self.name, rows)
        way = direction(self.name, self.direction, rows, self.ddof)
        gamma = strongest(lambda g: target.harm(middle + g * way), self.evaluations)
        return np.tile(middle + gamma * way, (context.f, 1))
