"""Boost: an honest update, many times as long, so that one client decides the mean.

Bhagoji, Chakraborty, Mittal, Calo. Analyzing federated learning through an adversarial lens. ICML 2019, arXiv 1811.12470
(explicit boosting); Bagdasaryan et al., AISTATS 2020, arXiv 1807.00459 (n / eta).
Differs from the papers: what is boosted is honest, so that the length alone is the attack; the backdoors that need boosting
are in byzantiny.attacks.targeted.
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
    """Return `factor * x_own`.

    Raises:
        AttackError: a factor that is not finite and above 0.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4]]))
    >>> Boost(factor=10.0).craft(context).tolist()
    [[30.0, -40.0]]
    """

    factor: float = 10.0

    name: ClassVar[str] = "boost"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="boost",
        formula="factor * x_own",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Bhagoji et al., ICML 2019, arXiv 1811.12470",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "factor", self.factor, 0)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        return self.factor * context.need(self.name, "own")
