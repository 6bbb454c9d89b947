"""Fang's attack on Krum: the largest step against the honest direction that Krum still picks.

Fang, Cao, Jia, Gong. Local model poisoning attacks to Byzantine-robust federated learning. USENIX Security 2020,
arXiv 1911.11815, section 4.2.
Differs from the paper: updates stand for models (w_Re is the zero update); lambda is in grid steps, so halving stops at
half a step, where every row is the honest one again (the paper: 1e-5); candidates are put on the grid before Krum judges them. The
other attackers support the chosen row within `epsilon` (the paper .01, here steps, so that 0 means equal rows).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_knowledge, require_share
from byzantiny.attacks.geometry import krum_choice, mean, pairwise, squared_distances
from byzantiny.attacks.lattice import on_grid

LEAST = 0.5


@dataclass(frozen=True, slots=True)
class FangKrum:
    """Return `-lambda * sign(mean)`, the largest lambda of `lambda_max / 2^k` with which Krum picks an attacker.

    `lambda_max = min_i sum of the n - f - 2 nearest ||x_l - x_i|| / ((n - 2f - 1) sqrt(d)) + max_i ||x_i|| / sqrt(d)`.
    `knowledge="colluding"` (partial): the attackers' own honest updates stand for all, and copies of the candidate are added
    one by one until Krum picks one of them. If nothing is picked the last, smallest step is sent.

    Raises:
        AttackError: f < 2 (the row needs a supporter), an epsilon below 0, an unknown knowledge.

    >>> honest = np.array([[9, 9], [10, 10], [11, 11], [10, 9], [9, 10]])
    >>> context = AttackContext(honest=honest, n=7, f=2, rng=np.random.default_rng(0))
    >>> FangKrum().craft(context).tolist()[0]
    [-1.0, -1.0]
    """

    knowledge: Knowledge = "omniscient"
    epsilon: float = 0.0

    name: ClassVar[str] = "fang-krum"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="fang-krum",
        formula="-lambda sign(mean), the largest lambda that Krum picks",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Fang et al., USENIX Security 2020, arXiv 1911.11815",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_knowledge(self.name, self.knowledge)
        require_share(self.name, "epsilon", self.epsilon, 0.0, 127.0)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        if context.f < 2:
            raise AttackError(f"fang-krum with f = {context.f}: the row needs a supporter; give at least 2 attackers")
        rows = context.known(self.name, self.knowledge)
        against = -np.sign(mean(rows))
        reach = lambda_max(rows, context.n, context.f, context.scale)
        copies = [context.f] if self.knowledge == "omniscient" else range(1, context.f + 1)
        last = on_grid(context, LEAST * against)
        for count in copies:
            step = reach
            while step >= LEAST:
                candidate = on_grid(context, step * against)
                cohort = np.concatenate([rows, np.tile(candidate, (count, 1))])
                f = context.f if self.knowledge == "omniscient" else count
                if krum_choice(cohort, f, context.scale) >= len(rows):
                    return self._supported(context, candidate)
                step /= 2
        return self._supported(context, last)

    def _supported(self, context: AttackContext, candidate: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the candidate and, at a distance of up to epsilon in every direction, its supporters."""
        rows = np.tile(candidate, (context.f, 1))
        if self.epsilon:
            ways = context.rng.normal(size=(context.f - 1, len(candidate)))
            ways *= (
                self.epsilon * context.rng.random((context.f - 1, 1)) / np.sqrt((ways**2).sum(axis=1, keepdims=True))
            )
            rows[1:] += ways
        return rows


def lambda_max(rows: NDArray[np.float64], n: int, f: int, scale: NDArray[np.float64] | float = 1.0) -> float:
    """Return the paper's upper bound of lambda, theorem 1, with distances not squared.

    >>> rows = np.array([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    >>> round(lambda_max(rows, 7, 2), 4) == round(5 / 2**0.5, 4)
    True
    """
    distances = np.sqrt(pairwise(rows, scale))
    nearest = np.sort(distances, axis=1)[:, 1 : 1 + max(1, n - f - 2)]  # the first is the distance to itself
    width = np.sqrt(rows.shape[1])
    lengths = np.sqrt(squared_distances(rows, np.zeros(rows.shape[1]), scale))
    return float(nearest.sum(axis=1).min() / (max(1, n - 2 * f - 1) * width) + lengths.max() / width)
