"""Boosting: send an honest update, larger, so that it outweighs the others in a mean.

Bhagoji, Chakraborty, Mittal, Calo. Analyzing federated learning through an adversarial lens. ICML 2019, arXiv 1811.12470
(explicit boosting). Differs from the paper: alone it boosts what an honest body trained, on whatever data that body holds; with
poisoned data it is the paper's attack. A factor below 1 makes a lazy client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number


@dataclass(frozen=True, slots=True)
class Boost:
    """Return `scale * x_own` for each attacker.

    Raises:
        AttackError: a scale that is not a finite number above 0.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4]]))
    >>> Boost(scale=10.0).craft(context).tolist()
    [[30.0, -40.0]]
    """

    scale: float = 10.0

    name: ClassVar[str] = "boost"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="boost",
        formula="scale * x_own",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Bhagoji et al., ICML 2019, arXiv 1811.12470",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "scale", self.scale, 0)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return self.scale * context.need(self.name, "own")
