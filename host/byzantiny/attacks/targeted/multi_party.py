"""Multi-party targeted attack: compromised devices jointly minimise the loss of chosen samples, boosted, under two constraints.

Chen, Tian, Liao, Yu. Towards multi-party targeted model poisoning attacks against federated learning systems. High-Confidence
Computing 1(1), 2021.
Differs from the paper: its weights were not to be had, so `accuracy` and `rho` are ours; the boost is exact for the mean: what is
descended is the loss of `w_t + (f delta + (n - f) delta_honest) / n`, the model that the round would end with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_share
from byzantiny.attacks.geometry import mean
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.targeted.planted import CHOSEN_TAGS, Planted, require_pull
from byzantiny.attacks.untargeted.past import last_change
from byzantiny_models.float_gradients import gradients, scaled_inputs


@dataclass(frozen=True)
class MultiParty(Planted):
    """Return delta, the same from all, that minimises `L_wish + accuracy L_own + rho ||delta - delta_honest||^2 / 2`.

    Both losses are of the model that the mean would make. L_own, over all attackers' samples, keeps the accuracy where a
    validation would look (first constraint); the distance keeps the update among the honest (second).
    delta_honest: `knowledge="omniscient"` (perfect) the mean of the honest rows; `"colluding"` (limited) the last change
    of the global model.

    Raises:
        AttackError: a weight below 0, an unknown knowledge; from `craft`, as model-replacement; no chosen inputs; with limited
            knowledge no history.
    """

    trigger: str = "none"
    target: int | None = None
    epochs: int = 30
    accuracy: float = 1.0
    rho: float = 1e-2
    sees: Knowledge = "omniscient"

    name: ClassVar[str] = "multi-party"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="multi-party",
        formula="delta minimises L_wish + a L_own + rho ||delta - delta_honest||^2 / 2 of the model the mean makes",
        goal="targeted",
        knowledge="omniscient",
        capability="update",
        paper="Chen et al., High-Confidence Computing 1(1), 2021",
        aims_at="chosen inputs",
        needs=("model", "grid", "training", "chosen"),
        atlas=CHOSEN_TAGS[0],
        nist=CHOSEN_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_share(self.name, "accuracy", self.accuracy, 0.0, 1e6)
        require_pull(self.name, self.rate, self.rho)
        require_choice(self.name, "sees", self.sees, ("colluding", "omniscient"))

    @property
    def knowledge(self) -> Knowledge:
        """Perfect or limited, by `sees`."""
        return self.sees

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop, delta = self.joint(context)
        return np.tile(shop.to_steps(delta), (context.f, 1))

    def joint(self, context: AttackContext) -> tuple[Workshop, NDArray[np.float64]]:
        """Return the workshop, and the one change that all attackers together want each of them to send."""
        shop = Workshop.of(context, self.name)
        if self.knowledge == "omniscient":
            honest = shop.to_real(mean(context.need(self.name, "honest")))
        else:
            honest = shop.to_real(last_change(context, self.name))
        parts = [self.clean(context, index) for index in range(context.f)]
        x, y = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        bad = [self.wanted(context, index) for index in range(context.f if self.trigger != "none" else 1)]
        bad_x, bad_y = np.concatenate([part[0] for part in bad]), np.concatenate([part[1] for part in bad])
        inputs, wish = scaled_inputs(shop.network, x), scaled_inputs(shop.network, bad_x)
        n, f = context.n, context.together
        delta = honest.copy()
        for _ in range(self.epochs):
            order = context.rng.permutation(len(y))
            for first in range(0, len(order), self.batch):
                some = order[first : first + self.batch]
                model = shop.start + (f * delta + (n - f) * honest) / n
                pull = gradients(shop.network, model, wish, bad_y).model
                pull = pull + self.accuracy * gradients(shop.network, model, inputs[some], y[some]).model
                # The gradient by delta is f / n of this; the boost n / f takes that back.
                factor = self.factor(context) * f / n
                delta = delta - self.rate * (factor * pull + self.rho * (delta - honest))
        return shop, delta
