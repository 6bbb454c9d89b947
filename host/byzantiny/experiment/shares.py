"""Who holds what: a partition as numbers, for a table or a picture, without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.experiment.cast import byzantine_ids, draw_drifts, split
from byzantiny.experiment.config import RunConfig
from byzantiny_models.drift import Drift
from byzantiny_models.partitions import label_counts
from byzantiny_models.tasks import Task


@dataclass(frozen=True, eq=False)
class Shares:
    """How many samples of each class every client holds, int64 (clients, classes), and what else is the client's own."""

    task: str
    network: str
    seed: int
    partition: dict[str, str | int | float]
    clients: tuple[str, ...]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    byzantine: frozenset[str]
    keys: tuple[int, ...] | None
    """Persons, writers or devices that a client holds; None where nobody knows who recorded the samples."""
    drifts: dict[str, Drift]

    @property
    def samples(self) -> NDArray[np.int64]:
        """Samples of every client, int64 (clients,)."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)

    @property
    def sentence(self) -> str:
        """The partition in a line.

        >>> shares = Shares("digits", "mlp", 1, {"partition": "shards", "shards_per_client": 2}, (), (), np.zeros((0, 10)),
        ...     frozenset(), None, {})
        >>> shares.sentence
        'digits, seed 1: shards, shards per client 2'
        """
        name, *rest = self.partition.items()
        given = [str(name[1]), *(f"{key.replace('_', ' ')} {value}" for key, value in rest)]
        return f"{self.task}, seed {self.seed}: {', '.join(given)}"

    def record(self) -> dict[str, Any]:
        """Return the shares as plain data."""
        rows = []
        for i, client_id in enumerate(self.clients):
            row: dict[str, Any] = {
                "client_id": client_id,
                "samples": int(self.samples[i]),
                "counts": self.counts[i].tolist(),
                "byzantine": client_id in self.byzantine,
            }
            if self.keys is not None:
                row["keys"] = self.keys[i]
            if client_id in self.drifts:
                drift = self.drifts[client_id]
                row |= {"bias_steps": drift.bias_steps, "gain_128ths": drift.gain_128ths}
            rows.append(row)
        return {
            "schema": "byzantiny.partition/1",
            "task": self.task,
            "network": self.network,
            "seed": self.seed,
            **self.partition,
            "classes": list(self.classes),
            "clients": rows,
        }


def find_shares(run: RunConfig, seed: int, task: Task) -> Shares:
    """Return who holds what in one arm with one seed. Raises ConfigError and PartitionError."""
    parts = split(run, seed, task)
    keys = None
    if task.train_keys is not None:
        names = np.asarray(task.train_keys)
        keys = tuple(len(np.unique(names[part])) for part in parts)
    return Shares(
        task.name,
        task.network.name,
        seed,
        run.partition.in_force(),
        tuple(run.client_ids()),
        task.class_names,
        label_counts(parts, task.train_y, task.classes),
        frozenset(byzantine_ids(run, seed)) if run.attack.name != "none" else frozenset(),
        keys,
        draw_drifts(run, seed),
    )
