"""Slow loris: a transfer that never stops and never ends in time, to hold the round open.

RSnake's Slowloris (2009) did so to web servers. Here a device claims the smallest payload there is and lets one chunk pass at a
time. A round does not wait beyond its deadline, and the others' updates are in by then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from byzantiny.attacks.base import AttackInfo, Knowledge
from byzantiny.attacks.checks import require_number
from byzantiny.attacks.frames import NOTHING, Delivery, LinkScene, Passed, Tap, Wiretap, read, write
from byzantiny.wire.messages import PAYLOAD_SIZES, Data, Hello, Round


@dataclass(frozen=True, slots=True)
class SlowLoris:
    """Let one chunk pass every `interval_s`; by default a twentieth of the deadline.

    Raises:
        AttackError: an interval that is not above 0.
    """

    interval_s: float | None = None

    name: ClassVar[str] = "slow-loris"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="slow-loris",
        formula="one chunk every `interval_s`",
        goal="untargeted",
        knowledge="own",
        capability="link",
        access="none",
        paper="RSnake, Slowloris, 2009; docs/wire.md 6",
        answer=("missing",),
        leaves="silent",
        atlas=("AML.T0029",),
        nist=("NISTAML.01",),
    )

    def __post_init__(self) -> None:
        if self.interval_s is not None:
            require_number(self.name, "interval_s", self.interval_s, 0.0)

    @property
    def knowledge(self) -> Knowledge:
        """Its own device."""
        return "own"

    def tap(self, scene: LinkScene) -> Tap:
        """Return the tap of a run."""
        return _Trickle(scene, scene.deadline_s / 20 if self.interval_s is None else self.interval_s)


class _Trickle(Wiretap):
    """One queue for each held link; a chunk that is asked for again while it waits is not queued twice."""

    def __init__(self, scene: LinkScene, interval_s: float) -> None:
        self._scene, self._interval = scene, interval_s
        self._round: int | None = None
        self._queues: dict[str, deque[tuple[tuple[int, int], bytes]]] = {name: deque() for name in scene.held}
        self.next_due: float | None = None

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        seen = read(frame, up=False)
        if seen is not None and isinstance(seen.message, Round) and self._round != seen.message.round_num:
            self._round = seen.message.round_num
        return super().down(client_id, frame, now)

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        seen = read(frame, up=True)
        queue = self._queues.get(client_id)
        if seen is None or queue is None:
            return super().up(client_id, frame, now)
        if isinstance(seen.message, Hello):
            small = replace(seen.message, max_payload=PAYLOAD_SIZES[0])
            return super().up(client_id, write(replace(seen, message=small), up=True), now)
        if not isinstance(seen.message, Data) or not self._scene.during(self._round):
            return super().up(client_id, frame, now)
        key = (seen.xfer, seen.offset)
        if all(key != held for held, _ in queue):
            queue.append((key, frame))
        if self.next_due is None:
            self.next_due = now + self._interval
        return NOTHING

    def on_time(self, now: float) -> Passed:
        if self.next_due is None or now < self.next_due:
            return NOTHING
        out: list[Delivery] = [(name, queue.popleft()[1]) for name, queue in self._queues.items() if queue]
        self.next_due = now + self._interval if any(self._queues.values()) else None
        return Passed(up=tuple(out))
