"""MPAF: fake clients that pull the global model towards a base model, round after round, and know nothing else.

Cao, Gong. MPAF: model poisoning attacks to federated learning based on fake clients. CVPR Workshops 2022, arXiv 2203.08669.
Differs from the paper: nothing in the formula; the base is the network's initial model drawn from the campaign's number,
and the pull is brought to grid steps. Public code has lambda 10 and 1e6; 10 saturates the box already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number
from byzantiny_models.networks import initial_model

_BASE = 0x4D504146
"""Apart from the seed of the run, whose initial model is the one the federation starts from."""


@dataclass(frozen=True, slots=True)
class MPAF:
    """Return `scale * (w_base - w_t)` in grid steps, the same row from every attacker; w_base is another initial model.

    Raises:
        AttackError: a scale that is not a finite number above 0; from `craft`, no model, grid or network.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> shifts = network.layout.default_shifts(6)
    >>> context = AttackContext(None, 4, 1, np.random.default_rng(0), model=initial_model(network, 1),
    ...                         layout=network.layout, shifts=shifts, network=network)
    >>> MPAF().craft(context).shape
    (1, 2410)
    """

    scale: float = 10.0

    name: ClassVar[str] = "mpaf"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="mpaf",
        formula="scale * (w_base - w_t)",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Cao, Gong, CVPR Workshops 2022, arXiv 2203.08669",
        needs=("model", "grid", "training"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "scale", self.scale, 0)

    @property
    def knowledge(self) -> Knowledge:
        """The models that every client receives."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        context.has(self.name, "model", "network")
        assert context.model is not None
        assert context.network is not None
        base = initial_model(context.network, context.campaign ^ _BASE)
        row = self.scale * (base.astype(np.float64) - context.model) / context.step(self.name)
        return np.tile(row, (context.f, 1))
