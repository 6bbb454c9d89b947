"""Saturation pinning: a few coordinates, those the honest agree on most, are pinned at the edge of the grid; the rest is honest.

From this project. A saturated row is longer than any honest one by an order of magnitude and an L2 bound shrinks it; a row that
spends the whole bound on few coordinates reaches the edge there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_share
from byzantiny.attacks.geometry import mean
from byzantiny.attacks.lattice import integer_rows, on_grid
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class SaturationPinning:
    """Return own codes, with `-127 sign(mean)` in the `share` of coordinates where |mean| is largest.

    With an L2 bound announced, as many of these as it leaves room for (at least one); what is honest then gives way where
    both do not fit, and is scaled down.

    Raises:
        AttackError: a share outside 0 .. 1, an unknown knowledge.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 1]]))
    >>> SaturationPinning(share=0.34, knowledge="own").craft(context).tolist()
    [[3.0, 127.0, 1.0]]
    """

    share: float = 0.05
    knowledge: Knowledge = "colluding"

    name: ClassVar[str] = "saturation-pinning"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="saturation-pinning",
        formula="x_own, with -127 sign(mean) in the coordinates of the largest |mean|",
        goal="untargeted",
        knowledge="colluding",
        capability="update",
        paper="none; this project",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_share(self.name, "share", self.share)
        require_knowledge(self.name, self.knowledge, own=True)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        own = context.need(self.name, "own")
        ways = own if self.knowledge == "own" else mean(context.known(self.name, self.knowledge))[None]
        return np.stack(
            [self._pinned(context, row, way) for row, way in zip(own, np.broadcast_to(ways, own.shape), strict=True)]
        )

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether each row is within the announced bound."""
        rows = integer_rows(codes)
        return np.array([bool((on_grid(context, row) == row).all()) for row in rows])

    def _pinned(
        self, context: AttackContext, own: NDArray[np.float64], way: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        count = round(self.share * len(own))
        scale = np.broadcast_to(context.scale, own.shape)
        order = np.argsort(-np.abs(way), kind="stable")[:count]
        if context.l2_bound:
            cost = np.cumsum((CODE_LIMIT * scale[order]) ** 2)
            order = order[: max(1, int(np.searchsorted(cost, context.l2_bound**2, side="right")))]
        pinned = np.zeros_like(own)
        pinned[order] = -CODE_LIMIT * np.sign(way[order])
        rest = own.copy()
        rest[order] = 0.0
        room = context.l2_bound**2 - float(((pinned * scale) ** 2).sum())
        needed = float(((rest * scale) ** 2).sum())
        if context.l2_bound and needed > room:
            rest = np.trunc(rest * np.sqrt(max(0.0, room) / needed))
        return on_grid(context, pinned + rest)
