"""Who plays what: data, secrets and Byzantine clients of one arm, as a pure function of config, seed and task."""

from __future__ import annotations

import hashlib
import inspect
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import load_attacks
from byzantiny.attacks.base import LinkAttack, Measured, Place, Samples, poison
from byzantiny.experiment.config import ClientGroup, ConfigError, RunConfig
from byzantiny.experiment.shares import Share, hash_shares, share_out
from byzantiny.fleet.schedule import Schedule
from byzantiny.suggest import unknown_name
from byzantiny_models import datasets
from byzantiny_models.networks import initial_model
from byzantiny_models.rng import Stream, rng_for
from byzantiny_models.tasks import Task


@dataclass(frozen=True, slots=True)
class Role:
    """One client of one arm and seed."""

    client_id: str
    group: ClientGroup
    secret: bytes
    dataset: bytes
    samples: int
    byzantine: bool
    share: Share
    """Its training samples, as dealt and as its device shows them: before an attack touched them."""
    attack: str = ""
    """What it does if it is Byzantine, by name."""

    @property
    def in_firmware(self) -> bool:
        """Whether its own firmware lies, and nothing in front of it."""
        return self.group.firmware_attack is not None


@dataclass(frozen=True, slots=True)
class Cast:
    """All clients, the attack (None: nobody lies), and the hashes that pin the data."""

    roles: tuple[Role, ...]
    attack: Any
    poisons_data: bool
    partition_sha256: str
    chosen: Samples | None = None
    """The inputs that a targeted attack is measured on, and the labels that they are to get."""

    @property
    def crafts(self) -> bool:
        """Whether the Byzantine clients send what an attack makes; all others are honest, on whatever they were given."""
        return hasattr(self.attack, "craft") or hasattr(self.attack, "forge")

    @property
    def on_links(self) -> bool:
        """Whether the adversary holds links, and the clients behind them are honest."""
        return isinstance(self.attack, LinkAttack)

    @property
    def byzantine(self) -> list[str]:
        """The ids of the Byzantine clients, or of those whose links the adversary holds."""
        return [role.client_id for role in self.roles if role.byzantine]

    @property
    def attackers(self) -> list[str]:
        """Those of them that `[attack]` is about: not those whose firmware lies."""
        return [role.client_id for role in self.roles if role.byzantine and not role.in_firmware]


def make_cast(run: RunConfig, seed: int, task: Task, first: npt.NDArray[np.int32] | None = None) -> Cast:
    """Give every client its data and its part. Raises ConfigError.

    `first`, the model that round 1 begins with (None: what the seed draws), is what whoever poisons data may know.
    """
    members = run.members()
    shares = share_out(run, seed, task)
    attack = make_attack(run)
    liars = sorted(byzantine_ids(run, seed), key=str.encode) if attack is not None else []
    poisons_data = attack is not None and hasattr(attack, "poison")
    chosen = chosen_of(attack, seed, task) if liars else None
    if first is None and poisons_data and liars:
        first = initial_model(task.network, seed)
    roles = []
    for (client_id, group), share in zip(members, shares, strict=True):
        x, y = share.of(task)
        if poisons_data and client_id in liars:
            place = Place(liars.index(client_id), len(liars), task.network, first, chosen)
            x, y = poison(attack, x, y, task.classes, rng_for(seed, Stream.ATTACK, client_id=client_id), place)
        blob = datasets.pack(x, y, task.network.classes)  # a task may have fewer labels than its network has outputs
        secret = secret_of(seed, client_id)
        lies = run.attack.name if client_id in liars else group.firmware_attack or ""
        roles.append(Role(client_id, group, secret, blob, len(y), bool(lies), share, lies))
    return Cast(tuple(roles), attack, poisons_data, hash_shares(shares), chosen)


PROBES_ROUND = (1 << 32) - 1
"""No round has this number: the probes' draw is nobody else's."""


def chosen_of(attack: Any, seed: int, task: Task) -> Samples | None:
    """Return the probes of a targeted attack, made of test samples; None where it has none."""
    if not isinstance(attack, Measured):
        return None
    rng = rng_for(seed, Stream.ATTACK, round_num=PROBES_ROUND)
    return attack.probes(task.test_x, task.test_y, task.classes, rng, Place(network=task.network))


def secret_of(seed: int, client_id: str) -> bytes:
    """Return an emulated device's secret; a real board's is provisioned and never derived.

    >>> secret_of(1, "dev-01") == secret_of(1, "dev-01"), len(secret_of(1, "dev-02"))
    (True, 32)
    """
    return hashlib.sha256(b"byzantiny-emulated-secret-1" + struct.pack("<Q16s", seed, client_id.encode())).digest()


def byzantine_ids(run: RunConfig, seed: int) -> list[str]:
    """Return who lies, or may: the ids the config names, as many as it says, drawn from the seed, or all, in turn."""
    chosen = run.attack.byzantine
    if isinstance(chosen, list):
        return chosen
    ids = sorted(client_id for client_id, group in run.members() if group.firmware_attack is None)
    if run.attack.attackers == "resampled" and run.liars:
        return ids
    picked = rng_for(seed, Stream.ATTACK).choice(len(ids), size=run.liars, replace=False)
    return [ids[int(index)] for index in sorted(picked)]


def make_attack(run: RunConfig) -> Any:
    """Return the attack with its parameters; None for `none`. Raises ConfigError naming the nearest name."""
    if run.attack.name == "none":
        return None
    zoo = load_attacks()
    if run.attack.name not in zoo:
        raise ConfigError(unknown_name("attack", run.attack.name, ["none", *zoo]))
    factory = zoo[run.attack.name]
    known = [name for name in inspect.signature(factory).parameters if name != "self"]
    for name in run.attack.params:
        if name not in known:
            raise ConfigError(unknown_name(f"parameter of {run.attack.name}", name, known))
    try:
        attack = factory(**run.attack.params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"attack {run.attack.name}: {error}") from error
    if hasattr(attack, "poison"):
        _check_steady(run, "the data a device holds, which acts")
    if hasattr(attack, "start"):
        _check_steady(run, "the first model, which is there")
    return attack


def schedule_of(run: RunConfig, seed: int) -> Schedule:
    """Return who lies when."""
    attack = run.attack
    drawn = run.liars if attack.attackers == "resampled" else None
    return Schedule(attack.start_round, attack.stop_round, drawn, seed)


def _check_steady(run: RunConfig, what: str) -> None:
    """What a device holds, or a run begins with, does not change between rounds. Raises ConfigError."""
    attack = run.attack
    for key, value, steady, remedy in (
        ("start_round", attack.start_round, 1, "set it to 1"),
        ("stop_round", attack.stop_round, None, "leave it out"),
        ("attackers", attack.attackers, "fixed", 'set it to "fixed"'),
    ):
        if value != steady:
            raise ConfigError(f"attack.{key} = {value}: {attack.name} poisons {what} from round 1; {remedy}")
