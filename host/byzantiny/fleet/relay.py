"""The Byzantine client: a relay in front of its own honest body (SPEC 7).

Towards its body it plays coordinator, so it holds the honest codes; it crafts; towards the real coordinator it plays
client with that device's keys. Both are the ordinary sans-I/O machines, so whatever the adversary does has to fit the
wire, on every body, boards included.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import AttackContext, UpdateAttack
from byzantiny.attacks import craft as craft_rows
from byzantiny.bodies.base import DeviceSpec
from byzantiny.updates import quantize_rows
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import split_update
from byzantiny.wire.device import DeviceIdentity, DeviceMachine, TrainRequest
from byzantiny.wire.events import Greeted, Rebooted, RoundWork, Step, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Hello, Offer, Reason, Verdict
from byzantiny_models.networks import Layout
from byzantiny_models.rng import Stream, rng_for

Codes = npt.NDArray[np.int8]
_FINITE = 1e9
"""An attack may ask for infinity; the wire has nothing beyond 127 steps anyway."""


@dataclass(frozen=True, slots=True)
class RelayPlan:
    """What one Byzantine client does, and when."""

    attack: UpdateAttack
    start_round: int = 1
    fit_bound: bool = True
    """Scale what was crafted into the announced L2 bound: beyond it an update is refused, which no adversary wants."""


@dataclass
class Relay:
    """One Byzantine client. `up` is the coordinator's side, `down` its own body's."""

    spec: DeviceSpec
    layout: Layout
    plan: RelayPlan
    rng: np.random.Generator
    """Jitter of its own timers; the attack's randomness has its own key, per round."""
    _machine: DeviceMachine | None = field(default=None, init=False)
    _session: HostSession = field(init=False)
    _request: TrainRequest | None = field(default=None, init=False)
    _honest: bytes | None = field(default=None, init=False)
    """The last update of its own body, whose manifest says which offer it answers."""

    def __post_init__(self) -> None:
        self._session = self._new_session()

    @property
    def next_due(self) -> float | None:
        """When `on_time` wants to be called."""
        return self._session.next_due

    def from_coordinator(self, frame: bytes, now: float) -> tuple[list[bytes], list[bytes]]:
        """Take one frame of the coordinator; return frames for (coordinator, body)."""
        if self._machine is None:
            return [], []
        up, request = self._machine.on_frame(frame)
        if request is None:
            return list(up), []
        self._request = request
        answer = self._answer()
        if answer:
            return [*up, *answer], []
        work = RoundWork(round_num=request.offer.round_num, offer_body=request.offer_body, model=request.model)
        return list(up), list(self._session.begin(work, now).frames)

    def from_body(self, frame: bytes, now: float) -> tuple[list[bytes], list[bytes]]:
        """Take one frame of its own body; return frames for (coordinator, body)."""
        return self._take(self._session.on_frame(frame, now), now)

    def on_time(self, now: float) -> tuple[list[bytes], list[bytes]]:
        """Do what is due; return frames for (coordinator, body)."""
        return self._take(self._session.on_time(now), now)

    def _take(self, step: Step, now: float) -> tuple[list[bytes], list[bytes]]:
        up: list[bytes] = []
        down = list(step.frames)
        for event in step.events:
            if isinstance(event, Greeted | Rebooted):
                up += self._power_on(event.hello)
            elif isinstance(event, UpdateReceived):
                down += self._session.conclude(event.xfer, Verdict.ACCEPTED, Reason.NONE, now).frames
                self._honest = event.data
                up += self._answer()
        return up, down

    def _power_on(self, hello: Hello) -> list[bytes]:
        """Become the device its body says it is; what the relay knew of the round is gone with the body's RAM."""
        if self._machine is not None and self._machine.identity.boot_id == hello.boot_id:
            return []
        identity = DeviceIdentity(
            client_id=self.spec.client_id,
            keys=derive_keys(self.spec.secret),
            address=self.spec.address,
            boot_id=hello.boot_id,
            max_payload=hello.max_payload,
            rx_credit=hello.rx_credit,
            fw_sha256=hello.fw_sha256,
            build_id=hello.build_id,
            caps=hello.caps,
            max_object=hello.max_object,
            n_samples=hello.n_samples,
            data_sha256=hello.data_sha256,
            layout_sha256=self.layout.sha256,
            model_bytes=self.layout.model_bytes,
            d=self.layout.d,
            n_tensors=len(self.layout.tensors),
        )
        self._machine, self._request = DeviceMachine(identity), None
        return [self._machine.banner()]

    def _answer(self) -> list[bytes]:
        """Send what is crafted from the body's update, once there is both a request and the update that answers it.

        They come in either order: a body that reboots may have trained before the coordinator has offered the round
        to the rebooted device, and sends an update once only; and the update of a round that is over may come late.
        """
        request, update = self._request, self._honest
        if request is None or update is None or self._machine is None:
            return []
        parts = split_update(update)
        if parts.manifest.offer_sha256 != hashlib.sha256(request.offer_body).digest():
            return []
        self._request = None
        honest = np.frombuffer(parts.codes, dtype=np.int8)
        codes = craft(self.plan, honest, request.offer, self.layout, self.spec.client_id)
        return list(self._machine.provide(codes, parts.manifest.n_samples, offer_body=request.offer_body))

    def _new_session(self) -> HostSession:
        return HostSession(
            self.spec.client_id,
            derive_keys(self.spec.secret),
            address=self.spec.address,
            max_payload=self.spec.max_payload,
            rng=self.rng,
        )


def craft(plan: RelayPlan, honest: Codes, offer: Offer, layout: Layout, client_id: str) -> Codes:
    """Turn honest codes into the codes this adversary sends: craft, fit the announced bound, put on the grid.

    Knowledge is `own`: the context holds the client's own honest row and nothing else; an attack that needs more raises
    AttackError.
    """
    if offer.round_num < plan.start_round:
        return honest
    rng = rng_for(offer.seed, Stream.ATTACK, round_num=offer.round_num, client_id=client_id)
    own = honest.astype(np.float64)[None, :]
    context = AttackContext(honest=None, own=own, n=1, f=1, rng=rng, round_num=offer.round_num)
    rows = craft_rows(plan.attack, context)
    if plan.fit_bound and offer.l2_bound:
        rows = fit_rows(rows, offer.l2_bound, layout, offer.shifts)
    row: Codes = quantize_rows(rows, rng)[0]
    return row


def fit_rows(
    rows: npt.NDArray[np.float64], bound: int, layout: Layout, shifts: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Scale every row that is longer than the bound (in steps of the finest tensor) down to it, keeping its direction.

    Before the grid, not after: saturation at +-127 would bend the direction, and a weaker adversary is a flattering one.
    The sum is exact (`fsum`), so that the result is the same on every machine.

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    >>> fit_rows(np.array([[300.0, -400.0], [3.0, 4.0]]), 5, layout, (6,)).tolist()
    [[3.0, -4.0], [3.0, 4.0]]
    """
    exponents = layout.exponents(shifts)
    steps = np.repeat([2.0 ** (e - min(exponents)) for e in exponents], [t.elements for t in layout.tensors])
    fitted = np.clip(rows, -_FINITE, _FINITE)
    for row in fitted:
        norm = math.sqrt(math.fsum((row * steps) ** 2))
        if norm > bound:
            row *= bound / norm
    return fitted
