"""Replay: the whole and valid update of an earlier round, once more, in place of this round's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.objects import PAST, ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class Replay:
    """Send the object of `back` rounds ago; nothing before there is one.

    Raises:
        AttackError: `back` outside 1 .. 8.
    """

    back: int = 1

    name: ClassVar[str] = "replay"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="replay",
        formula="the update of `back` rounds ago",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("stale",),
        leaves="silent",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "back", self.back, 1, PAST)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        return context.past[-self.back :][:1] if len(context.past) >= self.back else ()
