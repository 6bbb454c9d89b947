"""Gaussian noise: the baseline of the field, and what a broken device sends.

Blanchard, El Mhamdi, Guerraoui, Stainer. Machine learning with adversaries: Byzantine tolerant gradient descent. NeurIPS 2017
(normal vectors of a large deviation). Differs from the paper: deviations count grid steps, and noise may be added to the honest
update instead (FedML's and ByzPy's are pure noise, FLPoison adds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Return `N(0, sigma^2)` per coordinate, in grid steps; with `add`, on top of the attacker's own update.

    Raises:
        AttackError: a sigma that is not finite and at least 0, or an `add` that is no boolean.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 1]]))
    >>> Gaussian(sigma=1.0).craft(context).round(4).tolist()
    [[0.1257, -0.1321, 0.6404]]
    """

    sigma: float = 64.0
    add: bool = False

    name: ClassVar[str] = "gaussian"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="gaussian",
        formula="N(0, sigma^2), or x_own + N(0, sigma^2)",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Blanchard et al., NeurIPS 2017",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.sigma != 0:
            require_number(self.name, "sigma", self.sigma, 0)
        if not isinstance(self.add, bool):
            raise AttackError(f"gaussian: add is {self.add!r}; it must be true or false")

    @property
    def knowledge(self) -> Knowledge:
        """Its own update, for its shape if for nothing else."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own = context.need(self.name, "own")
        noise = self.sigma * context.rng.standard_normal(own.shape)
        return own + noise if self.add else noise
