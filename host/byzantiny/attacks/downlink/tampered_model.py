"""Tampered model: bits of the model's chunks are flipped on the way down, with a CRC that holds.

The device compares the whole with the hash in its offer and refuses it; the coordinator tries again, and then goes on without
that device. So whoever holds a link can silence a device, and not poison it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.attacks.link.chunks import Chunks, with_payload
from byzantiny.wire.messages import Frame, Kind


@dataclass(frozen=True, slots=True)
class TamperedModel:
    """Flip the lowest bit of every chunk's first byte."""

    name: ClassVar[str] = "tampered-model"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="tampered-model",
        formula="a bit of every chunk of the model",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        answer=("device",),
        leaves="silent",
        atlas=("AML.T0010", "AML.T0029"),
        nist=("NISTAML.01",),
    )

    @property
    def knowledge(self) -> Knowledge:
        """What comes down the links it holds."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""

        def change(frame: Frame, payload: bytes) -> list[Frame]:
            return [with_payload(frame, bytes([payload[0] ^ 1]) + payload[1:])]

        return Chunks(scene, Kind.MODEL, change)
