"""The Byzantine client: a relay in front of its own honest body (SPEC 7).

Towards its body it plays coordinator, so it holds the honest codes; it crafts; towards the real coordinator it plays
client with that device's keys. Both are the ordinary sans-I/O machines, so whatever the adversary does has to fit the
wire, on every body, boards included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from byzantiny.attacks import AttackError
from byzantiny.attacks.objects import PAST, ForgeContext, ManifestAttack, Upload
from byzantiny.bodies.base import DeviceSpec
from byzantiny.fleet.adversary import AdversaryPlan, Codes, Scene, craft_round
from byzantiny.fleet.hub import Hub
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import split_update
from byzantiny.wire.device import DeviceIdentity, DeviceMachine, TrainRequest
from byzantiny.wire.events import Greeted, Rebooted, RoundWork, Step, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Hello, Reason, Verdict
from byzantiny_models.networks import Layout
from byzantiny_models.rng import Stream, rng_for


@dataclass
class Relay:
    """One Byzantine client. `up` is the coordinator's side, `down` its own body's."""

    spec: DeviceSpec
    layout: Layout
    plan: AdversaryPlan
    rng: np.random.Generator
    """Jitter of its own timers; the attack's randomness has its own key, per round."""
    hub: Hub | None = None
    """Where the attackers of a run meet; needed by attacks that know more than their own update."""
    pool: tuple[str, ...] = ()
    """Who may lie in the run; without it, nobody else is known of."""
    _machine: DeviceMachine | None = field(default=None, init=False)
    _session: HostSession = field(init=False)
    _request: TrainRequest | None = field(default=None, init=False)
    _honest: bytes | None = field(default=None, init=False)
    """The last update of its own body."""
    _asked: bytes = field(default=b"", init=False)
    """The hash of the offer that the coordinator waits for an answer to."""
    _trained: bytes = field(default=b"", init=False)
    """The hash of the offer that the last update answers."""
    _past: list[Upload] = field(default_factory=list, init=False)
    """Its honest objects of earlier rounds."""
    _queue: list[Upload] = field(default_factory=list, init=False)
    """What is still to be uploaded in this round."""

    def __post_init__(self) -> None:
        self._session = self._new_session()

    @property
    def next_due(self) -> float | None:
        """When `on_time` wants to be called."""
        times = [self._session.next_due]
        if self.hub is not None and self._request is not None and self.waiting:
            times.append(self.hub.due(self.spec.client_id, self._request.offer))
        return min((when for when in times if when is not None), default=None)

    @property
    def waiting(self) -> bool:
        """Whether its body's update is in, and the answer to the coordinator is not: it is the hub's to release."""
        return self._request is not None and self._trained == self._asked

    def from_coordinator(self, frame: bytes, now: float) -> tuple[list[bytes], list[bytes]]:
        """Take one frame of the coordinator; return frames for (coordinator, body)."""
        if self._machine is None:
            return [], []
        sending = self._machine.sending
        up, request = self._machine.on_frame(frame)
        if request is None:
            return [*up, *(self._upload() if sending and not self._machine.sending else [])], []
        self._request, self._asked = request, hashlib.sha256(request.offer_body).digest()
        if self.waiting:
            return [*up, *self._answer(now)], []
        work = RoundWork(round_num=request.offer.round_num, offer_body=request.offer_body, model=request.model)
        return list(up), list(self._session.begin(work, now).frames)

    def from_body(self, frame: bytes, now: float) -> tuple[list[bytes], list[bytes]]:
        """Take one frame of its own body; return frames for (coordinator, body)."""
        return self._take(self._session.on_frame(frame, now), now)

    def on_time(self, now: float) -> tuple[list[bytes], list[bytes]]:
        """Do what is due; return frames for (coordinator, body)."""
        up, down = self._take(self._session.on_time(now), now)
        return [*up, *self._answer(now)], down

    def _take(self, step: Step, now: float) -> tuple[list[bytes], list[bytes]]:
        up: list[bytes] = []
        down = list(step.frames)
        for event in step.events:
            if isinstance(event, Greeted | Rebooted):
                up += self._power_on(event.hello)
            elif isinstance(event, UpdateReceived):
                down += self._session.conclude(event.xfer, Verdict.ACCEPTED, Reason.NONE, now).frames
                self._honest, self._trained = event.data, split_update(event.data).manifest.offer_sha256
                up += self._answer(now)
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

    def _answer(self, now: float) -> list[bytes]:
        """Send what is crafted from the body's update, once there is both a request and the update that answers it.

        They come in either order: a body that reboots may have trained before the coordinator has offered the round
        to the rebooted device, and sends an update once only; and the update of a round that is over may come late.
        """
        request, update = self._request, self._honest
        if request is None or update is None or self._machine is None or not self.waiting:
            return []
        parts = split_update(update)
        if self._forges(request):
            return self._forge(request, np.frombuffer(parts.codes, dtype=np.int8), parts.manifest.n_samples)
        codes = self._craft(request, np.frombuffer(parts.codes, dtype=np.int8), now)
        if codes is None:
            return []
        self._request = None
        return list(self._machine.provide(codes, parts.manifest.n_samples, offer_body=request.offer_body))

    def _forges(self, request: TrainRequest) -> bool:
        return isinstance(self.plan.attack, ManifestAttack) and self._lies(request.offer.round_num)

    def _lies(self, round_num: int) -> bool:
        """Whether it is this client's turn; where attackers are drawn anew, the pool is the whole fleet."""
        schedule, own = self.plan.schedule, self.spec.client_id
        return own in schedule.act(self.pool or (own,), round_num)

    def _forge(self, request: TrainRequest, codes: Codes, n_samples: int) -> list[bytes]:
        """Upload what the attack makes of the object, one after the other; without any the device stays silent."""
        attack, offer = self.plan.attack, request.offer
        assert isinstance(attack, ManifestAttack), "the caller has asked"
        context = ForgeContext(
            client_id=self.spec.client_id,
            keys=derive_keys(self.spec.secret),
            offer=offer,
            offer_sha256=self._asked,
            n_samples=n_samples,
            codes=codes,
            rng=rng_for(offer.seed, Stream.ATTACK, round_num=offer.round_num, client_id=self.spec.client_id),
            past=tuple(self._past),
        )
        self._request, self._queue = None, list(attack.forge(context))
        self._past = [*self._past, context.seal()][-PAST:]
        return self._upload()

    def _upload(self) -> list[bytes]:
        if not self._queue or self._machine is None:
            return []
        upload = self._queue.pop(0)
        return self._machine.submit(upload.round_num, upload.blob)

    def _craft(self, request: TrainRequest, honest: Codes, now: float) -> Codes | None:
        """What to send; None while the hub keeps it back."""
        if not self._lies(request.offer.round_num):
            return honest
        if self.plan.together:
            if self.hub is None:
                raise AttackError(
                    f"{self.plan.attack.name} needs to know more than its own update: give the relay a hub"
                )
            return self.hub.answer(self.spec.client_id, request.offer, honest, now)
        scene = self.hub.scene(request.offer) if self.hub is not None else None
        if scene is None:
            scene = Scene(request.offer, self.layout, self.layout.unpack(request.model))
        return craft_round(self.plan, scene, {}, {self.spec.client_id: honest}).codes[self.spec.client_id]

    def _new_session(self) -> HostSession:
        return HostSession(
            self.spec.client_id,
            derive_keys(self.spec.secret),
            address=self.spec.address,
            max_payload=self.spec.max_payload,
            rng=self.rng,
        )
