"""What every client can compute of the past: how the global model changed from round to round, in grid steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.context import AttackContext


def changes(context: AttackContext, attack: str) -> NDArray[np.float64]:
    """Return `w_k - w_(k-1)` for every round so far, the oldest first, (rounds, d) in steps of the present grid.

    Raises:
        AttackError: no model, history or grid.
    """
    context.has(attack, "model", "history")
    step = context.step(attack)
    assert context.history is not None
    assert context.model is not None
    models = np.asarray([*context.history, context.model], dtype=np.float64)
    return np.diff(models, axis=0) / step


def last_change(context: AttackContext, attack: str) -> NDArray[np.float64]:
    """Return the last of `changes`, (d,); zeros before there is one."""
    found = changes(context, attack)
    return found[-1] if len(found) else np.zeros(len(context.step(attack)))
