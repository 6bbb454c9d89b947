"""What every client of an experiment holds, arm by arm: what `byzantiny partition` shows before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from byzantiny.experiment.config import ConfigError, Experiment
from byzantiny.experiment.shares import Share, hash_shares, share_out
from byzantiny.suggest import unknown_name
from byzantiny_models.drift import Drift
from byzantiny_models.partitions import label_counts
from byzantiny_models.tasks import Task


@dataclass(frozen=True, slots=True)
class Holding:
    """One client's samples: how many of each class, from how many persons or devices, through which sensor."""

    client_id: str
    samples: int
    counts: tuple[int, ...]
    keys: int | None
    drift: Drift | None


@dataclass(frozen=True, slots=True)
class Division:
    """One partition of the training samples, and the arms that have it."""

    arms: tuple[str, ...]
    partition: dict[str, str | int | float]
    partition_sha256: str
    clients: tuple[Holding, ...]

    @property
    def title(self) -> str:
        """The partition and its parameters, in words.

        >>> Division(("a",), {"partition": "shards", "shards_per_client": 2}, "", ()).title
        'shards, shards_per_client 2'
        """
        parameters = [f"{name} {value:g}" for name, value in self.partition.items() if name != "partition"]
        return ", ".join([str(self.partition["partition"]), *parameters])


def divisions(experiment: Experiment, task: Task, *, arm: str | None = None, seed: int | None = None) -> list[Division]:
    """Return the different partitions of an experiment's arms, in their order; `seed` is by default its first.

    Raises:
        ConfigError: an arm or a seed that the experiment does not have. PartitionError: a partition that cannot be.
    """
    if arm is not None and arm not in experiment.arms:
        raise ConfigError(unknown_name("arm", arm, experiment.arms))
    seeds = experiment.base.seeds
    if seed is not None and seed not in seeds:
        raise ConfigError(f"seed {seed} is not of this experiment; its seeds are {', '.join(map(str, seeds))}")
    found: dict[str, Division] = {}
    for name in experiment.arms if arm is None else [arm]:
        run = experiment.arms[name]
        shares = share_out(run, seeds[0] if seed is None else seed, task)
        sha256 = hash_shares(shares)
        before = found.get(sha256)
        arms = (name,) if before is None else (*before.arms, name)
        found[sha256] = Division(arms, run.partition.in_force(), sha256, _holdings(shares, task))
    return list(found.values())


def record(experiment: Experiment, task: Task, seed: int, found: Sequence[Division]) -> dict[str, Any]:
    """Return all of it as JSON has it; `counts` are by class, in the order of `class_names`."""
    return {
        "schema": "byzantiny.partition/1",
        "name": experiment.base.name,
        "task": task.name,
        "seed": seed,
        "samples": len(task.train_y),
        "class_names": list(task.class_names),
        "divisions": [asdict(division) for division in found],
    }


def _holdings(shares: Sequence[Share], task: Task) -> tuple[Holding, ...]:
    counts = label_counts([share.indices for share in shares], task.train_y, task.classes).tolist()
    keys = task.train_keys
    return tuple(
        Holding(
            share.client_id,
            len(share.indices),
            tuple(row),
            None if keys is None else len({keys[i] for i in share.indices}),
            share.drift,
        )
        for share, row in zip(shares, counts, strict=True)
    )
