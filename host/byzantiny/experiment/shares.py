"""Who holds which samples, and through which sensor: the partition of one arm and seed, a pure function of both."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from byzantiny.experiment.config import RunConfig
from byzantiny_models import partitions
from byzantiny_models.drift import Drift, draw_drift
from byzantiny_models.errors import PartitionError
from byzantiny_models.rng import Stream, rng_for
from byzantiny_models.tasks import Task, load_tasks


@dataclass(frozen=True, slots=True)
class Share:
    """What one client holds: training samples by their index, and its drift where the partition has one."""

    client_id: str
    indices: npt.NDArray[np.int64]
    drift: Drift | None = None

    def of(self, task: Task) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
        """Return the client's features, as its device shows them, and labels."""
        x = task.train_x[self.indices]
        return x if self.drift is None else self.drift(x), task.train_y[self.indices]


def share_out(run: RunConfig, seed: int, task: Task) -> tuple[Share, ...]:
    """Split the training samples over the clients, in the order of the groups.

    Raises:
        PartitionError: a partition that this task or this number of clients makes impossible.
    """
    members, how = run.members(), run.partition
    ids = [client_id for client_id, _ in members]
    dealt = iter(_split(run, seed, task, sum(not group.borrowed for _, group in members)))
    parts = [
        _borrow(seed, client_id, task, group.borrowed) if group.borrowed else next(dealt)
        for client_id, group in members
    ]
    if how.name != "drift":
        return tuple(Share(client_id, part) for client_id, part in zip(ids, parts, strict=True))
    # A client's drift hangs on its id and the seed alone: a fleet that grows changes no device that was there.
    drifts = [
        draw_drift(rng_for(seed, Stream.PARTITION, client_id=client_id), how.bias_steps, how.gain_64ths)
        for client_id in ids
    ]
    return tuple(map(Share, ids, parts, drifts))


def _borrow(seed: int, client_id: str, task: Task, count: int) -> npt.NDArray[np.int64]:
    """Draw samples that others hold too; who brings no data takes nothing from anybody's share."""
    rng = rng_for(seed, Stream.PARTITION, client_id=client_id)
    return np.sort(rng.choice(len(task.train_y), size=min(count, len(task.train_y)), replace=False)).astype(np.int64)


def hash_shares(shares: Sequence[Share]) -> str:
    """Return the hash of a partition: per client the number of samples, their indices, and its drift if there is one."""
    digest = hashlib.sha256()
    for share in shares:
        digest.update(struct.pack("<I", len(share.indices)))
        digest.update(np.ascontiguousarray(share.indices, dtype="<i8").tobytes())
        if share.drift is not None:
            digest.update(struct.pack("<hh", share.drift.bias_steps, share.drift.gain_64ths))
    return digest.hexdigest()


def _split(run: RunConfig, seed: int, task: Task, n: int) -> list[npt.NDArray[np.int64]]:
    rng, y, how = rng_for(seed, Stream.PARTITION), task.train_y, run.partition
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
            return partitions.natural(rng, _keys(task), n, how.min_samples)


def _keys(task: Task) -> tuple[str, ...]:
    if task.train_keys is None:
        keyed = ", ".join(name for name, source in load_tasks().items() if source.key)
        raise PartitionError(
            f'partition.name = "natural": nobody says who recorded the samples of {task.name}; choose another partition, '
            f"or a task with a key ({keyed})"
        )
    return task.train_keys
