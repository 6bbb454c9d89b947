"""The emulated side as one thing: frames in by client, frames out by client; relays in front of the Byzantine ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from byzantiny.bodies.base import Body
from byzantiny.fleet.relay import Relay

Delivery = tuple[str, bytes]
Inner = dict[int, list[tuple[int, bytes]]]
"""Frames for slots, by the identity of their body."""

_SETTLE_ROUNDS = 10_000
"""Far more exchanges between a relay and its body than one frame can cause; reached only by a bug."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where one client lives."""

    client_id: str
    body: Body
    slot: int
    relay: Relay | None = None


class Fleet:
    """Clients of one or several bodies behind one `exchange`; every body is asked once a turn, with all its frames."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = {member.client_id: member for member in members}
        self._bodies: list[Body] = []
        for member in members:
            if not any(member.body is body for body in self._bodies):
                self._bodies.append(member.body)
        self._names = {(id(member.body), member.slot): member.client_id for member in members}
        self._first = True

    @property
    def realtime(self) -> bool:
        """Some body works on between calls."""
        return any(body.realtime for body in self._bodies)

    @property
    def client_ids(self) -> list[str]:
        """Every member, in order."""
        return list(self._members)

    @property
    def next_due(self) -> float | None:
        """When a relay wants to be called though nothing has arrived."""
        due = [member.relay.next_due for member in self._members.values() if member.relay is not None]
        times = [when for when in due if when is not None]
        return min(times) if times else None

    @property
    def waiting(self) -> bool:
        """Whether some relay waits for the hub, which is released from another thread."""
        return any(member.relay is not None and member.relay.waiting for member in self._members.values())

    def reboot(self, client_id: str, boot_id: int) -> None:
        """Power-cycle one client's body."""
        member = self._members[client_id]
        member.body.reboot(member.slot, boot_id)

    def exchange(self, frames: Sequence[Delivery], now: float) -> list[Delivery]:
        """Deliver frames to clients and return what the clients answer.

        Relays and their bodies talk until both are silent, so an instant body answers within the call.
        """
        out: list[Delivery] = []
        inner: Inner = {}
        for client_id, frame in frames:
            member = self._members.get(client_id)
            if member is None:
                continue
            if member.relay is None:
                inner.setdefault(id(member.body), []).append((member.slot, frame))
            else:
                self._hand(member, member.relay.from_coordinator(frame, now), out, inner)
        for member in self._members.values():
            if member.relay is not None and member.relay.next_due is not None and member.relay.next_due <= now:
                self._hand(member, member.relay.on_time(now), out, inner)
        self._settle(inner, out, now)
        return out

    def close(self) -> None:
        """Close every body."""
        for body in self._bodies:
            body.close()

    def _settle(self, inner: Inner, out: list[Delivery], now: float) -> None:
        for _ in range(_SETTLE_ROUNDS):
            again: Inner = {}
            for body in self._bodies:
                pending = inner.get(id(body), [])
                if not pending and not self._first and not body.realtime:
                    continue
                for slot, frame in body.exchange(pending, int(now * 1000)):
                    self._from_body(self._members[self._names[id(body), slot]], frame, now, out, again)
            self._first = False
            if not again:
                return
            inner = again
        raise RuntimeError("a relay and its body keep answering each other")

    def _from_body(self, member: Member, frame: bytes, now: float, out: list[Delivery], again: Inner) -> None:
        if member.relay is None:
            out.append((member.client_id, frame))
        else:
            self._hand(member, member.relay.from_body(frame, now), out, again)

    @staticmethod
    def _hand(
        member: Member,
        answer: tuple[list[bytes], list[bytes]],
        out: list[Delivery],
        inner: Inner,
    ) -> None:
        up, down = answer
        out.extend((member.client_id, frame) for frame in up)
        if down:
            inner.setdefault(id(member.body), []).extend((member.slot, frame) for frame in down)
