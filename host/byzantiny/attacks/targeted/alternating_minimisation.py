"""Alternating minimisation: a boosted step towards the wish, then stealth steps back among the honest, in turn.

Bhagoji, Chakraborty, Mittal, Calo. Analyzing federated learning through an adversarial lens. ICML 2019, arXiv 1811.12470. One
attacker, on its own, with an estimate of what the others send: the highest skill in the literature this project answers to.
Differs from the paper: the distance is half its square, so that its pull has a gradient everywhere; the estimate is the last change
of the global model ("last", the paper's) or the attacker's own honest update ("own").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo
from byzantiny.attacks.checks import require_choice, require_count
from byzantiny.attacks.local import Schedule, Workshop
from byzantiny.attacks.targeted.planted import CHOSEN_TAGS, Planted, generators_of, require_pull
from byzantiny.attacks.untargeted.past import last_change


@dataclass(frozen=True)
class AlternatingMinimisation(Planted):
    """Return delta after `rounds` turns of: one epoch on the wish with the rate boosted; `stealth` steps on own samples.

    A stealth step follows `dL_own + rho (delta - delta_honest)`, delta_honest the estimate.

    Raises:
        AttackError: rounds or stealth below 1, a rho below 0, an unknown estimate; from `craft`, as model-replacement; no chosen
            inputs; no history for the estimate "last".
    """

    trigger: str = "none"
    target: int | None = None
    rounds: int = 5
    stealth: int = 10
    rho: float = 1e-4
    estimate: Literal["last", "own"] = "own"

    name: ClassVar[str] = "alternating-minimisation"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="alternating-minimisation",
        formula="in turn: delta -= boost rate dL_wish; ten times delta -= rate (dL_own + rho (delta - delta_honest))",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="Bhagoji et al., ICML 2019, arXiv 1811.12470",
        aims_at="chosen inputs",
        needs=("model", "grid", "training", "chosen"),
        atlas=CHOSEN_TAGS[0],
        nist=CHOSEN_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_count(self.name, "rounds", self.rounds, 1)
        require_count(self.name, "stealth", self.stealth, 1)
        require_pull(self.name, self.rate, self.rho)
        require_choice(self.name, "estimate", self.estimate, ("last", "own"))

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop = Workshop.of(context, self.name)
        own = context.need(self.name, "own") if self.estimate == "own" else None
        rows = []
        for index, rng in enumerate(generators_of(context)):
            honest = own[index] if own is not None else last_change(context, self.name)
            rows.append(self._alternate(context, shop, index, rng, shop.to_real(honest)))
        return np.stack([shop.to_steps(row) for row in rows])

    def _alternate(
        self, context: AttackContext, shop: Workshop, index: int, rng: np.random.Generator, honest: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        def back(delta: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
            return gradient + self.rho * (delta - honest)

        wish, (x, y) = self.wanted(context, index), self.clean(context, index)
        boosted = Schedule(1, self.batch, self.rate * self.factor(context))
        delta = np.zeros_like(shop.start)
        for _ in range(self.rounds):
            delta = shop.descend(*wish, rng, boosted, delta)
            for _ in range(self.stealth):
                some = rng.integers(0, len(y), self.batch)
                delta = shop.descend(x[some], y[some], rng, Schedule(1, self.batch, self.rate), delta, back)
        return delta
