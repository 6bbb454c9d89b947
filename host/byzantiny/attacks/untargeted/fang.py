"""Fang's attacks: against Krum, and against the trimmed mean and the median, with full or partial knowledge.

Fang, Cao, Jia, Gong. Local model poisoning attacks to Byzantine-robust federated learning. USENIX Security 2020, arXiv
1911.11815. Differs from the paper: updates, not models (the paper's w_Re is 0 here); supporters of the Krum attack are
copies, which on a grid are as near as can be; lambda is an integer number of steps, because the wire rounds, and below one
step nothing is left. NDSS21's code masks both sides of the trimmed-mean attack with one condition, which weakens it; here
each side has its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_number
from byzantiny.attacks.geometry import Floats, deviation, krum_choice, mean, norm, pairwise
from byzantiny.attacks.lattice import on_grid


@dataclass(frozen=True, slots=True)
class FangKrum:
    """Return `-lambda sign(mean)`, the largest lambda tried, halved from an upper bound, at which Krum picks an attacker.

    `lambda_max = (min_i of the sum of the n - f - 2 nearest distances from honest row i) / ((n - 2f - 1) sqrt(d)) +
    max_i ||x_i|| / sqrt(d)`. With `knowledge="colluding"` the attackers' own updates stand for the honest ones.

    Raises:
        AttackError: an unknown knowledge; from `craft`, n <= 2f + 1, for which the paper has no bound.

    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> FangKrum().craft(AttackContext(honest=honest, n=7, f=2, rng=np.random.default_rng(0))).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "fang-krum"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="fang-krum",
        formula="-lambda sign(mean), lambda halved from lambda_max until Krum picks it",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Fang et al., USENIX Security 2020, arXiv 1911.11815",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.known(self.name, self.knowledge)
        signs = np.sign(mean(rows))
        strength = self.start(context, rows)
        while True:
            row = on_grid(context, -strength * signs)
            everyone = np.concatenate([rows, np.tile(row, (context.f, 1))])
            if strength <= 1 or krum_choice(everyone, context.f, context.scale) >= len(rows):
                return np.tile(row, (context.f, 1))
            strength = float(strength // 2)

    def start(self, context: AttackContext, rows: Floats) -> float:
        """Return lambda_max in whole steps, at least 1.

        Raises:
            AttackError: n <= 2f + 1.
        """
        n, f, d = context.n, context.f, rows.shape[1]
        if n - 2 * f - 1 < 1:
            raise AttackError(f"fang-krum with n = {n}, f = {f}: the bound needs n > 2f + 1; add clients")
        distances = np.sqrt(np.sort(pairwise(rows, context.scale), axis=1))
        nearest = distances[:, 1 : max(2, n - f - 1)].sum(axis=1).min() if len(rows) > 1 else 0.0
        largest = max(norm(row, context.scale) for row in rows)
        return float(max(1, math.floor(nearest / ((n - 2 * f - 1) * math.sqrt(d)) + largest / math.sqrt(d))))


@dataclass(frozen=True, slots=True)
class FangTrim:
    """Return rows just beyond the honest values, on the side against the mean: the attack on trimmed mean and median.

    Full knowledge (`omniscient`), per coordinate and attacker, uniform: mean > 0: in [min/b, min], or [b min, min] for a
    negative minimum; mean < 0: in [max, b max], or [max, max/b] for a negative maximum. Partial (`colluding`): `mean -+ std
    U[3, 4]` of the attackers' own updates.

    Raises:
        AttackError: b at most 1, an unknown knowledge; from `craft`, too few rows for a deviation.

    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> rows = FangTrim().craft(AttackContext(honest=honest, n=7, f=2, rng=np.random.default_rng(0)))
    >>> bool(((rows[:, 0] >= 4.5) & (rows[:, 0] <= 9)).all()), bool(((rows[:, 1] >= -2) & (rows[:, 1] <= -1)).all())
    (True, True)
    """

    b: float = 2.0
    knowledge: Knowledge = "omniscient"

    name: ClassVar[str] = "fang-trim"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="fang-trim",
        formula="uniform in [min/b, min] or [max, b max], beyond the honest values; partial: mean -+ std U[3, 4]",
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
        if self.knowledge == "omniscient":
            low, high = self.bounds(rows)
        else:
            middle, std = mean(rows), deviation(self.name, rows, 0)
            side = -np.sign(middle)
            ends = np.stack([middle + 3 * side * std, middle + 4 * side * std])
            low, high = ends.min(axis=0), ends.max(axis=0)
        shares: Floats = context.rng.random((context.f, rows.shape[1]))
        return low + shares * (high - low)

    def bounds(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return the interval of every coordinate that full knowledge draws from, (d,) and (d,); the mean where it is 0."""
        middle, least, most = mean(rows), rows.min(axis=0), rows.max(axis=0)
        below = (np.where(least > 0, least / self.b, self.b * least), least)
        above = (most, np.where(most > 0, self.b * most, most / self.b))
        low = np.where(middle > 0, below[0], np.where(middle < 0, above[0], 0.0))
        high = np.where(middle > 0, below[1], np.where(middle < 0, above[1], 0.0))
        return low, high
