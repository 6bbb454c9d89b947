"""PGD backdoor: train the backdoor inside a ball around the model, so that no norm is out of the ordinary.

Sun, Kairouz, Suresh, McMahan. Can you really backdoor federated learning? arXiv 1911.07963 (norm-bounded backdoors); Wang et al.
Attack of the tails. NeurIPS 2020, arXiv 2007.05084 (PGD).
Differs from the papers: the radius is in grid steps and by default the length of the attacker's own honest update; the codes
themselves are inside it, not the real numbers they are rounded from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo
from byzantiny.attacks.checks import require_count, require_number
from byzantiny.attacks.geometry import norm
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.targeted.planted import TRIGGER_TAGS, Planted, generators_of


@dataclass(frozen=True)
class PGDBackdoor(Planted):
    """Return `w - w_t` after SGD on own and malicious samples, projected onto `||w - w_t|| <= radius` every few steps.

    The result is an integer row inside the ball. It is not boosted: `boost` multiplies before the last projection.

    Raises:
        AttackError: a radius not above 0, every < 1; from `craft`, as model-replacement; without a radius, no own update.
    """

    radius: float | None = None
    every: int = 2

    name: ClassVar[str] = "pgd-backdoor"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="pgd-backdoor",
        formula="w - w_t, projected onto a ball of the length of an honest update every few steps",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="Sun et al., arXiv 1911.07963; Wang et al., NeurIPS 2020, arXiv 2007.05084",
        aims_at="trigger",
        needs=("model", "grid", "training"),
        atlas=TRIGGER_TAGS[0],
        nist=TRIGGER_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_count(self.name, "every", self.every, 1)
        if self.radius is not None:
            require_number(self.name, "radius", self.radius, 0)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        shop, radii, scale = Workshop.of(context, self.name), self._radii(context), context.scale
        rows = []
        for index, rng in enumerate(generators_of(context)):
            radius = radii[index]

            def project(delta: NDArray[np.float64], number: int, radius: float = radius) -> NDArray[np.float64]:
                length = norm(shop.to_steps(delta), scale)
                return delta * (radius / length) if number % self.every == 0 and length > radius else delta

            delta = shop.descend(*self.mixture(context, index), rng, self.schedule, project=project)
            rows.append(on_grid(context, shop.to_steps(delta) * (self.boost or 1.0), radius))
        return np.stack(rows)

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row of codes is in its ball."""
        radii = self._radii(context)
        return np.array([norm(row.astype(float), context.scale) <= r for row, r in zip(codes, radii, strict=True)])

    def _radii(self, context: AttackContext) -> list[float]:
        if self.radius is not None:
            return [self.radius] * context.f
        return [norm(row, context.scale) for row in context.need(self.name, "own")]
