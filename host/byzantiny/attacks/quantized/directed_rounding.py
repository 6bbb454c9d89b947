"""Directed rounding: every code is one of the two that an honest stochastic rounding could have emitted, chosen adversely.

From this project; no paper. No test of a single update can reject it: as a row it has positive probability under honesty.
What it costs: at most one step a coordinate, half a step on average; on a coarse grid that is all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_share
from byzantiny.attacks.geometry import mean
from byzantiny.updates import CODE_LIMIT


@dataclass(frozen=True, slots=True)
class DirectedRounding:
    """Return `floor(x)` where the known mean is above 0 and `ceil(x)` where it is below, x the own update before rounding.

    `knowledge="own"` takes the signs of the own update itself, which is rounding towards zero. `strength` is the share of
    coordinates rounded so, those with the largest |mean| first; the others are rounded to nearest, as strength 0 is.

    Raises:
        AttackError: a strength outside 0 .. 1, an unknown knowledge; from `craft`, updates that are on the grid already.

    >>> own = np.array([[0.3, -0.3, 1.5]])
    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.zeros((1, 3)), unrounded=own)
    >>> DirectedRounding().craft(context).tolist()
    [[0.0, 0.0, 1.0]]
    """

    knowledge: Knowledge = "own"
    strength: float = 1.0

    name: ClassVar[str] = "directed-rounding"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="directed-rounding",
        formula="floor or ceil of x_own before rounding, whichever is against sign(mean)",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="none; this project",
        needs=("unrounded",),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
        idle="strength",
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge, own=True)
        require_share(self.name, "strength", self.strength)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        exact = self._exact(context)
        low, high = np.floor(exact), np.ceil(exact)
        ways = exact if self.knowledge == "own" else mean(context.known(self.name, self.knowledge))[None]
        against = np.where(ways > 0, low, np.where(ways < 0, high, np.where(exact - low < 0.5, low, high)))
        nearest = np.where(exact - low < 0.5, low, high)
        count = round(self.strength * exact.shape[1])
        rows = nearest
        ranked = np.argsort(-np.abs(np.broadcast_to(ways, exact.shape)), axis=1, kind="stable")[:, :count]
        np.put_along_axis(rows, ranked, np.take_along_axis(against, ranked, axis=1), axis=1)
        return np.clip(rows, -CODE_LIMIT, CODE_LIMIT) + 0.0

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return whether every code of a row is one an honest rounding could emit."""
        exact = np.clip(self._exact(context), -CODE_LIMIT, CODE_LIMIT)
        return np.asarray(((codes == np.floor(exact)) | (codes == np.ceil(exact))).all(axis=1))

    def _exact(self, context: AttackContext) -> NDArray[np.float64]:
        if context.unrounded is None:
            raise AttackError(
                "directed-rounding needs `unrounded`, which this context does not hold: of codes there is nothing left "
                "to round; hand over what the attackers' bodies trained"
            )
        return np.asarray(context.unrounded, dtype=np.float64)
