"""Conflict: an honest update, then its opposite under the same round, in the hope that the last one counts.

The second is CONFLICT while its round is open, and STALE once it has closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.objects import ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class ConflictingUpdates:
    """Send the honest object, then its codes negated."""

    name: ClassVar[str] = "conflicting-updates"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="conflicting-updates",
        formula="x_own, then -x_own",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("conflict", "stale"),
        leaves="honest",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        return (context.seal(), context.seal(-context.codes))
