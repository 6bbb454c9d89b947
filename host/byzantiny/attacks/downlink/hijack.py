"""A coordinator of the adversary's own on the links it holds: it captures what comes down, and offers something else.

While it talks to a device, the real coordinator's frames do not reach it, and the device's answers do not come up. Once the device
has refused, or has taken what it was offered, the link is the real coordinator's again, for the rest of the round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from byzantiny.attacks.frames import NOTHING, LinkScene, Passed, Wiretap, read
from byzantiny.wire.auth import Keys
from byzantiny.wire.events import Event, ModelAccepted, Refused, RoundWork
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import TAG_BYTES, Data, Frame, Kind, Round, Start
from byzantiny.wire.transfer import Receiver

SHARE_OF_DEADLINE = 0.25
"""How long a device that neither refuses nor takes is talked to: the adversary does not want the round to fail for it."""
REMEMBERED = 4
"""Offers and models that are kept of each link, the oldest ones: the farther back, the more a rollback undoes."""


@dataclass
class Captured:
    """What has come down one link: the round that was announced last, offers (body and tag) and models by round."""

    announced: Round | None = None
    offers: dict[int, bytes] = field(default_factory=dict)
    models: dict[int, bytes] = field(default_factory=dict)
    _receiver: Receiver | None = None

    def see(self, frame: Frame) -> None:
        """Take a frame of the coordinator."""
        match frame.message:
            case Round() as announced:
                self.announced = announced
            case Start() as start:
                self._receiver = Receiver(frame.xfer, start)
            case Data(payload) if self._receiver is not None and self._receiver.xfer == frame.xfer:
                self._receiver.on_data(frame.offset, payload)
                if self._receiver.complete:
                    self._keep(self._receiver.start, self._receiver.data())
                    self._receiver = None

    def _keep(self, start: Start, blob: bytes) -> None:
        into = self.offers if start.kind is Kind.OFFER else self.models
        into[start.round_num] = blob
        while len(into) > REMEMBERED:
            del into[sorted(into)[-2]]  # the latest is the round's own


Lure = Callable[[Captured], RoundWork | None]
"""What to offer instead; None: nothing in this round."""


@dataclass
class _Link:
    captured: Captured = field(default_factory=Captured)
    session: HostSession | None = None
    until: float = 0.0
    lured: int = 0
    """The last round that was hijacked."""


class Hijack(Wiretap):
    """Runs `lure` once a round on every held link: when a round is announced, or, with `at_model`, when its model comes.

    `keys` are the adversary's, which no device knows.
    """

    def __init__(self, scene: LinkScene, lure: Lure, *, at_model: bool) -> None:
        self._scene, self._lure, self._at_model = scene, lure, at_model
        self._keys = Keys(scene.rng.bytes(32), scene.rng.bytes(32))
        self._links = {name: _Link() for name in sorted(scene.held)}
        self._refused: dict[str, Counter[str]] = {}

    @property
    def next_due(self) -> float | None:  # type: ignore[override]
        """When a session with a device wants to ask again, or is given up."""
        live = [link for link in self._links.values() if link.session is not None]
        times = [link.until for link in live] + [link.session.next_due for link in live if link.session is not None]
        return min((when for when in times if when is not None), default=None)

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of the coordinator; it is lost while the link is hijacked."""
        link, seen = self._links.get(client_id), read(frame, up=False)
        if link is None or seen is None:
            return super().down(client_id, frame, now)
        if link.session is not None:
            return NOTHING
        link.captured.see(seen)
        work = self._work(link, seen)
        if work is None:
            return super().down(client_id, frame, now)
        link.session = HostSession(
            client_id, self._keys, address=self._scene.addresses[client_id], max_payload=4096, rng=self._scene.rng
        )
        link.until = now + SHARE_OF_DEADLINE * self._scene.deadline_s
        return Passed(down=tuple((client_id, each) for each in link.session.begin(work, now).frames))

    def up(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of a device; the adversary's coordinator answers it while it has the link."""
        link = self._links.get(client_id)
        if link is None or link.session is None:
            return super().up(client_id, frame, now)
        step = link.session.on_frame(frame, now)
        self._note(client_id, link, step.events)
        return Passed(down=tuple((client_id, each) for each in step.frames))

    def on_time(self, now: float) -> Passed:
        """Ask again, where a device is silent."""
        out = NOTHING
        for client_id, link in self._links.items():
            if link.session is not None:
                step = link.session.on_time(now)
                self._note(client_id, link, step.events)
                if now >= link.until and link.session is not None:
                    self._count(client_id, "given up")
                    link.session = None
                out = out.and_(Passed(down=tuple((client_id, each) for each in step.frames)))
        return out

    def refused(self) -> dict[str, dict[str, int]]:
        """Return what devices refused since the last call, by client and name."""
        said, self._refused = self._refused, {}
        return {client_id: dict(counts) for client_id, counts in said.items()}

    def _work(self, link: _Link, seen: Frame) -> RoundWork | None:
        announced = link.captured.announced
        if announced is None or not self._scene.during(announced.round_num) or link.lured == announced.round_num:
            return None
        message = seen.message
        if not (isinstance(message, Start) and message.kind is Kind.MODEL if self._at_model else message is announced):
            return None
        work = self._lure(link.captured)
        if work is not None:
            link.lured = announced.round_num
        return work

    def _note(self, client_id: str, link: _Link, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Refused | ModelAccepted):
                self._count(client_id, event.name.lower() if isinstance(event, Refused) else "taken")
                link.session = None

    def _count(self, client_id: str, what: str) -> None:
        self._refused.setdefault(client_id, Counter())[f"hijacker:{what}"] += 1


def body_of(sealed: bytes) -> bytes:
    """Return an offer's body without its tag.

    >>> body_of(b"body" + bytes(16))
    b'body'
    """
    return sealed[:-TAG_BYTES]


def earlier(kept: dict[int, bytes], announced: Round, back: int = 1) -> bytes | None:
    """Return the oldest object that was captured at least `back` rounds before a round; None before there is one.

    >>> earlier({2: b"two", 3: b"three"}, Round(3, 0, b"")), earlier({2: b"two"}, Round(3, 0, b""), back=2)
    (b'two', None)
    """
    before = [number for number in sorted(kept) if number <= announced.round_num - back]
    return kept[before[0]] if before else None
