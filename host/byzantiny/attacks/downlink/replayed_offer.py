"""Replayed offer: a hijacked coordinator announces an earlier round again, with the very object of that round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.downlink.hijack import Captured, Hijack, body_of, earlier
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.wire.codec import decode_offer
from byzantiny.wire.events import RoundWork


@dataclass(frozen=True, slots=True)
class ReplayedOffer:
    """Announce the oldest round that was captured; nothing before the third, for a device takes the last one for its own."""

    name: ClassVar[str] = "replayed-offer"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="replayed-offer",
        formula="the offer of an earlier round, under its own number",
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
    body = body_of(sealed)
    number = decode_offer(body).round_num
    return RoundWork(number, body, captured.models.get(number, bytes(4)), sealed=sealed)
