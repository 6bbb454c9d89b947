"""Split update: the multi-party attack, its total cut into parts that differ from each other as honest updates do.

A variant under a name of its own, from this project: in the published form all compromised devices send the same row, which is what
FoolsGold-like defences look for. Here each adds what its own honest update has and the others' have not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_share
from byzantiny.attacks.geometry import mean
from byzantiny.attacks.targeted.multi_party import MultiParty
from byzantiny.attacks.targeted.planted import CHOSEN_TAGS, Planted, require_pull


@dataclass(frozen=True)
class SplitUpdate(Planted):
    """Return `delta + diversity * (x_own - mean of own)`, delta the multi-party attack's; integers whose sum is f delta's.

    The differences sum to zero, and rounding is by largest remainder in every coordinate, so what the attackers add to a
    sum of all updates is, to the step, what the published form adds (unless a code saturates).

    Raises:
        AttackError: a diversity outside 0 .. 100; else as multi-party.
    """

    trigger: str = "none"
    target: int | None = None
    epochs: int = 30
    accuracy: float = 1.0
    rho: float = 1e-2
    diversity: float = 1.0

    name: ClassVar[str] = "split-update"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="split-update",
        formula="multi-party's delta + (x_own - mean of the attackers' own), the sum kept",
        goal="targeted",
        knowledge="omniscient",
        capability="update",
        paper="none; a variant of Chen et al., High-Confidence Computing 1(1), 2021",
        aims_at="chosen inputs",
        needs=("model", "grid", "training", "chosen"),
        atlas=CHOSEN_TAGS[0],
        nist=CHOSEN_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_share(self.name, "diversity", self.diversity, 0.0, 100.0)
        require_share(self.name, "accuracy", self.accuracy, 0.0, 1e6)
        require_pull(self.name, self.rate, self.rho)

    @property
    def knowledge(self) -> Knowledge:
        """Everyone's updates, as the multi-party attack with perfect knowledge."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d), integers in grid steps."""
        joint = MultiParty(
            self.trigger, self.target, self.value, self.share, self.count, self.epochs, self.batch, self.rate, self.boost,
            self.accuracy, self.rho,
        )  # fmt: skip
        shop, delta = joint.joint(context)
        own = context.need(self.name, "own")
        return shared_out(shop.to_steps(delta) + self.diversity * (own - mean(own)))


def shared_out(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return integer rows, each floor or ceil of a real one, whose sum in every coordinate is the rounded sum.

    >>> shared_out(np.array([[0.5, 1.2], [0.5, 1.1], [0.5, 1.0]])).sum(axis=0).tolist()
    [2.0, 3.0]
    """
    low = np.floor(rows)
    missing = np.floor(rows.sum(axis=0) + 0.5) - low.sum(axis=0)
    order = np.argsort(-(rows - low), axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(rows))[:, None], axis=0)
    return np.asarray(low + (ranks < missing), dtype=np.float64)
