"""Spoofed topic: who owns one device publishes an update under another's name, with the only key it has.

A tag by another device's key is refused, whatever the topic says. After three such objects in a round the link they came
over is given up until the next (`FORGERIES_BORNE`), so who can write to a topic can silence the device behind it, as
they could by dropping its frames; `copies` shows it. A broker's access rules keep others off a topic (docs/security.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.attacks.link.intruder import Intruder
from byzantiny.wire.auth import derive_keys, manifest_for, seal_update
from byzantiny.wire.messages import Round


@dataclass(frozen=True, slots=True)
class SpoofedTopic:
    """Upload `copies` updates a round in the name of the clients whose links it holds, sealed with another key.

    Raises:
        AttackError: `copies` below 1.
    """

    copies: int = 1

    name: ClassVar[str] = "spoofed-topic"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="spoofed-topic",
        formula="-127 in another client's name, sealed with the wrong key",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        answer=("rejected:bad_tag",),
        leaves="honest",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "copies", self.copies, 1)

    @property
    def knowledge(self) -> Knowledge:
        """What is announced on the links it holds."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        return _Impostor(scene, self.copies)


class _Impostor(Intruder):
    def __init__(self, scene: LinkScene, copies: int) -> None:
        super().__init__(scene)
        self._copies = copies
        self._key = derive_keys(scene.rng.bytes(32)).up

    def objects(self, client_id: str, announced: Round) -> list[bytes]:
        if client_id not in self.scene.held:
            return []
        return [self._object(client_id, announced, count) for count in range(self._copies)]

    def _object(self, client_id: str, announced: Round, count: int) -> bytes:
        codes = np.full(self.scene.layout.d, -127, np.int8)
        codes[0] += count  # the same bytes again would be answered with the receipt of the first
        raw = codes.tobytes()
        manifest = manifest_for(client_id, announced.round_num, announced.offer_sha256, count, 1, raw)
        return seal_update(manifest, self._key, raw)
