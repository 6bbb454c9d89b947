"""Sample-count inflation: an honest update that claims many times the samples it was trained on.

A rule that weights by what clients say (`weighted-mean` with `self_reported`) would count it as many clients. The coordinator
knows what a device was enrolled with, and refuses a claim above that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.objects import ForgeContext, Upload


@dataclass(frozen=True, slots=True)
class SampleInflation:
    """Claim `factor` times the samples, at most 65,535.

    Raises:
        AttackError: a factor below 2.
    """

    factor: int = 100

    name: ClassVar[str] = "sample-inflation"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="sample-inflation",
        formula="n_samples * factor",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("rejected:samples",),
        leaves="silent",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "factor", self.factor, 2)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        return (context.seal(n_samples=min(context.n_samples * self.factor, 65_535)),)
