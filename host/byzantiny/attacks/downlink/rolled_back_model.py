"""Rolled-back model: this round's own offer, and the model of an earlier round behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.downlink.hijack import Captured, Hijack, body_of, earlier
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.wire.events import RoundWork


@dataclass(frozen=True, slots=True)
class RolledBackModel:
    """Send the oldest captured model in place of the one that the offer names; nothing before the second round."""

    name: ClassVar[str] = "rolled-back-model"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="rolled-back-model",
        formula="the model of an earlier round, under this round's offer",
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
    announced = captured.announced
    sealed, model = captured.offers.get(announced.round_num), earlier(captured.models, announced)
    if sealed is None or model is None:
        return None
    return RoundWork(announced.round_num, body_of(sealed), model, sealed=sealed)
