"""Accuracy of a federation by task and trainer (docs/training.md has the table, each row with its command).

    python benchmarks/study_trainers.py [--json] [--task digits ...] [--network cnn-8x8] [--trainer int8-sr ...] [--seeds 5]

Twelve honest clients with equal shares drawn at random, the mean, 20 rounds of two epochs, the default grid (int8-only: shift
8, where a code is a step of a weight). `device` is the integer model's score as a device gives it, `own` that of the trainer's
own forward pass. A run is the round loop without wire and ledger: the same partition, clients, codes and federation, so the
models are those of `byzantiny run`, byte for byte (tests/benchmarks/test_study_trainers.py).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import RunConfig, parse_experiment
from byzantiny.experiment.data import load_data
from byzantiny.experiment.resolve import make_federation, make_plan, network_of
from byzantiny.updates import UpdateBatch
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.inference import forward
from byzantiny_models.layers import KINDS
from byzantiny_models.metrics import score
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.rng import Stream, derive_key, rng_for
from byzantiny_models.tasks import Task
from byzantiny_models.trainers import TRAINERS

TASKS = (
    ("digits", "mlp-64-32-10"),
    ("digits", "cnn-8x8"),
    ("imu-gestures", "conv1d-imu"),
    ("machine-anomaly", "autoencoder-32"),
)
TRAINING: dict[str, dict[str, Any]] = {
    "int8-sr": {},
    "int8-only": {"trainer": "int8-only", "shift": 8},
    "float32": {"trainer": "float32"},
    "niti": {"trainer": "niti", "lr_shift": 7},
    "dfa": {"trainer": "dfa"},
    "last-layer": {"scope": "last-layer"},
}
"""What differs from int8-sr on all tensors, by row."""


def experiment(task: str, network: str, trainer: str, rounds: int = 20, clients: int = 12) -> dict[str, Any]:
    """A cell as an experiment's table: also what `byzantiny run` takes."""
    return {
        "task": task,
        "network": network,
        "rounds": rounds,
        "training": {"epochs": 2, **TRAINING[trainer]},
        "partition": {"name": "iid"},
        "clients": [{"prefix": "np", "count": clients, "body": "numpy"}],
    }


class _Run:
    """One seed: the clients' data and the state of the server."""

    def __init__(self, run: RunConfig, task: Task, seed: int) -> None:
        self.run, self.seed = run, seed
        self.network = network_of(run, task, seed)
        cast = make_cast(run, seed, task)
        self.names = [role.client_id for role in cast.roles]
        self.data = [datasets.unpack(role.dataset)[:2] for role in cast.roles]
        self.plan = make_plan(run, "", seed, self.network.layout)
        self.federation = make_federation(run, self.network.layout)
        self.state = self.federation.init(initial_model(self.network, seed))

    def keys(self, stream: Stream, number: int) -> list[tuple[int, int]]:
        return [derive_key(self.seed, name, number, stream) for name in self.names]

    def close(self, number: int, trained: np.ndarray) -> None:
        """Close a round with what the clients have trained."""
        layout, plan = self.network.layout, self.plan
        codes = np.stack([
            encode(layout, self.state.model, local, plan.shifts, plan.l2_bound, key)
            for local, key in zip(trained, self.keys(Stream.CODES, number), strict=True)
        ])  # fmt: skip
        batch = UpdateBatch.from_rows(codes, layout, plan.shifts, self.names)
        self.state, _ = self.federation.apply(
            self.state, batch, rng_for(self.seed, Stream.AGGREGATION, round_num=number)
        )


def federate(table: dict[str, Any], seeds: list[int]) -> list[tuple[Network, np.ndarray]]:
    """The network and the final model of each seed; seeds that train the same network go side by side."""
    run = parse_experiment(table).base
    task, training = load_data(run), run.training
    runs = [_Run(run, task, seed) for seed in seeds]
    groups: dict[Network, list[_Run]] = {}
    for each in runs:
        groups.setdefault(each.network, []).append(each)
    for network, members in groups.items():
        xs, ys = ([pair[i] for each in members for pair in each.data] for i in (0, 1))
        for number in range(1, run.rounds + 1):
            starts = np.concatenate([np.tile(each.state.model, (len(each.names), 1)) for each in members])
            keys = [
                [key for each in members for key in each.keys(stream, number)]
                for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)
            ]
            trained = TRAINERS[training.trainer].train_many(
                network, starts, xs, ys, *keys, training.epochs, training.lr_shift
            )
            for each, local in zip(members, np.split(trained, len(members)), strict=True):
                each.close(number, local)
    return [(each.network, each.state.model) for each in runs]


@dataclass(frozen=True)
class Cell:
    """Scores in percent by seed; `bytes_up` is an update's codes."""

    task: str
    network: str
    trainer: str
    metric: str
    device: list[float]
    own: list[float]
    bytes_up: int

    @property
    def command(self) -> str:
        """What makes this row."""
        return (
            f"python benchmarks/study_trainers.py --task {self.task} --network {self.network} --trainer {self.trainer}"
        )


def measure(task: str, network: str, trainer: str, seeds: list[int], rounds: int = 20) -> Cell:
    """Run one cell."""
    table = experiment(task, network, trainer, rounds)
    run = parse_experiment(table).base
    data, own = load_data(run), TRAINERS[run.training.trainer].outputs
    found = federate(table, seeds)
    device = [100 * score(data, forward(net, model, data.test_x)) for net, model in found]
    theirs = [100 * score(data, own(net, model, data.test_x)) for net, model in found]
    return Cell(task, network, trainer, data.metric, device, theirs, found[0][0].layout.d)


def supported(network: Network, trainer: str) -> bool:
    """Whether the trainer of a row trains the network."""
    info = TRAINERS[TRAINING[trainer].get("trainer", "int8-sr")].info
    return network.head in info.heads and {KINDS[type(layer)] for layer in network.layers} <= {*info.layers, "flatten"}


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.1f} +- {np.std(values, ddof=1) if len(values) > 1 else 0:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", nargs="*", default=[])
    parser.add_argument("--network", nargs="*", default=[])
    parser.add_argument("--trainer", nargs="*", default=list(TRAINING))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    cells = []
    if not options.json:
        print("| task, network | trainer | metric | device, % | own, % | bytes up | command |")
        print("|---|---|---|--:|--:|--:|---|")
    for task, network in TASKS:
        if (options.task and task not in options.task) or (options.network and network not in options.network):
            continue
        for trainer in options.trainer:
            whole = load_data(parse_experiment({"task": task, "network": network}).base).network
            if not supported(whole, trainer):
                continue
            cell = measure(task, network, trainer, list(range(1, options.seeds + 1)), options.rounds)
            cells.append(cell)
            if not options.json:
                own = "" if cell.own == cell.device else spread(cell.own)
                print(
                    f"| {task}, {network} | {trainer} | {cell.metric} | {spread(cell.device)} | {own} | {cell.bytes_up:,} "
                    f"| `{cell.command}` |",
                    flush=True,
                )
    if options.json:
        rows = [{**vars(cell), "command": cell.command} for cell in cells]
        print(json.dumps({"seeds": options.seeds, "rounds": options.rounds, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
