"""Lazy: hand back what everybody did in the last round, the change of the global model, as one's own work.

FedML's `lazy_worker`: Han et al., FedMLSecurity, arXiv 2306.04959.
Differs from it: FedML hands back an old model; here an update is a difference, so what is handed back is the last difference,
negated with `reverse` (a replay that undoes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.untargeted.past import last_change


@dataclass(frozen=True, slots=True)
class Lazy:
    """Return `w_t - w_(t-1)` in grid steps, negated with `reverse`, the same from all; zeros in the first round.

    Raises:
        AttackError: from `craft`, no model, history or grid.
    """

    reverse: bool = False

    name: ClassVar[str] = "lazy"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="lazy",
        formula="w_t - w_(t-1), or its negative",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Han et al., FedMLSecurity, arXiv 2306.04959",
        needs=("model", "history", "grid"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """No update at all."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        change = last_change(context, self.name)
        return np.tile(-change if self.reverse else change, (context.f, 1))
