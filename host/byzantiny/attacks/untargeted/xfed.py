"""Against the stream, alone: each attacker turns the last change of the global model around, at a length that is usual.

After XFED (arXiv 2604.09489), whose attackers do not collude, see no update but the global models, and take their scale
from the median and the MAD of recent changes. Differs from the paper: its constants are not known to us, so they are
parameters, and the direction is the unit vector against the mean recent change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_number
from byzantiny.attacks.geometry import norm


@dataclass(frozen=True, slots=True)
class XFed:
    """Return `-(median + k MAD) u` in grid steps: lengths and unit mean u of the last `window` changes of the global model.

    Without history an attacker is honest: it sends its own update.

    Raises:
        AttackError: a parameter out of range; from `craft`, no model, history or grid.

    >>> from byzantiny_models.networks import Layout, TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    >>> context = AttackContext(None, 4, 1, np.random.default_rng(0), model=np.array([192, 256]), layout=layout,
    ...                         shifts=(6,), history=[np.zeros(2, np.int32)], own=np.array([[1.0, 2.0]]))
    >>> XFed().craft(context).round(9).tolist()
    [[-3.0, -4.0]]
    """

    k: float = 1.0
    window: int = 5

    name: ClassVar[str] = "xfed"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="xfed",
        formula="-(median + k MAD of recent ||g||) * mean g / ||mean g||, g the changes of the global model",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="after arXiv 2604.09489",
        needs=("model", "history", "grid"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.k != 0:
            require_number(self.name, "k", self.k, 0)
        require_count(self.name, "window", self.window, 1)

    @property
    def knowledge(self) -> Knowledge:
        """The models that every client receives, and its own update until there are two."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own = context.need(self.name, "own")
        context.has(self.name, "model", "history")
        assert context.history is not None
        models = np.array([*context.history, context.model], dtype=np.float64)[-self.window - 1 :]
        changes = np.diff(models, axis=0) / context.step(self.name)
        lengths = np.array([norm(change) for change in changes])
        usual = changes.sum(axis=0)
        if not len(changes) or not norm(usual):
            return own
        middle = float(np.median(lengths))
        size = middle + self.k * float(np.median(np.abs(lengths - middle)))
        return np.tile(-size * usual / norm(usual), (context.f, 1))
