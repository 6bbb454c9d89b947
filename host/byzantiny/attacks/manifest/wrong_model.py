"""Model-hash lie: an update that says it answers an offer of another model.

A manifest names the model through the hash of the offer, so such an offer was never made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.objects import ForgeContext, Upload, offer_hash
from byzantiny.wire.codec import encode_offer


@dataclass(frozen=True, slots=True)
class WrongModel:
    """Answer the round's offer with its model's hash replaced."""

    name: ClassVar[str] = "wrong-model"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="wrong-model",
        formula="the offer's hash, of another model",
        goal="untargeted",
        knowledge="own",
        capability="manifest",
        paper="from this project: docs/wire.md 5",
        answer=("rejected:unknown_offer",),
        leaves="silent",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects of the round."""
        other = encode_offer(replace(context.offer, model_sha256=bytes(32)))
        return (context.seal(offer_sha256=offer_hash(other)),)
