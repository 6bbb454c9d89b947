"""Leaked keys: k devices' secrets are out, and whoever has them answers the coordinator before the devices do.

Nothing on the wire tells these updates from honest ones: a tag says who holds a key. So k leaked keys are k Byzantine clients, and
are the rule's to bear; the wire still holds them to the round's offer, to the grid and to the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_count
from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.attacks.link.intruder import Intruder
from byzantiny.wire.auth import manifest_for, seal_update
from byzantiny.wire.messages import Round


@dataclass(frozen=True, slots=True)
class LeakedKeys:
    """Send secret fixed signs, `reach` steps each, in the name of every client whose key leaked, first in every round.

    The same signs in all rounds and from all: what moves a model farthest without knowing an update.

    Raises:
        AttackError: `reach` outside 1 .. 127.
    """

    reach: int = 8

    name: ClassVar[str] = "leaked-keys"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="leaked-keys",
        formula="reach * s, s fixed secret signs, with the keys of f honest clients",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="from this project: docs/security.md",
        needs=("keys",),
        leaves="lies",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "reach", self.reach, 1, 127)

    @property
    def knowledge(self) -> Knowledge:
        """What is announced on the links it holds, and their keys."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        return _Usurper(scene, self.reach)


class _Usurper(Intruder):
    def __init__(self, scene: LinkScene, reach: int) -> None:
        super().__init__(scene)
        signs = scene.rng.integers(0, 2, scene.layout.d) * 2 - 1
        self._codes: npt.NDArray[np.int8] = (signs * reach).astype(np.int8)

    def objects(self, client_id: str, announced: Round) -> list[bytes]:
        keys = self.scene.keys.get(client_id)
        if client_id not in self.scene.held or keys is None:
            return []
        raw = self._codes.tobytes()
        manifest = manifest_for(client_id, announced.round_num, announced.offer_sha256, announced.round_num, 1, raw)
        return [seal_update(manifest, keys.up, raw)]
