"""What a Byzantine device makes of the object it uploads: the manifest, and which objects it sends at all.

It owns its device, so its tags are good; whatever else an object says, the coordinator compares with its own state (P3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from byzantiny.attacks.card import AttackInfo, Knowledge
from byzantiny.wire.auth import Keys, manifest_for, seal_update
from byzantiny.wire.messages import Offer


@dataclass(frozen=True, slots=True)
class Upload:
    """One object on its way up: the round that START names, and the bytes."""

    round_num: int
    blob: bytes


@dataclass(frozen=True, eq=False)
class ForgeContext:
    """What one Byzantine device has when its update is due: its keys, the offer, what it trained, what it sent before.

    `codes` int8 (d,) are its own honest ones; `past` the honest objects of its earlier rounds, the oldest first, sent or
    not (at most the last `PAST`).
    """

    client_id: str
    keys: Keys
    offer: Offer
    offer_sha256: bytes
    n_samples: int
    codes: npt.NDArray[np.int8]
    rng: np.random.Generator
    past: tuple[Upload, ...] = ()

    def seal(self, codes: npt.NDArray[np.int8] | None = None, **changes: Any) -> Upload:
        """Return the object of these codes (its own without), tagged, with changed fields of the manifest.

        >>> offer = Offer(3, 7, bytes(16), bytes(32), bytes(32), 4, 0, 1000, 1, 9, (3,))
        >>> context = ForgeContext(
        ...     "dev-01", Keys(bytes(32), bytes(32)), offer, bytes(32), 60, np.zeros(2, np.int8), np.random.default_rng(0))
        >>> len(context.seal().blob), context.seal().blob == context.seal(n_samples=61).blob
        (130, False)
        """
        raw = (self.codes if codes is None else codes).astype(np.int8).tobytes()
        honest = manifest_for(
            self.client_id, self.offer.round_num, self.offer_sha256, self.offer.round_num, self.n_samples, raw
        )
        return Upload(self.offer.round_num, seal_update(replace(honest, **changes), self.keys.up, raw))


PAST = 8
"""Objects that a device remembers."""


@runtime_checkable
class ManifestAttack(Protocol):
    """A frozen dataclass that says which objects a Byzantine device uploads in a round, one after the other."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """Always "own": it has its own device."""
        ...

    def forge(self, context: ForgeContext) -> tuple[Upload, ...]:
        """Return the objects; none: the device stays silent."""
        ...


def offer_hash(body: bytes) -> bytes:
    """Return what a manifest names an offer by.

    >>> offer_hash(b"").hex()[:8]
    'e3b0c442'
    """
    return hashlib.sha256(body).digest()
