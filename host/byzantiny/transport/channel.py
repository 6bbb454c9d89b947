"""The fault injector: wraps any transport, seeded, in virtual time.

Every client has a generator per direction, keyed by (seed, client_id, stream LINK), and every frame takes the same
number of draws from it. What happens to the n-th frame of a client is therefore decided by the seed, not by the traffic
of other clients or the order of threads.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np

from byzantiny.transport.base import Inbox, Transport
from byzantiny.transport.errors import TransportError
from byzantiny_models.rng import Stream, rng_for

Direction = Literal["up", "down"]
DRAWS: Final = 8
"""Per frame: drop, corrupt, number of bits, duplicate, its distance, reorder, jitter, bit positions."""
MAX_FLIPS: Final = 3


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """Probabilities per frame, and times in seconds.

    `reorder` holds a frame back for `reorder_s`, so that those behind it overtake; `duplicate` delivers a second copy
    up to `reorder_s` after the first; `corrupt` flips 1 to 3 bits; every frame is late by `delay_s`
    and up to `jitter_s` more.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    reorder_s: float = 0.05

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= (float("inf") if item.name.endswith("_s") else 1.0):
                raise TransportError(
                    f"{item.name} = {value} is not possible; give 0..1 for a probability, 0.. for a time"
                )


NO_FAULTS: Final = LinkFaults()


class Channel:
    """A transport with faults. `clock` gives the time in seconds; whoever advances it calls `pump` at `next_due`.

    `stats` counts, per direction, `up-frames`, `up-dropped`, `up-duplicated`, `up-reordered`, `up-corrupted`,
    and `down-` likewise.
    """

    name = "channel"

    def __init__(
        self,
        inner: Transport,
        *,
        seed: int,
        clock: Callable[[], float],
        up: LinkFaults = NO_FAULTS,
        down: LinkFaults = NO_FAULTS,
    ) -> None:
        self.max_payload, self.baud, self.realtime = inner.max_payload, inner.baud, inner.realtime
        self.stats: Counter[str] = Counter()
        self._inner = inner
        self._seed = seed
        self._clock = clock
        self._faults: dict[Direction, LinkFaults] = {"up": up, "down": down}
        self._generators: dict[str, dict[Direction, np.random.Generator]] = {}
        self._heaps: dict[Direction, list[tuple[float, int, str, bytes]]] = {"up": [], "down": []}
        self._order = itertools.count()
        self._arrived = Inbox()
        self._inbox: Inbox | None = None

    @property
    def next_due(self) -> float | None:
        """When the next held frame is to be delivered; None if none is held."""
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def open(self, inbox: Inbox) -> None:
        """Open the transport inside."""
        self._inner.open(self._arrived)
        self._inbox = inbox

    def send(self, client_id: str, frame: bytes) -> None:
        """Let one frame meet its fate; it leaves at once if nothing holds it."""
        self._meet("down", client_id, frame)
        self._release_down()

    def pump(self) -> None:
        """Deliver what is due both ways, and do the inner transport's work."""
        if self._inbox is None:
            raise TransportError("the channel is not open; call open(inbox) before pump()")
        self._release_down()
        self._inner.pump()
        for client_id, frame in self._arrived.drain(0.0):
            self._meet("up", client_id, frame)
        for client_id, frame in self._due("up"):
            self._inbox.put(client_id, frame)

    def close(self) -> None:
        """Close the transport inside; what is held is lost."""
        self._inner.close()
        for heap in self._heaps.values():
            heap.clear()
        self._inbox = None

    def _release_down(self) -> None:
        for client_id, frame in self._due("down"):
            self._inner.send(client_id, frame)

    def _due(self, direction: Direction) -> list[tuple[str, bytes]]:
        heap, now = self._heaps[direction], self._clock()
        due = []
        while heap and heap[0][0] <= now:
            _, _, client_id, frame = heapq.heappop(heap)
            due.append((client_id, frame))
        return due

    def _meet(self, direction: Direction, client_id: str, frame: bytes) -> None:
        """Draw what happens to one frame, and hold it until it is due."""
        faults = self._faults[direction]
        drop, corrupt, flips, duplicate, apart, reorder, jitter, where = self._generator(direction, client_id).random(
            DRAWS
        )
        self._count(direction, "frames")
        if drop < faults.drop:
            self._count(direction, "dropped")
            return
        due = self._clock() + faults.delay_s + jitter * faults.jitter_s
        if reorder < faults.reorder:
            self._count(direction, "reordered")
            due += faults.reorder_s
        copies = [due]
        if duplicate < faults.duplicate:
            self._count(direction, "duplicated")
            copies.append(due + apart * faults.reorder_s)
        if corrupt < faults.corrupt:
            self._count(direction, "corrupted")
            frame = _flip(frame, 1 + int(flips * MAX_FLIPS), where)
        for when in copies:
            heapq.heappush(self._heaps[direction], (when, next(self._order), client_id, frame))

    def _generator(self, direction: Direction, client_id: str) -> np.random.Generator:
        if client_id not in self._generators:
            up, down = rng_for(self._seed, Stream.LINK, client_id=client_id).spawn(2)
            self._generators[client_id] = {"up": up, "down": down}
        return self._generators[client_id][direction]

    def _count(self, direction: Direction, what: str) -> None:
        self.stats[f"{direction}-{what}"] += 1


def _flip(frame: bytes, flips: int, where: float) -> bytes:
    """Flip `flips` different bits, at places spread from `where` (0..1) on.

    >>> _flip(bytes(2), 1, 0.99).hex(), _flip(b"", 2, 0.5)
    ('0080', b'')
    """
    bits = 8 * len(frame)
    damaged = bytearray(frame)
    for number in range(min(flips, bits)):
        # A third of the frame apart, give or take: a burst error is the CRC's easy case.
        at = (int(where * bits) + number * (bits // MAX_FLIPS | 1)) % bits
        damaged[at // 8] ^= 1 << at % 8
    return bytes(damaged)
