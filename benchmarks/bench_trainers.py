"""The trainers beside each other: accuracy on digits, centralised, speed and memory (docs/training.md has the table).

    python benchmarks/bench_trainers.py [--json] [--row int8-sr ...] [--epochs 20] [--seeds 5]

Task `digits`, network mlp-64-32-10, one client with all 1,437 training samples. `device` is the accuracy of the integer model
as a device and the deployed `.tflite` answer, `own` that of the trainer's own forward pass (of float32 and niti; the others'
is the device's). Steps a second are of one core of this machine, CPU time, NumPy, the seeds side by side (niti: one after the
other), and so no more than an order. Bytes are what a device would need for the models and the work space, modelled.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from byzantiny_models.inference import accuracy
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import Task, load_task
from byzantiny_models.trainers import TRAINERS, niti

NITI_ALONE = partial(niti.train_many, batch=1)


@dataclass(frozen=True)
class Row:
    """One line: a trainer, its rate (a schedule: each for its share of the epochs), what is trained, and its batch."""

    trainer: str
    lr_shifts: tuple[int, ...]
    scope: str = "all"
    batch: int = 1

    @property
    def name(self) -> str:
        """As the table says it."""
        batch = f", batch {self.batch}" if self.trainer == "niti" else ""
        return f"{self.trainer}{'' if self.scope == 'all' else ', ' + self.scope}{batch}"


ROWS = (
    *(Row("int8-sr", (k,)) for k in (4, 5, 6, 8)),
    *(Row("int8-only", (k,)) for k in (4, 5, 6, 8, 10)),
    *(Row("float32", (k,)) for k in (4, 5, 6)),
    *(Row("niti", (k,), batch=16) for k in (5, 6, 7)),
    Row("niti", (6, 7, 8), batch=16),
    Row("niti", (6, 7, 8), batch=1),
    *(Row("dfa", (k,)) for k in (4, 5, 6)),
    Row("int8-sr", (5,), "last-layer"),
    Row("int8-sr", (5,), "biases"),
)


def measure(row: Row, task: Task, seeds: range, epochs: int) -> dict[str, object]:
    """Accuracies per seed in percent, steps a second, bytes."""
    trainer = TRAINERS[row.trainer]
    train_many = NITI_ALONE if row.trainer == "niti" and row.batch == 1 else trainer.train_many
    starts = [initial_model(task.network, seed) for seed in seeds]
    networks = [task.network.scoped(row.scope, start) for start in starts]
    models = [network.project(start) for network, start in zip(networks, starts, strict=True)]
    began = time.process_time()
    for phase, lr_shift in enumerate(row.lr_shifts, 1):
        share = epochs * phase // len(row.lr_shifts) - epochs * (phase - 1) // len(row.lr_shifts)
        for network, members in _alike(networks).items():
            keys = [
                [derive_key(seeds[i], "central", phase, stream) for i in members]
                for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)
            ]
            held = np.stack([models[i] for i in members])
            n = len(members)
            trained = train_many(network, held, [task.train_x] * n, [task.train_y] * n, *keys, share, lr_shift)
            for i, model in zip(members, trained, strict=True):
                models[i] = model
    seconds = time.process_time() - began
    device = [100 * accuracy(net, model, task.test_x, task.test_y) for net, model in zip(networks, models, strict=True)]
    own = [
        100 * float(np.mean(np.argmax(trainer.outputs(net, model, task.test_x), axis=1) == task.test_y))
        for net, model in zip(networks, models, strict=True)
    ]
    return {
        "trainer": row.name,
        "lr_shifts": list(row.lr_shifts),
        "device": device,
        "own": own,
        "steps_per_s": len(seeds) * epochs * len(task.train_y) / seconds,
        "bytes": trainer.training_bytes(networks[0]),
    }


def _alike(networks: list[Network]) -> dict[Network, list[int]]:
    """Which seeds train the same network: all, unless the base is a seed's own."""
    groups: dict[Network, list[int]] = {}
    for i, network in enumerate(networks):
        groups.setdefault(network, []).append(i)
    return groups


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.1f} +- {np.std(values, ddof=1) if len(values) > 1 else 0:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", nargs="*", default=list(TRAINERS), help="trainers to measure")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    task, found = load_task("digits"), []
    if not options.json:
        print("| trainer | learning rate | device, % | own, % | steps/s | bytes |")
        print("|---|---|--:|--:|--:|--:|")
    for row in ROWS:
        if row.trainer not in options.row:
            continue
        result = measure(row, task, range(1, options.seeds + 1), options.epochs)
        found.append(result)
        if not options.json:
            own = "" if result["own"] == result["device"] else spread(result["own"])
            rate = (
                f"mu {', '.join(str(niti.LR_MU - k) for k in row.lr_shifts)}"
                if row.trainer == "niti"
                else f"2^-{row.lr_shifts[0]}"
            )
            print(
                f"| {row.name} | {rate} | {spread(result['device'])} | {own} | {result['steps_per_s']:,.0f} "
                f"| {result['bytes']:,} |",
                flush=True,
            )
    if options.json:
        print(json.dumps({"epochs": options.epochs, "seeds": options.seeds, "rows": found}, indent=1))


if __name__ == "__main__":
    main()
