"""The lazy worker: takes part, and sends nothing, or a little noise that looks like work.

Lin, Kar, Huang, Fung. Free-riders in federated learning: attacks and defenses. 2019, arXiv 1911.12560. Differs from the
paper: noise counts grid steps; FedML's `lazy_worker` sends the old model, which as an update is this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number


@dataclass(frozen=True, slots=True)
class Lazy:
    """Return zeros, or `N(0, noise^2)` per coordinate in grid steps.

    Raises:
        AttackError: a noise that is not finite and at least 0.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4]]))
    >>> Lazy().craft(context).tolist()
    [[0.0, 0.0]]
    """

    noise: float = 0.0

    name: ClassVar[str] = "lazy"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="lazy",
        formula="0, or N(0, noise^2)",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Lin et al., 2019, arXiv 1911.12560",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.noise != 0:
            require_number(self.name, "noise", self.noise, 0)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update, for its shape."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shape = context.need(self.name, "own").shape
        return self.noise * context.rng.standard_normal(shape) if self.noise else np.zeros(shape)
