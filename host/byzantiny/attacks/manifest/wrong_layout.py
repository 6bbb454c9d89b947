"""Layout lie: an update with fewer or more codes than the layout has coordinates, sealed and hashed as if that were right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.objects import ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class WrongLayout:
    """Leave the last `missing` codes out.

    Raises:
        AttackError: `missing` below 1.
    """

    missing: int = 1

    name: ClassVar[str] = "wrong-layout"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="wrong-layout",
        formula="d - missing codes",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("rejected:wrong_layout",),
        leaves="silent",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "missing", self.missing, 1)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        return (context.seal(context.codes[: max(1, len(context.codes) - self.missing)]),)
