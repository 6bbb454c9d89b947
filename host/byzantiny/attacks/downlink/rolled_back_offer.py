"""Rolled-back offer: the announcement is of this round, the object, tag and all, of an earlier one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.downlink.hijack import Captured, Hijack, body_of, earlier
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.wire.events import RoundWork


@dataclass(frozen=True, slots=True)
class RolledBackOffer:
    """Announce this round with the oldest captured offer; nothing before the third, for a device takes the last one for its own."""

    name: ClassVar[str] = "rolled-back-offer"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="rolled-back-offer",
        formula="the offer of an earlier round, under this round's number",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        answer=("hijacker:stale_round",),
        leaves="honest",
        atlas=("AML.T0010", "AML.T0018.000"),
        nist=("NISTAML.051",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """What comes down the links it holds."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        return Hijack(scene, _lure, at_model=False)


def _lure(captured: Captured) -> RoundWork | None:
    assert captured.announced is not None
    sealed = earlier(captured.offers, captured.announced, back=2)
    if sealed is None:
        return None
    return RoundWork(captured.announced.round_num, body_of(sealed), bytes(4), sealed=sealed)
