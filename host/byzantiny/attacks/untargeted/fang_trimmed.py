"""Fang's attack on trimmed mean and median: values just beyond the honest ones, on the side against the honest direction.

Fang, Cao, Jia, Gong. Local model poisoning attacks to Byzantine-robust federated learning. USENIX Security 2020,
arXiv 1911.11815, sections 4.3 and 4.4 (the two attacks are one).
Differs from the paper: updates stand for models. The code published with NDSS 2021 gives one side of the interval wherever the
direction is positive and nothing elsewhere, a weaker attack; both sides are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_number
from byzantiny.attacks.geometry import deviation, mean

Interval = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FangTrimmed:
    """Return, for every attacker and coordinate, a value drawn uniformly beyond the honest values.

    s is the sign of the honest mean. Omniscient: below the least honest value where s > 0, `[min / b, min]` for min > 0,
    else `[b min, min]`; above the largest where s < 0, `[max, b max]` for max > 0, else `[max, max / b]`.
    `knowledge="colluding"` (partial): `mean - s (3 .. 4) std` of the attackers' own honest updates. Where s = 0: the mean.

    Raises:
        AttackError: b not above 1, an unknown knowledge.

    >>> honest = np.array([[1, -1], [2, -2], [4, -4]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> row = FangTrimmed().craft(context)[0]
    >>> bool(0.5 <= row[0] <= 1), bool(-1 <= row[1] <= -0.5)
    (True, True)
    """

    b: float = 2.0
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "fang-trimmed"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="fang-trimmed",
        formula="beyond the honest values, against sign(mean); partial: mean - sign(mean) (3 + U) std",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Fang et al., USENIX Security 2020, arXiv 1911.11815",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "b", self.b, 1)
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.known(self.name, self.knowledge)
        low, high = beyond(rows, self.b) if self.knowledge == "omniscient" else far_out(rows)
        return low + (high - low) * context.rng.random((context.f, rows.shape[1]))


def beyond(rows: NDArray[np.float64], b: float) -> Interval:
    """Return the lower and upper ends of the intervals with full knowledge, (d,) each.

    >>> low, high = beyond(np.array([[1.0, -3.0], [2.0, 1.0]]), 2.0)
    >>> low.tolist(), high.tolist()
    ([0.5, 1.0], [1.0, 2.0])
    """
    sign, least, most = np.sign(mean(rows)), rows.min(axis=0), rows.max(axis=0)
    under = np.where(least > 0, least / b, least * b)
    over = np.where(most > 0, most * b, most / b)
    low = np.where(sign > 0, under, np.where(sign < 0, most, 0.0))
    return low, np.where(sign > 0, least, np.where(sign < 0, over, 0.0))


def far_out(rows: NDArray[np.float64]) -> Interval:
    """Return the ends of the intervals with partial knowledge: three to four deviations (ddof 0) from the mean.

    >>> low, high = far_out(np.array([[1.0], [3.0]]))
    >>> low.tolist(), high.tolist()
    ([-2.0], [-1.0])
    """
    middle, spread = mean(rows), deviation("fang-trimmed", rows, 0)
    sign = np.sign(middle)
    near, far = middle - 3 * sign * spread, middle - 4 * sign * spread
    return np.minimum(near, far), np.maximum(near, far)
