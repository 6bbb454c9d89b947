"""ALIE, "a little is enough": a lie so few deviations from the mean that enough honest clients stand beyond it.

Baruch, Baruch, Goldberg. A little is enough: circumventing defenses for distributed learning. NeurIPS 2019,
arXiv 1902.06156.
Differs from the paper: whose updates are measured is a parameter (the paper's attackers know their own, ByzFL's and
everybody else's know the honest ones; that is the default). Public implementations differ in the deviation (ByzFL and
NDSS21 divide by m - 1, FLPoison and ByzPy by m: `ddof`) and in z (ByzFL fixes 1.5, ByzPy counts all clients, NDSS21 has
a table): the closed form of the paper is the default here, and `z` overrides it.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.attacks.base import KNOWLEDGE, AttackContext, AttackError, AttackInfo, AttackWarning, Knowledge


@dataclass(frozen=True, slots=True)
class ALIE:
    """Return `mean + z * std` per coordinate of the updates it knows, the same row from every attacker.

    Without `z` it is `z_max(n, f)`. A negative z goes to the other side. `std` divides by m - ddof, m the rows known.
    `knowledge="omniscient"` measures the honest clients' updates, `"colluding"` the attackers' own.

    Raises:
        AttackError: a parameter out of range; from `craft`, too few rows for a deviation, or attackers in the majority.

    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> context = AttackContext(honest=honest, n=7, f=2, rng=np.random.default_rng(0))
    >>> ALIE(z=1.5).craft(context).round(4).tolist()
    [[13.3717, -1.6283], [13.3717, -1.6283]]
    """

    z: float | None = None
    ddof: int = 1
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "alie"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="alie",
        formula="mean + z * std; z = PHI^-1((n - f - s) / (n - f)), s = floor(n/2 + 1) - f; std over m - ddof, ddof 1",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Baruch et al., NeurIPS 2019, arXiv 1902.06156",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.z is not None and not (isinstance(self.z, (int, float)) and math.isfinite(self.z)):
            raise AttackError(f"alie: z is {self.z!r}; it must be a finite number, or left out for the closed form")
        if self.ddof not in (0, 1):
            raise AttackError(f"alie: ddof is {self.ddof!r}; it must be 0 (divide by m) or 1 (by m - 1)")
        if self.knowledge not in KNOWLEDGE[1:]:
            raise AttackError(f"alie: knowledge is {self.knowledge!r}; it must be one of {', '.join(KNOWLEDGE[1:])}")

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps; warns where z is 0, for then they are the mean and attack nothing."""
        rows = context.need(self.name, "honest" if self.knowledge == "omniscient" else "own")
        if len(rows) <= self.ddof:
            raise AttackError(
                f"alie: {len(rows)} known updates have no deviation with ddof = {self.ddof}; "
                f"at least {self.ddof + 1} are needed: grant more knowledge, or set ddof = 0"
            )
        z = z_max(context.n, context.f) if self.z is None else self.z
        if z == 0:
            warnings.warn(
                f"alie with n = {context.n}, f = {context.f}: z is 0, every attacker sends the mean, which is no "
                "attack; give z, or more attackers",
                AttackWarning,
                stacklevel=2,
            )
        mean = kernels.float_column_sum(rows) / len(rows)
        centred = rows - mean
        std = np.sqrt(kernels.float_column_sum(centred * centred) / (len(rows) - self.ddof))
        return np.tile(mean + z * std, (context.f, 1))


def z_max(n: int, f: int) -> float:
    """Return the paper's z: `PHI^-1((n - f - s) / (n - f))`, `s = floor(n/2 + 1) - f`, and 0 where that is negative.

    s is how many honest clients the f attackers need for a majority; z is as far as they may go while s honest ones
    are expected to stand beyond them.

    Raises:
        AttackError: f above n / 2: the attackers need nobody, and no z is too large.

    >>> round(z_max(50, 24), 5), round(z_max(20, 4), 5), z_max(10, 2), z_max(4, 1)
    (1.42608, 0.15731, 0.0, 0.0)
    """
    supporters = n // 2 + 1 - f
    if supporters < 1:
        raise AttackError(
            f"alie with n = {n}, f = {f}: f is above n / 2 = {n / 2:g}, the attackers are the majority and no z is "
            "too large; give z, or fewer attackers"
        )
    return max(0.0, NormalDist().inv_cdf((n - f - supporters) / (n - f))) if n - f > supporters else 0.0
