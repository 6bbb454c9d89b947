"""The world of one arm: bodies, relays, ports and transports, opened in order and closed in reverse."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.attacks.frames import LinkScene, Tap
from byzantiny.bodies.base import Body, Described, DeviceSpec
from byzantiny.bodies.port_body import PortBody
from byzantiny.bodies.ports import GROUP as PORTS
from byzantiny.bodies.ports import Ports, load_ports
from byzantiny.bodies.registry import GROUP as BODIES
from byzantiny.bodies.registry import largest_payload, load_body
from byzantiny.coordinator import NOBODY, ClientFacts, Clock, Link, RealClock, VirtualClock, Witness
from byzantiny.experiment.cast import Cast, Role, schedule_of
from byzantiny.experiment.config import ClientGroup, ConfigError, RunConfig
from byzantiny.fleet import AdversaryPlan, Fleet, FleetThread, Hub, HubStore, Member, Relay
from byzantiny.records import FirmwareInfo
from byzantiny.transport.base import Transport
from byzantiny.transport.channel import NO_FAULTS, Channel, LinkFaults
from byzantiny.transport.memory import MemoryTransport
from byzantiny.transport.mqtt import MqttTransport
from byzantiny.transport.mqtt_fleet import MqttFleetLink
from byzantiny.transport.mqtt_names import MqttOptions
from byzantiny.transport.router import Router
from byzantiny.transport.serial_port import SerialTransport
from byzantiny.transport.tapped import Tapped
from byzantiny.wire.auth import derive_keys
from byzantiny_models.networks import Network
from byzantiny_models.rng import Stream, rng_for

PAYLOAD = {"memory": 4096, "mqtt": 4096, "serial": 240}
"""Largest DATA payload by transport, unless the group says otherwise; 512 is the wire's limit on a serial line."""
RTO_S = {"memory": 0.05, "mqtt": 0.5, "serial": 0.25}
LINE_RATE = 115_200
LINKS_ROUND = (1 << 32) - 2
"""No round has this number: the draw of an adversary on the links is nobody else's."""
POLL_PUMPED_S = 0.002
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the coordinator; `close` ends processes and threads."""

    transport: Transport
    clock: Clock
    links: Mapping[str, Link]
    secrets: Mapping[str, bytes]
    clients: Mapping[str, ClientFacts]
    instructions: Callable[[], dict[str, int]]
    firmware: Callable[[], list[FirmwareInfo]]
    """What the bodies and boards run, as far as they say."""
    samples: Mapping[str, int]
    """How many samples each device was enrolled with."""
    refused: Callable[[], Mapping[str, Mapping[str, int]]]
    """What devices have refused of an adversary's coordinator since the last call."""
    witness: Witness
    """The hub of the adversary, where there is one."""
    check: Callable[[], None]
    """Raises what ended a fleet's thread."""
    wake: Callable[[], float | None]
    """When a held frame or a relay's timer is due, though nothing has arrived."""
    poll_s: float
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is set in: the network, the broker, and where boot ids come from."""

    network: Network
    broker: str | None
    fleet: str
    entropy: Callable[[int], bytes]
    adversary: AdversaryPlan | None = None
    folder: Path | None = None
    """Where the hub keeps what was crafted; None: nowhere."""
    known: Mapping[int, Collection[str]] | None = None
    """Replays whose codes the hub knew, in rounds that it released early."""
    notice: Callable[[str], None] = lambda _text: None
    first_round: int = 1
    """The first that will be offered: a board that was not reset since a later one cannot take part."""


class _Builder:
    """Collects the pieces of a world; one instance, one `build`."""

    def __init__(self, run: RunConfig, seed: int, cast: Cast, setting: Setting) -> None:
        self._run = run
        self._seed = seed
        self._cast = cast
        self._setting = setting
        self._stack = ExitStack()
        self._payloads = {group.prefix: _payload(group) for group in run.clients}
        self._by_client: dict[str, Transport] = {}
        self._members: dict[str, list[Member]] = {"memory": [], "mqtt": []}
        self._counted: list[tuple[str, Ports, int]] = []
        self._there: dict[str, DeviceSpec] = {}
        """Real boards have the identity they were provisioned with, not the one they would have been given."""
        self._described: list[Described] = []
        self._checks: list[Callable[[], None]] = []
        self._timers: list[Callable[[], float | None]] = []
        self._taps: list[Tap] = []
        self._hub = self._make_hub()

    def build(self) -> World:
        """Open everything; whatever was opened is closed again if a later piece fails."""
        with self._stack:
            self._place_groups()
            clock, poll_s = self._open_memory()
            self._open_mqtt()
            close = self._stack.pop_all().close
        roles = self._cast.roles
        return World(
            transport=Router(self._by_client),
            clock=clock,
            links={role.client_id: self._link(role) for role in roles},
            secrets={role.client_id: self._spec(role).secret for role in roles},
            clients={
                role.client_id: ClientFacts(
                    role.group.body,
                    role.group.transport,
                    role.byzantine,
                    role.attack,
                    None if role.in_firmware else self._turn(role.client_id),
                )
                for role in roles
            },
            instructions=self._instructions,
            firmware=lambda: [info for each in self._described for info in each.firmware()],
            # A real board may have data of its own, of which the experiment knows nothing.
            samples={role.client_id: role.samples for role in roles if role.group.body != "board"},
            refused=self._refused,
            witness=self._hub or NOBODY,
            check=self._check,
            wake=self._wake,
            poll_s=poll_s,
            close=close,
        )

    def _make_hub(self) -> Hub | None:
        setting = self._setting
        if setting.adversary is None:
            return None
        store = HubStore(setting.folder) if setting.folder is not None else None
        return Hub(
            setting.adversary, setting.network.layout, self._cast.attackers, store, setting.known, setting.notice
        )

    def _place_groups(self) -> None:
        for group in self._run.clients:
            roles = [role for role in self._cast.roles if role.group is group]
            if group.transport == "serial":
                self._place_ports(roles)
            else:
                factory = load_body(group.body)
                body = factory([self._spec(role) for role in roles], **_lies(group, factory))
                self._stack.callback(body.close)
                self._describe(body)
                for slot, role in enumerate(roles):
                    self._members[group.transport].append(self._member(role, body, slot))

    def _place_ports(self, roles: list[Role]) -> None:
        """Serial clients: the coordinator opens their ports, except a Byzantine one's, which its relay opens."""
        group = roles[0].group
        factory = load_ports(group.body)
        options: dict[str, Any] = {"board": group.board, "round_num": self._setting.first_round} if group.board else {}
        options |= _lies(group, factory)
        ports = factory([self._spec(role) for role in roles], **options)
        self._stack.callback(ports.close)
        self._describe(ports)
        for slot, role in enumerate(roles):
            self._counted.append((role.client_id, ports, slot))
            self._there[role.client_id] = ports.specs[slot]
            if self._relayed(role):
                tapped = PortBody.open([ports.urls[slot]], baud=ports.baud or LINE_RATE)
                self._stack.callback(tapped.close)
                self._members["memory"].append(self._member(role, tapped, 0))
            else:
                self._by_client[role.client_id] = SerialTransport(
                    role.client_id, ports.urls[slot], ports.baud or LINE_RATE, dtr=ports.dtr
                )

    def _describe(self, thing: object) -> None:
        if isinstance(thing, Described):
            self._described.append(thing)

    def _open_memory(self) -> tuple[Clock, float]:
        members = self._members["memory"]
        if not members:
            return RealClock(), POLL_S
        fleet = Fleet(members)
        virtual = not fleet.realtime and all(group.transport == "memory" for group in self._run.clients)
        clock: Clock = VirtualClock() if virtual else RealClock()
        memory: Transport = MemoryTransport(lambda frames: fleet.exchange(frames, clock.now()))
        self._timers.append(lambda: fleet.next_due)
        link = self._run.link
        faults = LinkFaults(**msgspec.structs.asdict(link))
        if faults != NO_FAULTS:
            channel = Channel(memory, seed=self._seed, clock=clock.now, up=faults, down=faults)
            self._timers.append(lambda: channel.next_due)
            memory = channel
        if self._cast.on_links:
            tap = self._cast.attack.tap(self._link_scene())
            tapped = Tapped(memory, tap, clock.now)
            self._timers.append(lambda: tapped.next_due)
            self._taps.append(tap)
            memory = tapped
        for member in members:
            self._by_client[member.client_id] = memory
        return clock, POLL_S if virtual else POLL_PUMPED_S

    def _link_scene(self) -> LinkScene:
        held = self._cast.attackers
        granted = "keys" in self._cast.attack.info.needs
        specs = {role.client_id: self._spec(role) for role in self._cast.roles}
        return LinkScene(
            layout=self._setting.network.layout,
            clients=tuple(specs),
            held=frozenset(held),
            addresses={client_id: spec.address for client_id, spec in specs.items()},
            deadline_s=self._run.round.deadline_s,
            rng=rng_for(self._seed, Stream.ATTACK, round_num=LINKS_ROUND),
            keys={client_id: derive_keys(specs[client_id].secret) for client_id in held} if granted else {},
            start_round=self._run.attack.start_round,
            stop_round=self._run.attack.stop_round,
        )

    def _open_mqtt(self) -> None:
        members = self._members["mqtt"]
        if not members:
            return
        assert self._setting.broker is not None, "the engine opens a broker for a run with MQTT clients"
        mqtt = self._run.mqtt
        options = MqttOptions(
            protocol=mqtt.version,
            ca_file=_path(mqtt.ca_file),
            cert_file=_path(mqtt.cert_file),
            key_file=_path(mqtt.key_file),
        )
        transport = MqttTransport(self._setting.broker, self._setting.fleet, options=options)
        ids = [member.client_id for member in members]
        link = MqttFleetLink(self._setting.broker, self._setting.fleet, ids, options=options)
        thread = FleetThread(Fleet(members), link, time.monotonic)
        self._stack.callback(thread.stop)
        thread.start()
        self._checks.append(thread.check)
        for client_id in ids:
            self._by_client[client_id] = transport

    def _member(self, role: Role, body: Body, slot: int) -> Member:
        relay, plan = None, self._setting.adversary
        if self._relayed(role) and plan is not None:
            jitter = rng_for(self._seed, Stream.LINK, round_num=1, client_id=role.client_id)
            relay = Relay(
                self._spec(role), self._setting.network.layout, plan, jitter, self._hub, tuple(self._cast.attackers)
            )
        return Member(role.client_id, body, slot, relay)

    def _turn(self, client_id: str) -> Callable[[int], bool] | None:
        """In which rounds a client is Byzantine, where attackers are drawn anew for each."""
        schedule, pool = schedule_of(self._run, self._seed), self._cast.attackers
        return None if schedule.resampled is None else lambda number: client_id in schedule.among(pool, number)

    def _relayed(self, role: Role) -> bool:
        return role.byzantine and not role.in_firmware and self._cast.crafts

    def _spec(self, role: Role) -> DeviceSpec:
        if role.client_id in self._there:
            return self._there[role.client_id]
        return DeviceSpec(
            client_id=role.client_id,
            secret=role.secret,
            dataset=role.dataset,
            network=self._setting.network.name,
            base=self._setting.network.base,
            trainer=self._run.training.trainer,
            boot_id=int.from_bytes(self._setting.entropy(4), "little") | 1,
            max_payload=self._payloads[role.group.prefix],
        )

    def _link(self, role: Role) -> Link:
        transport = self._by_client[role.client_id]
        address = self._spec(role).address
        return Link(address, self._payloads[role.group.prefix], baud=transport.baud, rto_s=RTO_S[role.group.transport])

    def _instructions(self) -> dict[str, int]:
        counted = {}
        for client_id, ports, slot in self._counted:
            cost = ports.training(slot)
            if cost is not None:
                counted[client_id] = cost.instructions
        return counted

    def _refused(self) -> dict[str, dict[str, int]]:
        said: dict[str, dict[str, int]] = {}
        for tap in self._taps:
            said |= tap.refused()
        return said

    def _wake(self) -> float | None:
        return min((when for when in (timer() for timer in self._timers) if when is not None), default=None)

    def _check(self) -> None:
        for check in self._checks:
            check()


def open_world(run: RunConfig, seed: int, cast: Cast, setting: Setting) -> World:
    """Open the world of one arm and seed. Raises ConfigError and TransportError; nothing stays open then."""
    return _Builder(run, seed, cast, setting).build()


def _lies(group: ClientGroup, factory: Callable[..., object]) -> dict[str, Any]:
    """Return how a body is asked for firmware that lies. Raises ConfigError where it has none."""
    if group.firmware_attack is None:
        return {}
    if "attack" not in inspect.signature(factory).parameters:
        raise ConfigError(
            f'clients `{group.prefix}`: body = "{group.body}" runs no firmware that could lie; choose one that does, such as '
            "native or unicorn-m4f, or leave firmware_attack out"
        )
    return {"attack": group.firmware_attack, **group.firmware_params}


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _payload(group: ClientGroup) -> int:
    """The group's choice, else what both the transport and the body can take."""
    if group.payload_bytes is not None:
        return group.payload_bytes
    limit = largest_payload(PORTS if group.transport == "serial" else BODIES, group.body)
    return min(PAYLOAD[group.transport], limit) if limit else PAYLOAD[group.transport]
