"""MPAF: fake clients without data drag the global model towards one of the attacker's choice.

Cao, Gong. MPAF: model poisoning attacks to federated learning based on fake clients. CVPR Workshops 2022, arXiv 2203.08669.
Differs from the paper: the base model is the network's own random initialisation (the paper: any with low accuracy), drawn
from what the attackers agreed on before the run, so that all pull the same way in every round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_number
from byzantiny_models.networks import initial_model


@dataclass(frozen=True, slots=True)
class MPAF:
    """Return `scale * (w_base - w_t)` in grid steps, the same from all fake clients.

    `w_base = initial_model(network, secret + campaign)`.

    Raises:
        AttackError: a scale that is not finite and above 0, a secret that is no integer from 1; from `craft`, no model,
            network or grid.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> context = AttackContext(
    ...     None, n=9, f=2, rng=np.random.default_rng(0), model=initial_model(network, 1), network=network,
    ...     layout=network.layout, shifts=network.layout.default_shifts(6))
    >>> MPAF().craft(context).shape
    (2, 2410)
    """

    scale: float = 10.0
    secret: int = 7_919

    name: ClassVar[str] = "mpaf"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="mpaf",
        formula="scale * (w_base - w_t), w_base a random initial model",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Cao and Gong, CVPR Workshops 2022, arXiv 2203.08669",
        needs=("model", "grid", "training"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "scale", self.scale, 0)
        require_count(self.name, "secret", self.secret, 1)

    @property
    def knowledge(self) -> Knowledge:
        """No update at all: a fake client has no data."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        context.has(self.name, "model", "network")
        assert context.network is not None
        assert context.model is not None
        base = initial_model(context.network, self.secret + context.campaign)
        away = (base.astype(np.float64) - context.model) / context.step(self.name)
        return np.tile(self.scale * away, (context.f, 1))
