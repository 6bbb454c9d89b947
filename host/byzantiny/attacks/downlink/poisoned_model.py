"""Poisoned downlink: this round's own offer, and a model of the adversary's behind it.

A model has no tag of its own; the offer's names its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.downlink.hijack import Captured, Hijack, body_of
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.wire.codec import decode_offer
from byzantiny.wire.events import RoundWork


@dataclass(frozen=True, slots=True)
class PoisonedModel:
    """Send zeros in place of the model that the offer names."""

    name: ClassVar[str] = "poisoned-model"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="poisoned-model",
        formula="a model of its own, under this round's offer",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        answer=("hijacker:wrong_model",),
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
        return Hijack(scene, _lure, at_model=True)


def _lure(captured: Captured) -> RoundWork | None:
    assert captured.announced is not None
    sealed = captured.offers.get(captured.announced.round_num)
    if sealed is None:
        return None
    body = body_of(sealed)
    return RoundWork(captured.announced.round_num, body, bytes(decode_offer(body).model_bytes), sealed=sealed)
