"""Constrain-and-scale: model replacement whose training already pays for standing out.

Bagdasaryan, Veit, Hua, Estrin, Shmatikov. How to backdoor federated learning. AISTATS 2020, arXiv 1807.00459.
Differs from the paper: the anomaly is half the squared distance to the model of the round, whose gradient is in closed form. Two
public implementations add that term where no gradient reaches it, so that it does nothing; here a test shows that it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo
from byzantiny.attacks.checks import require_share
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.targeted.planted import TRIGGER_TAGS, Planted, generators_of


@dataclass(frozen=True)
class ConstrainAndScale(Planted):
    """Return `boost * (w - w_t)`, w trained on `alpha L_class + (1 - alpha) ||w - w_t||^2 / 2`.

    Raises:
        AttackError: an alpha outside 0 .. 1, another parameter out of range; from `craft`, as model-replacement.
    """

    alpha: float = 0.7

    name: ClassVar[str] = "constrain-and-scale"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="constrain-and-scale",
        formula="(n / f) (w - w_t), w minimises alpha L_class + (1 - alpha) ||w - w_t||^2 / 2",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="Bagdasaryan et al., AISTATS 2020, arXiv 1807.00459",
        aims_at="trigger",
        needs=("model", "grid", "training"),
        atlas=TRIGGER_TAGS[0],
        nist=TRIGGER_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_share(self.name, "alpha", self.alpha)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop, factor = Workshop.of(context, self.name), self.factor(context)

        def correct(delta: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
            return self.alpha * gradient + (1 - self.alpha) * delta

        rows = [
            shop.descend(*self.mixture(context, index), rng, self.schedule, correct=correct)
            for index, rng in enumerate(generators_of(context))
        ]
        return factor * np.stack([shop.to_steps(row) for row in rows])
