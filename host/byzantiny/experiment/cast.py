"""Who plays what: data, secrets and Byzantine clients of one arm, as a pure function of config, seed and task."""

from __future__ import annotations

import hashlib
import inspect
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import load_attacks
from byzantiny.experiment.config import ClientGroup, ConfigError, RunConfig
from byzantiny.suggest import unknown_name
from byzantiny_models import datasets, partitions
from byzantiny_models.drift import Drift, draw_drift
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
    share: npt.NDArray[np.int64]
    """Its training samples' indices, as dealt: before an attack touched them."""


@dataclass(frozen=True, slots=True)
class Cast:
    """All clients, the attack (None: nobody lies), and the hashes that pin the data."""

    roles: tuple[Role, ...]
    attack: Any
    poisons_data: bool
    partition_sha256: str
    task: Task
    """As these clients' sensors show it: the training samples of each with its drift."""

    @property
    def byzantine(self) -> list[str]:
        """The ids of the Byzantine clients."""
        return [role.client_id for role in self.roles if role.byzantine]


def make_cast(run: RunConfig, seed: int, task: Task) -> Cast:
    """Give every client its data and its part. Raises ConfigError."""
    members = run.members()
    shares = split(run, seed, task)
    drifts = draw_drifts(run, seed)
    task = _drifted(task, dict(zip(run.client_ids(), shares, strict=True)), drifts)
    attack = make_attack(run)
    liars = set(byzantine_ids(run, seed)) if attack is not None else set()
    poisons_data = attack is not None and hasattr(attack, "poison")
    roles = []
    for (client_id, group), share in zip(members, shares, strict=True):
        x, y = task.train_x[share], task.train_y[share]
        if poisons_data and client_id in liars:
            x, y = attack.poison(x, y, task.classes, rng_for(seed, Stream.ATTACK, client_id=client_id))
        blob = datasets.pack(x, y, task.network.classes)  # a device knows its network's classes, not the task's
        roles.append(Role(client_id, group, secret_of(seed, client_id), blob, len(y), client_id in liars, share))
    return Cast(tuple(roles), attack, poisons_data, _hash_shares(shares, list(drifts.values())), task)


def secret_of(seed: int, client_id: str) -> bytes:
    """Return an emulated device's secret; a real board's is provisioned and never derived.

    >>> secret_of(1, "dev-01") == secret_of(1, "dev-01"), len(secret_of(1, "dev-02"))
    (True, 32)
    """
    return hashlib.sha256(b"byzantiny-emulated-secret-1" + struct.pack("<Q16s", seed, client_id.encode())).digest()


def byzantine_ids(run: RunConfig, seed: int) -> list[str]:
    """Return who lies: the ids the config names, or as many as it says, drawn from the seed."""
    chosen = run.attack.byzantine
    if isinstance(chosen, list):
        return chosen
    ids = sorted(run.client_ids())
    picked = rng_for(seed, Stream.ATTACK).choice(len(ids), size=chosen, replace=False)
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
    if not hasattr(attack, "poison") and attack.knowledge != "own":
        raise ConfigError(
            f"attack {run.attack.name} with knowledge {attack.knowledge!r}: a relay knows its own body's update and no"
            " other; choose an attack, or parameters, that need no more"
        )
    if hasattr(attack, "poison") and run.attack.start_round > 1:
        raise ConfigError(
            f"attack.start_round = {run.attack.start_round}: {run.attack.name} poisons the data a device"
            " holds, which acts from round 1; set it to 1"
        )
    return attack


def split(run: RunConfig, seed: int, task: Task) -> list[npt.NDArray[np.int64]]:
    """Return the training samples of every client, in the clients' order. Raises ConfigError and PartitionError."""
    rng, y, how, n = rng_for(seed, Stream.PARTITION), task.train_y, run.partition, len(run.members())
    match how.name:
        case "iid" | "drift":
            return partitions.iid(rng, y, n)
        case "dirichlet":
            return partitions.dirichlet(rng, y, n, how.alpha, how.min_samples)
        case "shards":
            return partitions.shards(rng, y, n, how.shards_per_client)
        case "quantity":
            return partitions.quantity(rng, y, n, how.alpha, how.min_samples)
        case "gamma-similarity":
            return partitions.gamma_similarity(rng, y, n, how.gamma)
        case "natural":
            if task.train_keys is None:
                raise ConfigError(
                    f'partition.name = "natural": nobody knows who recorded the samples of task {task.name}; choose another '
                    "partition, or a task with a key (byzantiny list tasks)"
                )
            return partitions.natural(rng, task.train_keys, n)


def draw_drifts(run: RunConfig, seed: int) -> dict[str, Drift]:
    """Return every client's drift; none unless the partition is one. A client's does not depend on how many there are."""
    how = run.partition
    if how.name != "drift":
        return {}
    return {
        client_id: draw_drift(rng_for(seed, Stream.PARTITION, client_id=client_id), how.bias_steps, how.gain_128ths)
        for client_id in run.client_ids()
    }


def _drifted(task: Task, shares: Mapping[str, npt.NDArray[np.int64]], drifts: Mapping[str, Drift]) -> Task:
    if not drifts:
        return task
    train_x = task.train_x.copy()
    for client_id, share in shares.items():
        train_x[share] = drifts[client_id](train_x[share])
    return replace(task, train_x=train_x)


def _hash_shares(shares: Sequence[npt.NDArray[np.int64]], drifts: Sequence[Drift]) -> str:
    digest = hashlib.sha256()
    for share in shares:
        digest.update(struct.pack("<I", len(share)))
        digest.update(np.ascontiguousarray(share, dtype="<i8").tobytes())
    for drift in drifts:
        digest.update(struct.pack("<ii", drift.bias_steps, drift.gain_128ths))
    return digest.hexdigest()
