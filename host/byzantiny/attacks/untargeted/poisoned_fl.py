"""PoisonedFL: one random sign vector, kept over all rounds, so that what a defence leaves of each round adds up.

Xie, Fang, Gong. Model poisoning attacks to federated learning via multi-round consistency. CVPR 2025, arXiv 2404.15611.
Differs from the paper: state is worked out anew from the global models that every client receives, so the attack is a pure
function; the first round with no history sends a row of the announced bound's length (the paper: of the first models'
differences).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_number, require_share
from byzantiny.attacks.geometry import Floats, norm


@dataclass(frozen=True, slots=True)
class PoisonedFL:
    """Return `lambda_t * v_t * s` in grid steps: s random signs of the campaign, v_t >= 0 of length 1, from every attacker.

    With g the last change of the global model and k the attackers' row before it: `v_t ~ |g - k ||g|| / ||k|| |`,
    `lambda_t = factor * ||g||`. Every `period` rounds: if the model has not moved along s in more coordinates than chance
    explains (one-sided, level 0.01), the factor is multiplied by 0.7, down to `least`.

    Raises:
        AttackError: a parameter out of range; from `craft`, no model, history or grid.

    >>> from byzantiny_models.networks import Layout, TensorSpec
    >>> layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    >>> context = AttackContext(None, 4, 1, np.random.default_rng(0), model=np.array([64, 0, 0]), layout=layout,
    ...                         shifts=(6,), history=[np.zeros(3, np.int32)], campaign=1)
    >>> row = PoisonedFL().craft(context)[0]
    >>> bool(np.array_equal(np.sign(row)[:1], signs(1, 3)[:1])), float(np.linalg.norm(row).round(6))
    (True, 8.0)
    """

    factor: float = 8.0
    period: int = 50
    least: float = 0.5

    name: ClassVar[str] = "poisoned-fl"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="poisoned-fl",
        formula="lambda_t * v_t * s, s fixed random signs; lambda_t = factor ||g||, v_t ~ |g - k ||g|| / ||k|||",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Xie et al., CVPR 2025, arXiv 2404.15611",
        needs=("model", "history", "grid"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "factor", self.factor, 0)
        require_count(self.name, "period", self.period, 1)
        require_share(self.name, "least", self.least, 0.0, self.factor)

    @property
    def knowledge(self) -> Knowledge:
        """The models that every client receives."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        context.has(self.name, "model", "history")
        step = context.step(self.name)
        assert context.model is not None
        assert context.history is not None
        models = [np.asarray(model, dtype=np.float64) / step for model in (*context.history, context.model)]
        sign = signs(context.campaign, len(step))
        row = sign * (context.l2_bound or math.sqrt(len(step))) / math.sqrt(len(step))
        factor = self.factor
        for t in range(1, len(models)):
            moved = models[t] - models[t - 1]
            row = self._following(row, moved, sign, factor)
            if t % self.period == 0 and not moves_along(models[t] - models[t - self.period], sign):
                factor = max(self.least, 0.7 * factor)
        return np.tile(row, (context.f, 1))

    @staticmethod
    def _following(row: Floats, moved: Floats, sign: Floats, factor: float) -> Floats:
        length, before = norm(moved), norm(row)
        rest = np.abs(moved - (row * (length / before) if before else 0.0))
        size = norm(rest)
        way: Floats = rest / size if size else np.full(len(rest), len(rest) ** -0.5)
        return np.asarray(factor * length * way * sign)


def signs(campaign: int, d: int) -> Floats:
    """Return the random signs of a campaign, (d,).

    >>> signs(1, 4).tolist() == signs(1, 4).tolist(), sorted(set(np.abs(signs(2, 9)).tolist()))
    (True, [1.0])
    """
    drawn = np.random.default_rng([campaign, 0x50464C]).integers(0, 2, d)
    return np.asarray(2.0 * drawn - 1.0)


def moves_along(moved: Floats, sign: Floats, level: float = 0.01) -> bool:
    """Return whether more coordinates moved along the signs than chance explains: the normal limit of a binomial test.

    >>> moves_along(np.ones(100), np.ones(100)), moves_along(np.ones(100), np.tile([1.0, -1.0], 50))
    (True, False)
    """
    active = np.count_nonzero(moved)
    if not active:
        return False
    along = np.count_nonzero(moved * sign > 0)
    return bool((along - active / 2) / math.sqrt(active / 4) > NormalDist().inv_cdf(1 - level))
