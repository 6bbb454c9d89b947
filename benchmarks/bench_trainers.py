"""What the trainers reach on digits, centralised, and what they cost: accuracy, CPU seconds, bytes a weight.

    python benchmarks/bench_trainers.py [--json] [--quick] [--trainer NAME ...] [--epochs 20] [--seeds 5]

Network mlp-64-32-10, the pinned split; every trainer begins with the seed's initial model and visits the samples in the same
orders. The accuracy is that of the int8 model, mean and sample standard deviation over the seeds. `int8-sr, last-layer`
trains the last layer on the initial first one. Seconds are NumPy's on one core, a seed, and no measure of a device.
`--quick`: 2 epochs, 2 seeds, rate 2^-5, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

from byzantiny_models.networks import initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS, Job
from byzantiny_models.training import accuracy

LAST = "int8-sr, last-layer"
ROWS = (*TRAINERS, LAST)
LR_SHIFTS = (4, 5, 6)


def measure(row: str, lr_shift: int, epochs: int, seeds: int) -> dict[str, Any]:
    """Return one row: a trainer at a rate."""
    task, scores, seconds = load_task("digits"), [], []
    name, scope = ("int8-sr", "last-layer") if row == LAST else (row, "all")
    for seed in range(1, seeds + 1):
        network = task.network.scoped(scope, initial_model(task.network, seed))
        order, noise = (derive_key(seed, "central", 1, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING))
        start = initial_model(network, seed)
        begin = time.process_time()
        trained = TRAINERS[name].train(Job(network, start, task.train_x, task.train_y, order, noise, epochs, lr_shift))
        seconds.append(time.process_time() - begin)
        scores.append(100 * accuracy(network, trained.local, task.test_x, task.test_y))
    return {
        "trainer": row,
        "lr_shift": lr_shift,
        "epochs": epochs,
        "accuracy": round(statistics.mean(scores), 2),
        "std": round(statistics.stdev(scores), 2) if seeds > 1 else 0.0,
        "seeds": [round(score, 2) for score in scores],
        "seconds": round(statistics.median(seconds), 2),
        "bytes_per_weight": TRAINERS[name].bytes_per_weight,
    }


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure what was asked for, row by row."""
    for row in args.trainer or ROWS:
        for lr_shift in (5,) if args.quick else LR_SHIFTS:
            yield measure(row, lr_shift, 2 if args.quick else args.epochs, 2 if args.quick else args.seeds)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trainer", nargs="*", choices=ROWS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    if args.json:
        print(json.dumps(list(rows(args)), indent=2))
        return
    print("| trainer | rate | accuracy | seconds | bytes a weight |\n|---|---|--:|--:|--:|")
    for row in rows(args):
        print(
            f"| {row['trainer']} | 2^-{row['lr_shift']} | {row['accuracy']:.1f} +- {row['std']:.1f} % | {row['seconds']:.1f}"
            f" | {row['bytes_per_weight']:g} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
