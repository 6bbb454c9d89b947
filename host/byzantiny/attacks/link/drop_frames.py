"""Frame dropping: cut honest clients off, so that too few are left for the rule, and the round has no aggregate.

A rule refuses to work beyond its limit (SPEC 4), which an adversary can turn into a denial of service without a single lie:
its measure is the denial rate. What helps is a rule with a lower limit, a larger cohort, or links that are not all one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.frames import NOTHING, LinkScene, Passed, Tap, Wiretap, read
from byzantiny.wire.messages import Round


@dataclass(frozen=True, slots=True)
class DropFrames:
    """Drop everything that comes up the links it holds."""

    name: ClassVar[str] = "drop-frames"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="drop-frames",
        formula="no frame of f clients arrives",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: SPEC 4, docs/metrics.md",
        answer=("missing",),
        leaves="silent",
        atlas=("AML.T0029",),
        nist=("NISTAML.01",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """Nothing."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        return _Cut(scene)


class _Cut(Wiretap):
    def __init__(self, scene: LinkScene) -> None:
        self._scene = scene
        self._round: int | None = None

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        seen = read(frame, up=False)
        if seen is not None and isinstance(seen.message, Round):
            self._round = seen.message.round_num
        return super().down(client_id, frame, now)

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        cut = client_id in self._scene.held and self._scene.during(self._round)
        return NOTHING if cut else super().up(client_id, frame, now)
