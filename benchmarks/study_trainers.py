"""Accuracy of a federation by task and trainer (docs/training.md has the table, each row with its command).

    python benchmarks/study_trainers.py [--json] [--task digits ...] [--trainer int8-sr ...] [--seeds 5]

Twelve honest clients with equal shares drawn at random, the mean, 20 rounds of two epochs, the default grid (int8-only: shift
8, where a code is a step of a weight). `device` is the integer model's score as a device gives it, `own` that of the trainer's
own forward pass. Runs are in process, whose models are those of `byzantiny run`, byte for byte.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.experiment.resolve import scoped_task
from byzantiny.records import Evaluated
from byzantiny_models.inference import forward
from byzantiny_models.layers import KINDS
from byzantiny_models.metrics import score
from byzantiny_models.networks import Network
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS

TASKS = ("digits", "digits-cnn", "imu-gestures", "machine-anomaly")
TRAINING: dict[str, dict[str, Any]] = {
    "int8-sr": {},
    "int8-only": {"trainer": "int8-only", "shift": 8},
    "float32": {"trainer": "float32"},
    "niti": {"trainer": "niti", "lr_shift": 7},
    "dfa": {"trainer": "dfa"},
    "last-layer": {"scope": "last-layer"},
}
"""What differs from int8-sr on all tensors, by row."""


def experiment(task: str, trainer: str, rounds: int = 20) -> dict[str, Any]:
    """A cell as an experiment's table: also what `byzantiny run` takes."""
    return {
        "task": task,
        "rounds": rounds,
        "training": {"epochs": 2, **TRAINING[trainer]},
        "partition": {"name": "iid"},
        "clients": [{"prefix": "np", "count": 12, "body": "numpy"}],
    }


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
        return f"python benchmarks/study_trainers.py --task {self.task} --trainer {self.trainer}"


def measure(task: str, trainer: str, seeds: list[int], rounds: int = 20) -> Cell:
    """Run one cell."""
    run, data = parse_experiment(experiment(task, trainer, rounds)).base, load_task(task)
    outputs = TRAINERS[run.training.trainer].outputs
    device, own, d = [], [], 0
    for seed in seeds:
        network = scoped_task(run, data, seed).network
        model = run_inprocess(run, seed, data, evaluate=lambda _: Evaluated()).model
        device.append(100 * score(data, forward(network, model, data.test_x)))
        own.append(100 * score(data, outputs(network, model, data.test_x)))
        d = network.layout.d
    return Cell(task, data.network.name, trainer, data.metric, device, own, d)


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
    parser.add_argument("--task", nargs="*", default=list(TASKS))
    parser.add_argument("--trainer", nargs="*", default=list(TRAINING))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    cells = []
    if not options.json:
        print("| task, network | trainer | metric | device, % | own, % | bytes up | command |")
        print("|---|---|---|--:|--:|--:|---|")
    for task in options.task:
        for trainer in options.trainer:
            if not supported(load_task(task).network, trainer):
                continue
            cell = measure(task, trainer, list(range(1, options.seeds + 1)), options.rounds)
            cells.append(cell)
            if not options.json:
                own = "" if cell.own == cell.device else spread(cell.own)
                print(
                    f"| {task}, {cell.network} | {trainer} | {cell.metric} | {spread(cell.device)} | {own} | {cell.bytes_up:,} "
                    f"| `{cell.command}` |",
                    flush=True,
                )
    if options.json:
        rows = [{**vars(cell), "command": cell.command} for cell in cells]
        print(json.dumps({"seeds": options.seeds, "rounds": options.rounds, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
