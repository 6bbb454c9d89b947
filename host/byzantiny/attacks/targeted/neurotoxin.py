"""Neurotoxin: plant the backdoor where honest clients hardly write, so that they do not overwrite it later.

Zhang, Panda, Song, Yang, Mahoney, Gonzalez, Ramchandran. Neurotoxin: durable backdoors in federated learning. ICML 2022,
arXiv 2206.10341.
Differs from the paper: the estimate of the honest gradient is the last change of the global model (so is the paper's); the mask is
by magnitude (one public implementation takes the smallest *signed* values, which masks half of the largest); in the first
round nothing is masked.
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
from byzantiny.attacks.untargeted.past import last_change


@dataclass(frozen=True)
class Neurotoxin(Planted):
    """Return `boost * (w - w_t)`, trained on own and malicious samples, 0 where the model last changed most.

    The `top` share of coordinates by |w_t - w_(t-1)|, in the common unit, is masked in every step. The boost is 1 unless given.

    Raises:
        AttackError: a top outside 0 .. 1, another parameter out of range; from `craft`, as model-replacement, and no history.
    """

    boost: float | None = 1.0
    top: float = 0.05

    name: ClassVar[str] = "neurotoxin"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="neurotoxin",
        formula="w - w_t, trained only outside the top coordinates of the last global change",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="Zhang et al., ICML 2022, arXiv 2206.10341",
        aims_at="trigger",
        needs=("model", "history", "grid", "training"),
        atlas=TRIGGER_TAGS[0],
        nist=TRIGGER_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_share(self.name, "top", self.top)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop, masked, factor = Workshop.of(context, self.name), self.masked(context), self.factor(context)

        def correct(delta: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
            del delta
            return np.where(masked, 0.0, gradient)

        rows = [
            shop.descend(*self.mixture(context, index), rng, self.schedule, correct=correct)
            for index, rng in enumerate(generators_of(context))
        ]
        return factor * np.stack([shop.to_steps(row) for row in rows])

    def masked(self, context: AttackContext) -> NDArray[np.bool_]:
        """Return which coordinates are left alone."""
        change = np.abs(last_change(context, self.name) * context.scale)
        masked = np.zeros(len(change), dtype=np.bool_)
        masked[np.argsort(-change, kind="stable")[: round(self.top * len(change))]] = True
        return masked & (change > 0)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row of codes is 0 in the masked coordinates."""
        return np.asarray(~(codes[:, self.masked(context)] != 0).any(axis=1))
