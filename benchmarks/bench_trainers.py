"""What every trainer reaches: centralised on digits, and federated on several tasks; accuracy over seeds, time, bytes a weight.

    python benchmarks/bench_trainers.py [--seeds 5] [--epochs 20] [--federated] [--rounds 20] [--quick] [--json FILE]

Centralised: one client holds the training set. Federated: ten NumPy clients, in process, the mean, no attack; INT8-SR beside
float32, which goes onto the same grid. Figures are means over the seeds with one standard deviation (n - 1); seconds are of CPU
time, per seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS, Job

RATES = {
    "int8-sr": (4, 5, 6),
    "int8-only": (4, 5, 6, 8),
    "float32": (4, 5, 6),
    "niti": (4, 5, 7),
    "dfa": (4, 5, 6),
}
"""lr_shift by trainer; NITI's are bits kept, mu = 8 - lr_shift."""

FEDERATED = {
    "digits": ({"lr_shift": 5}, {"name": "dirichlet", "alpha": 100.0}),
    "digits-cnn": ({"lr_shift": 5}, {"name": "iid"}),
    "imu-gestures": ({"lr_shift": 5, "epochs": 2}, {"name": "natural"}),
    "machine-anomaly": ({"lr_shift": 7}, {"name": "natural"}),
}
"""Task -> training, partition."""


def centralised(name: str, lr_shift: int, seed: int, epochs: int) -> tuple[float, float]:
    """The metric on digits after so many epochs, and the CPU seconds."""
    task = load_task("digits")
    keys = [derive_key(seed, "dev-01", 1, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)]
    job = Job(task.network, initial_model(task.network, seed), task.train_x, task.train_y, *keys, epochs, lr_shift)
    begin = time.process_time()
    local = TRAINERS[name].train(job).local
    return score(task, forward(task.network, local, task.test_x)), time.process_time() - begin


def federated(task_name: str, name: str, seed: int, rounds: int) -> tuple[float, float]:
    """The metric of the mean of ten clients after so many rounds, and the CPU seconds."""
    training, partition = FEDERATED[task_name]
    task = load_task(task_name)
    experiment = parse_experiment(
        {
            "schema": "byzantiny.experiment/1",
            "task": task_name,
            "rounds": rounds,
            "clients": [{"count": 10, "body": "numpy"}],
            "training": training | {"trainer": name},
            "partition": partition,
        }
    )
    (arm,) = experiment.arms
    begin = time.process_time()
    outcome = run_inprocess(experiment.arms[arm], seed, task)
    return score(task, forward(task.network, outcome.model, task.test_x)), time.process_time() - begin


def row(found: list[tuple[float, float]], **what: Any) -> dict[str, Any]:
    values = [value for value, _ in found]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    mean, seconds = statistics.fmean(values), statistics.median(each for _, each in found)
    return what | {"mean": mean, "std": spread, "values": values, "cpu_s": seconds}


def shown(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    head = [*columns, "mean +- std", "single seeds", "CPU s"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(columns) + "|--:|---|--:|"]
    for each in rows:
        figures = f"{100 * each['mean']:.1f} +- {100 * each['std']:.1f} %"
        singles = ", ".join(f"{100 * value:.1f}" for value in each["values"])
        lines.append(
            f"| {' | '.join(str(each[column]) for column in columns)} | {figures} | {singles} | {each['cpu_s']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--federated", action="store_true", help="the federated table as well")
    parser.add_argument("--quick", action="store_true", help="two seeds, three epochs, four rounds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.epochs, chosen.rounds = 2, 3, 4
    seeds = range(1, chosen.seeds + 1)
    alone = [
        row(
            [centralised(name, lr_shift, seed, chosen.epochs) for seed in seeds],
            trainer=name,
            lr_shift=lr_shift,
            bytes_a_weight=TRAINERS[name].bytes_per_weight,
        )
        for name in TRAINERS
        for lr_shift in RATES[name]
    ]
    print(shown(alone, ("trainer", "lr_shift", "bytes_a_weight")), flush=True)
    together = []
    if chosen.federated:
        together = [
            row(
                [federated(task, name, seed, chosen.rounds) for seed in seeds],
                task=task,
                metric=load_task(task).metric,
                trainer=name,
            )
            for task in FEDERATED
            for name in ("int8-sr", "float32")
        ]
        print()
        print(shown(together, ("task", "metric", "trainer")))
    if chosen.json:
        record = {"format": "byzantiny.benchmark.trainers/1", "centralised": alone, "federated": together}
        chosen.json.write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
