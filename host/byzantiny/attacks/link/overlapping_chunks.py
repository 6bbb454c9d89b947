"""Overlapping chunks: bytes of the adversary's own over those of an update, at the same offset and beside it.

The first chunk at an offset counts, a misaligned one never. So forged bytes that come first break the object's hash, which the
coordinator finds before anything else looks at it; those that come second change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.attacks.link.chunks import Chunks, with_payload
from byzantiny.wire.messages import Frame, Kind


@dataclass(frozen=True, slots=True)
class OverlappingChunks:
    """Send every chunk of an update with its bits flipped as well, at its own offset and one byte further.

    Raises:
        AttackError: `order` is neither "before" nor "after" the real one.
    """

    order: Literal["before", "after"] = "before"

    name: ClassVar[str] = "overlapping-chunks"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="overlapping-chunks",
        formula="chunks over chunks, with other bytes",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/wire.md 4",
        answer=("device",),
        leaves="silent",
        atlas=("AML.T0029",),
        nist=("NISTAML.01",),
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "order", self.order, ("before", "after"))

    @property
    def knowledge(self) -> Knowledge:
        """The frames of the links it holds."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""

        def change(frame: Frame, payload: bytes) -> list[Frame]:
            forged = with_payload(frame, bytes(byte ^ 255 for byte in payload))
            both = [forged, frame] if self.order == "before" else [frame, forged]
            return [replace(forged, offset=frame.offset + 1), *both]

        return Chunks(scene, Kind.UPDATE, change)
