"""Zero: take part and send nothing, or noise around nothing; the lazy client of incentive papers.

FedML's `zero` mode and `lazy_worker` (the model that came, handed back with noise): Han et al., FedMLSecurity,
arXiv 2306.04959.
Differs from them: an update is a difference here, so the model handed back is the zero update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_share


@dataclass(frozen=True, slots=True)
class Zero:
    """Return zeros, or with `noise` above 0 that many steps times N(0, 1).

    Raises:
        AttackError: a noise below 0 or not finite.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4]]))
    >>> Zero().craft(context).tolist()
    [[0.0, 0.0]]
    """

    noise: float = 0.0

    name: ClassVar[str] = "zero"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="zero",
        formula="0, or noise N(0, 1)",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Han et al., FedMLSecurity, arXiv 2306.04959",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "noise", self.noise, 0.0, 1e6)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update, of which it uses the length alone."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shape = context.need(self.name, "own").shape
        return context.rng.normal(0.0, self.noise, shape) if self.noise else np.zeros(shape)
