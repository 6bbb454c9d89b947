"""XFED-style: attackers that do not know of each other, each guided by how the global model moved in the past.

After Mouri, Ridowan, Abdullah Adnan. XFED: non-collusive model poisoning attack against Byzantine-robust federated
classifiers. arXiv 2604.09489: the scale of a benign update is estimated by median and MAD of recent global changes, and a
perturbation of that scale is added against a unit direction.
Differs from the paper: its constants were not to be had, so `mads` and `window` are ours, and the direction is each attacker's
own honest update, negated. Numbers of the paper cannot be compared with this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_share
from byzantiny.attacks.geometry import squared_distances
from byzantiny.attacks.untargeted.past import changes


@dataclass(frozen=True, slots=True)
class XFED:
    """Return `x_own - (median + mads * MAD) * x_own / ||x_own||`, median and MAD of the lengths of the last `window` changes.

    Without a change yet, the length of its own update stands for the median: then it sends zeros.

    Raises:
        AttackError: mads below 0, a window below 1; from `craft`, no own update, model, history or grid.
    """

    mads: float = 3.0
    window: int = 10

    name: ClassVar[str] = "xfed"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="xfed",
        formula="x_own - (median + mads MAD of the lengths of past global changes) * x_own / ||x_own||",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="after Mouri et al., arXiv 2604.09489 (our constants)",
        needs=("model", "history", "grid"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "mads", self.mads, 0.0, 1e6)
        require_count(self.name, "window", self.window, 1)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update, and the models that everyone receives."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own, past = context.need(self.name, "own"), changes(context, self.name)[-self.window :]
        zero, scale = np.zeros(own.shape[1]), context.scale
        lengths = np.sqrt(squared_distances(own, zero, scale))[:, None]
        reach = lengths
        if len(past):
            moved = np.sqrt(squared_distances(past, zero, scale))
            middle = float(np.median(moved))
            reach = np.full_like(lengths, middle + self.mads * float(np.median(np.abs(moved - middle))))
        return own - np.divide(reach * own, lengths, out=np.zeros_like(own), where=lengths > 0)
