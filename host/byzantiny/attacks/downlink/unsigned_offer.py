"""Unsigned offer: a hijacked coordinator announces a round of its own, under a key that the device does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.downlink.hijack import Captured, Hijack
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.wire.events import RoundWork
from byzantiny.wire.messages import TAG_BYTES


@dataclass(frozen=True, slots=True)
class UnsignedOffer:
    """Offer the announced round with a seed of the adversary's, sealed with another key."""

    name: ClassVar[str] = "unsigned-offer"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="unsigned-offer",
        formula="an offer of its own, with another key's tag",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        answer=("hijacker:bad_tag",),
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
    announced = captured.announced
    return RoundWork(announced.round_num, bytes(announced.offer_bytes - TAG_BYTES), bytes(4))
