"""Duplicates: the honest update, again and again, to be counted more than once.

The same bytes are answered with the receipt of the first, and are an input once (promise P2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.objects import ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class DuplicateUpdates:
    """Send the honest object `copies` times.

    Raises:
        AttackError: fewer than 2 copies.
    """

    copies: int = 3

    name: ClassVar[str] = "duplicate-updates"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="duplicate-updates",
        formula="x_own, `copies` times",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=(),
        leaves="honest",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "copies", self.copies, 2)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        return (context.seal(),) * self.copies
