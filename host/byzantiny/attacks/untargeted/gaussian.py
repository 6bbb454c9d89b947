"""Gaussian noise instead of an update, or on top of one.

Blanchard, El Mhamdi, Guerraoui, Stainer. Machine learning with adversaries: Byzantine tolerant gradient descent.
NeurIPS 2017 (noise of deviation 200).
Differs from the paper: sigma is in grid steps, and the noise may be added to an honest update (FedML, ByzPy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Return `mu + sigma * N(0, 1)` per coordinate, with `add` on top of the own update; each attacker draws its own.

    Raises:
        AttackError: a sigma that is not finite and above 0, a mu that is not finite.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 1]]))
    >>> bool((Gaussian(mu=0, sigma=1).craft(context) == np.random.default_rng(0).normal(0, 1, 3)).all())
    True
    """

    sigma: float = 200.0
    mu: float = 0.0
    add: bool = False

    name: ClassVar[str] = "gaussian"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="gaussian",
        formula="mu + sigma N(0, 1), with add: x_own + that",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Blanchard et al., NeurIPS 2017",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "sigma", self.sigma, 0)
        require_number(self.name, "mu", self.mu)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update, of which it uses the length alone unless it adds."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own = context.need(self.name, "own")
        noise = context.rng.normal(self.mu, self.sigma, own.shape)
        return own + noise if self.add else noise
