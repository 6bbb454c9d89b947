"""Sybil: clients that nobody enrolled say HELLO and upload, under names of their own.

Douceur. The Sybil attack. IPTPS 2002. With keys provisioned device by device, frames of a name without a key reach no session: they
are counted under that name and refused. Where everybody is let in (`enrolment = "open"`), nothing is left to refuse,
and the experiment has so many clients more, all Byzantine: docs/attacks.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count
from byzantiny.attacks.frames import Delivery, LinkScene, Passed, Tap, Wiretap, read, write
from byzantiny.wire.messages import PAYLOAD_SIZES, PROTO, Frame, Hello, Kind, Round, Start

PREFIX = "sybil"


@dataclass(frozen=True, slots=True)
class Sybil:
    """Let `fakes` made-up clients greet the coordinator and open an upload in every round; None: as many as links it holds.

    With `enrolment` "open" they are clients, and send what the update attack `send` makes.

    Raises:
        AttackError: fewer than 1 fake, or more than 99; another enrolment.
    """

    fakes: int | None = None
    enrolment: Literal["provisioned", "open"] = "provisioned"
    send: str = "mpaf"

    name: ClassVar[str] = "sybil"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="sybil",
        formula="HELLO and START of clients that nobody enrolled",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="Douceur, IPTPS 2002",
        answer=("rejected:unknown_device",),
        leaves="honest",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        if self.fakes is not None:
            require_count(self.name, "fakes", self.fakes, 1, 99)
        require_choice(self.name, "enrolment", self.enrolment, ("provisioned", "open"))

    @property
    def knowledge(self) -> Knowledge:
        """Nothing."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        count = len(scene.held) if self.fakes is None else self.fakes
        return _Crowd(scene, [f"{PREFIX}-{number:02d}" for number in range(1, count + 1)])


class _Crowd(Wiretap):
    def __init__(self, scene: LinkScene, names: list[str]) -> None:
        self._scene, self._names = scene, names
        self._round: int | None = None

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        passed = super().down(client_id, frame, now)
        seen = read(frame, up=False)
        if seen is None or not isinstance(seen.message, Round) or seen.message.round_num == self._round:
            return passed
        self._round = seen.message.round_num
        if not self._scene.during(self._round):
            return passed
        size = self._scene.layout.d + 128
        start = Start(self._round, Kind.UPDATE, size, PAYLOAD_SIZES[0], self._scene.rng.bytes(32))
        knocks: list[Delivery] = []
        for name in self._names:
            hello = Hello(
                PROTO, PROTO, PAYLOAD_SIZES[0], name, bytes(8), 1, 1, size, int(self._scene.rng.integers(1, 1 << 32)),
                32, 0, 60, bytes(32),
            )  # fmt: skip
            knocks += [(name, write(Frame(hello, 1), up=True)), (name, write(Frame(start, 1, 1, 7), up=True))]
        return passed.and_(Passed(up=tuple(knocks)))
