"""What an adversary on a link can do: take every frame in both directions, and pass on, hold, change or invent others.

It holds no key but those that leaked. Time is an argument, so that what it does can be repeated (SPEC 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from byzantiny.attacks.card import AttackInfo, Knowledge
from byzantiny.wire.auth import Keys
from byzantiny.wire.codec import WireError, decode_frame, encode_frame
from byzantiny.wire.messages import Frame
from byzantiny_models.networks import Layout

Delivery = tuple[str, bytes]
"""(client_id, one complete frame without COBS)."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What goes on after a tap has seen a frame, or a moment: towards the coordinator, and towards devices."""

    up: tuple[Delivery, ...] = ()
    down: tuple[Delivery, ...] = ()

    def and_(self, other: Passed) -> Passed:
        """Return both, in order.

        >>> Passed(up=(("a", b""),)).and_(Passed(down=(("b", b""),)))
        Passed(up=(('a', b''),), down=(('b', b''),))
        """
        return Passed(self.up + other.up, self.down + other.down)


NOTHING = Passed()


@dataclass(frozen=True, eq=False)
class LinkScene:
    """A run as an adversary on the links sees it: who is there, which links it `held`s, and what it was given.

    `keys` are secrets that leaked, by client; `addresses` those of the frames; `deadline_s` how long a round may take.
    """

    layout: Layout
    clients: tuple[str, ...]
    held: frozenset[str]
    addresses: Mapping[str, int]
    deadline_s: float
    rng: np.random.Generator
    keys: Mapping[str, Keys] = field(default_factory=dict)
    start_round: int = 1
    stop_round: int | None = None

    def during(self, round_num: int | None) -> bool:
        """Whether the adversary acts in a round; None is before the first."""
        if round_num is None or round_num < self.start_round:
            return False
        return self.stop_round is None or round_num <= self.stop_round


class Tap(Protocol):
    """One run's adversary on the links; it has state, and lives as long as the run."""

    @property
    def next_due(self) -> float | None:
        """When `on_time` wants to be called."""
        ...

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of a device."""
        ...

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of the coordinator."""
        ...

    def on_time(self, now: float) -> Passed:
        """Do what is due."""
        ...

    def refused(self) -> dict[str, dict[str, int]]:
        """Return, once, what devices have refused of it since the last call: by client, by name."""
        ...


class Wiretap:
    """A tap that passes everything on; others change what they want to."""

    next_due: float | None = None

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Pass it on."""
        return Passed(up=((client_id, frame),))

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Pass it on."""
        return Passed(down=((client_id, frame),))

    def on_time(self, now: float) -> Passed:
        """Nothing."""
        return NOTHING

    def refused(self) -> dict[str, dict[str, int]]:
        """Nothing was offered to anybody."""
        return {}


@runtime_checkable
class LinkAttack(Protocol):
    """A frozen dataclass that makes the tap of a run."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """Always "own": the frames of the links it holds."""
        ...

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap; it acts in the rounds of `scene.during` alone."""
        ...


def read(frame: bytes, *, up: bool) -> Frame | None:
    """Return a frame as everybody on the link can read it; None for noise.

    >>> read(b"noise", up=True) is None
    True
    """
    try:
        return decode_frame(frame, from_device=up)
    except WireError:
        return None


def write(frame: Frame, *, up: bool) -> bytes:
    """Return the bytes of a frame, with a CRC that holds: it is no secret.

    >>> from byzantiny.wire.messages import Ping
    >>> read(write(Frame(Ping(7), 1), up=True), up=True).message
    Ping(nonce=7)
    """
    return encode_frame(frame, to_device=not up)
