"""Late-update flood: hold updates back, then send all of them when their rounds are over.

Each is valid and late. It is recorded as STALE and is an input of no aggregation; the round waits for the held-back ones
until its deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.objects import PAST, ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class LateFlood:
    """Send nothing, and every `period` rounds what was held back since.

    Raises:
        AttackError: a period outside 2 .. 8.
    """

    period: int = 4

    name: ClassVar[str] = "late-flood"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="late-flood",
        formula="the updates of `period` - 1 rounds, when these are over",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("stale",),
        leaves="silent",
        atlas=("AML.T0029", "AML.T0031"),
        nist=("NISTAML.01",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "period", self.period, 2, PAST)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        if context.offer.round_num % self.period:
            return ()
        held = [upload for upload in context.past if upload.round_num > context.offer.round_num - self.period]
        return tuple(held)
