"""PoisonedFL: the same secret sign for every coordinate in every round, so that what gets through adds up.

Xie, Fang, Gong. Model poisoning attacks to federated learning via multi-round consistency. CVPR 2025, arXiv 2404.15611.
Differs from the published code: the thresholds of its test are computed for any d (the code has a table for four networks); what
it carries from round to round (its last update, its factor) is computed anew from the models, so that the attack keeps no
state; codes do not saturate in that calculation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count, require_number, require_share
from byzantiny.attacks.untargeted.past import changes
from byzantiny_models.rng import draw

Z99 = 2.3263478740408408
"""The 99th percentile of a normal: more than d/2 + z sqrt(d)/2 signs that agree are no accident."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class PoisonedFL:
    """Return `c ||g|| v * s`: s the secret signs, g the last change of the model, v the unit vector along `|g - k ||g||/||k|||`.

    k is what the attackers sent last round. Every `period` rounds, if the model's change over the period agrees with s in no
    more coordinates than chance gives (at 99 %), c shrinks by `shrink` as long as it stays at `floor` or above. In the first
    round, without a change to go by, zeros.

    Raises:
        AttackError: a factor that is not above 0, a shrink outside 0 .. 1; from `craft`, no model, history or grid.
    """

    factor: float = 8.0
    period: int = 50
    shrink: float = 0.7
    floor: float = 0.5
    secret: int = 1

    name: ClassVar[str] = "poisoned-fl"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="poisoned-fl",
        formula="c ||g|| v * s, s fixed secret signs, g the last change of the global model",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Xie, Fang and Gong, CVPR 2025, arXiv 2404.15611",
        needs=("model", "history", "grid"),
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_number(self.name, "factor", self.factor, 0)
        require_number(self.name, "floor", self.floor, 0)
        require_count(self.name, "period", self.period, 1)
        require_share(self.name, "shrink", self.shrink)
        require_count(self.name, "secret", self.secret)

    @property
    def knowledge(self) -> Knowledge:
        """No update at all; the models that everyone receives."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        past = changes(context, self.name)
        signs = secret_signs(past.shape[1], self.secret + context.campaign)
        return np.tile(self._sent(past, signs), (context.f, 1))

    def _sent(self, past: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the attackers send after the last change of the model, having sent what they did after each before."""
        factor, sent = self.factor, np.zeros(past.shape[1])
        for number, change in enumerate(past, 1):
            length, before = _norm(change), _norm(sent)
            away = np.abs(change - sent * (length / (before + _TINY)))
            if number % self.period == 0:
                total = past[number - self.period : number].sum(axis=0)
                agree = int(np.count_nonzero(np.sign(total) == signs))
                if agree < len(signs) / 2 + Z99 * math.sqrt(len(signs)) / 2 and factor * self.shrink >= self.floor:
                    factor *= self.shrink
            sent = factor * length * away / (_norm(away) + _TINY) * signs
        return sent


def secret_signs(d: int, secret: int) -> NDArray[np.float64]:
    """Return d signs that whoever knows the secret computes, +1 or -1: bit 31 of `draw(i, secret, 0x50464C)`.

    >>> secret_signs(6, 1).tolist() == secret_signs(6, 1).tolist()
    True
    """
    bits = draw(np.arange(d, dtype=np.uint32), secret & 0xFFFFFFFF, 0x50464C) >> np.uint32(31)
    return np.where(bits == 1, 1.0, -1.0)


def _norm(x: NDArray[np.float64]) -> float:
    return math.sqrt(math.fsum(x * x))
