"""Truncated chunks: every DATA frame of an update loses its last bytes on the way, and has a CRC that holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.attacks.link.chunks import Chunks, with_payload
from byzantiny.wire.messages import Frame, Kind


@dataclass(frozen=True, slots=True)
class TruncatedChunks:
    """Cut `cut` bytes off every chunk; a chunk of another length than announced is dropped, so none is ever complete.

    Raises:
        AttackError: `cut` below 1.
    """

    cut: int = 1

    name: ClassVar[str] = "truncated-chunks"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="truncated-chunks",
        formula="chunks shorter than START says",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/wire.md 4",
        answer=("missing",),
        leaves="silent",
        atlas=("AML.T0029",),
        nist=("NISTAML.01",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "cut", self.cut, 1)

    @property
    def knowledge(self) -> Knowledge:
        """The frames of the links it holds."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""

        def change(frame: Frame, payload: bytes) -> list[Frame]:
            return [with_payload(frame, payload[: max(1, len(payload) - self.cut)])] if len(payload) > 1 else []

        return Chunks(scene, Kind.UPDATE, change)
