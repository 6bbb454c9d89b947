"""Mimic: every attacker sends one honest client's update again, so that its data count f + 1 times.

Karimireddy, He, Jaggi. Byzantine-robust learning on heterogeneous datasets via bucketing. ICLR 2022, arXiv 2006.09365.
Differs from the paper: without `victim`, the honest row farthest from the honest mean is copied, in each round anew; the
paper follows a direction of largest variance over rounds. FLPoison's choice may fall on an attacker; here it never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.geometry import mean, squared_distances


@dataclass(frozen=True, slots=True)
class Mimic:
    """Return the honest row `victim` (in client-id order), or the one farthest from the honest mean, from every attacker.

    Raises:
        AttackError: a victim below 0; from `craft`, one that is not there.

    >>> honest = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 10]])
    >>> context = AttackContext(honest=honest, n=4, f=1, rng=np.random.default_rng(0))
    >>> Mimic(victim=0).craft(context).tolist(), Mimic().craft(context).tolist()
    ([[1.0, 2.0, 3.0]], [[7.0, 8.0, 10.0]])
    """

    victim: int | None = None

    name: ClassVar[str] = "mimic"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="mimic",
        formula="x_victim, an honest client's update; by default the one farthest from the honest mean",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="Karimireddy et al., ICLR 2022, arXiv 2006.09365",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.victim is not None:
            require_count(self.name, "victim", self.victim)

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        victim = self.victim
        if victim is None:
            victim = int(np.argmax(squared_distances(rows, mean(rows), context.scale)))
        if victim >= len(rows):
            raise AttackError(f"mimic: victim {victim} of {len(rows)} honest updates; choose one below {len(rows)}")
        return np.tile(rows[victim], (context.f, 1))
