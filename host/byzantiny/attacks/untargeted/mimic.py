"""Mimic: all attackers copy one honest client, whose data then counts too much; nothing they send is false.

Karimireddy, He, Jaggi. Byzantine-robust learning on heterogeneous datasets via bucketing. ICLR 2022, arXiv 2006.09365.
Differs from the paper: it learns in a warm-up whom to copy (the direction of largest variance); here that is computed from
the round's honest rows with `choose="spread"`, or the client is named by number (ByzFL: epsilon = 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count
from byzantiny.attacks.geometry import mean


@dataclass(frozen=True, slots=True)
class Mimic:
    """Return honest row `client` from every attacker, or the one that lies farthest out along the widest direction.

    `choose="spread"`: the row with the largest |projection of x - mean| on the first principal axis; ties: the first.

    Raises:
        AttackError: a client that is no number from 0, an unknown choice; from `craft`, a client that is not there.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> Mimic().craft(context).tolist()
    [[1.0, 2.0, 3.0]]
    """

    client: int = 0
    choose: Literal["client", "spread"] = "client"

    name: ClassVar[str] = "mimic"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="mimic",
        formula="x_i of one honest client i, from all",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Karimireddy et al., ICLR 2022, arXiv 2006.09365",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "client", self.client)
        require_choice(self.name, "choose", self.choose, ("client", "spread"))

    @property
    def knowledge(self) -> Knowledge:
        """Everyone's updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        chosen = self.client
        if self.choose == "spread":
            chosen = int(np.argmax(np.abs(_scores(rows - mean(rows)))))
        if chosen >= len(rows):
            raise AttackError(f"mimic: client is {chosen}; there are {len(rows)} honest clients, counted from 0")
        return np.tile(rows[chosen], (context.f, 1))


def _scores(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the projections on the first principal axis, (m,), through the m x m Gram matrix, exact of what it is given."""
    gram = np.einsum("id,jd->ij", centred, centred)
    _, vectors = np.linalg.eigh(gram)
    scores = gram @ vectors[:, -1]
    return np.asarray(np.round(scores / (np.abs(scores).max() or 1.0), 9), dtype=np.float64)
