"""Model replacement: train the backdoor in, and send so much of it that the mean becomes the backdoored model.

Bagdasaryan, Veit, Hua, Estrin, Shmatikov. How to backdoor federated learning. AISTATS 2020, arXiv 1807.00459.
Differs from the paper: n / eta with eta = 1, divided among the attackers where there are several; on the int8 wire boosted codes
saturate, and the bound shrinks them, which is what this project measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.targeted.planted import TRIGGER_TAGS, Planted, generators_of


@dataclass(frozen=True)
class ModelReplacement(Planted):
    """Return `boost * (w_bd - w_t)`, w_bd trained from w_t on own samples and malicious ones.

    Raises:
        AttackError: a parameter out of range; from `craft`, no model, grid, network or data.
    """

    name: ClassVar[str] = "model-replacement"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="model-replacement",
        formula="(n / f) (w_bd - w_t), w_bd trained on own and malicious samples",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="Bagdasaryan et al., AISTATS 2020, arXiv 1807.00459",
        aims_at="trigger",
        needs=("model", "grid", "training"),
        atlas=TRIGGER_TAGS[0],
        nist=TRIGGER_TAGS[1],
    )

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop, factor = Workshop.of(context, self.name), self.factor(context)
        rows = [
            shop.descend(*self.mixture(context, index), rng, self.schedule)
            for index, rng in enumerate(generators_of(context))
        ]
        return factor * np.stack([shop.to_steps(row) for row in rows])
