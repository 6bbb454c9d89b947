"""What the deployed model's evaluation costs: patch against reconvert, a round's evaluation by network, a coordinator's memory.

    python benchmarks/bench_evaluation.py [--json] [--network NAME ...] [--samples 360] [--repeats 7] [--reconvert PYTHON]

Milliseconds are wall time of one core, the median of the repeats, taken in turns. `--reconvert` names a Python that has TensorFlow
(`make tensorflow` makes .venv-tensorflow/bin/python): there the same network is built and converted afresh, its start left out.
Memory is the peak RSS of a process that runs `digits` for 10 rounds of 12 clients in memory and evaluates every round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.template import describe, load_template, patch, shown
from byzantiny_models.evaluation import Interpreter, exact_interpreter, opened_interpreter
from byzantiny_models.float_training import forward_float, to_float
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, Network, initial_model

ROUNDS, CLIENTS = 10, 12
_COORDINATOR = f"""
import json, resource, sys, tempfile
from pathlib import Path
from byzantiny.experiment import rundir
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
experiment = parse_experiment({{"rounds": {ROUNDS}, "clients": [{{"count": {CLIENTS}}}], "evaluation": json.loads(sys.argv[1])}})
with tempfile.TemporaryDirectory() as folder:
    run_dir = rundir.create(Path(folder), "run", experiment)
    Engine(ignore).run(experiment, run_dir)
    rows = [json.loads(line) for line in (run_dir / "arms/main/seed-1/rounds.jsonl").read_text().splitlines()]
print(json.dumps({{
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "heavy": sorted({{"tensorflow", "keras", "tflite_runtime", "tflite_micro", "sklearn"}} & set(sys.modules)),
    "rounds_exported": sum(row["accuracy_exported"] is not None for row in rows),
    "interpreter": rows[-1]["interpreter"],
}}))
"""
_RECONVERT = """
import io, json, sys, time
from byzantiny_models.deploy import keras_export
described = sys.stdin.buffer.read()
times = []
for _ in range(int(sys.argv[1]) + 1):
    began = time.perf_counter()
    description = json.loads(described)
    keras_export.convert(keras_export.build(description), description["seed"])
    times.append((time.perf_counter() - began) * 1000)
print(json.dumps(times[1:]))
"""


def coordinator(evaluation: dict[str, object]) -> dict[str, object]:
    """Run the small experiment in a process of its own and return what it says of itself."""
    done = subprocess.run(
        [sys.executable, "-c", _COORDINATOR, json.dumps(evaluation)], capture_output=True, check=True, timeout=300
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def reconvert_ms(network: Network, python: str, repeats: int) -> float:
    """Build and convert in a process that has started already; the first time, which loads kernels, is left out."""
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [python, "-c", _RECONVERT, str(repeats)], input=json.dumps(describe(network)).encode(),
            stdout=subprocess.PIPE, stderr=errors, check=True,
        )  # fmt: skip
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))


def network_row(network: Network, installed: Interpreter, samples: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each part of a round's evaluation."""
    model, template = initial_model(network, 1), load_template(network.name)
    x = np.random.default_rng(0).integers(-128, 128, (samples, network.features)).astype(np.int8)
    data, exact = patch(template, network, model), exact_interpreter()
    parts: dict[str, Callable[[], object]] = {
        "patch": lambda: patch(template, network, model),
        "parse": lambda: parse_model(data),
        "float": lambda: forward_float(network, to_float(network.layout, model), x),
        "integer": lambda: forward(network, model, x),
        "numpy_exported": lambda: exact.answers(data, shown(network, x)),
        "installed_exported": lambda: installed.answers(data, shown(network, x)),
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(repeats + 1):
        for name, part in parts.items():
            began = time.perf_counter()
            part()
            if turn:  # the first turn fills caches
                times[name].append((time.perf_counter() - began) * 1000)
    return {f"{name}_ms": statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--network", nargs="*", default=list(NETWORKS))
    parser.add_argument("--samples", type=int, default=360)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--reconvert", metavar="PYTHON", help="a Python that has TensorFlow")
    options = parser.parse_args()
    rows = []
    with opened_interpreter() as installed:
        for name in options.network:
            row: dict[str, object] = {
                "network": name,
                **network_row(NETWORKS[name], installed, options.samples, options.repeats),
            }
            if options.reconvert:
                row["reconvert_ms"] = reconvert_ms(NETWORKS[name], options.reconvert, options.repeats)
            rows.append(row)
            if not options.json:
                print("  ".join(f"{k}={v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items()), flush=True)
        who = installed.title
    memory = {
        "every round, installed interpreter": coordinator({}),
        "every round, NumPy": coordinator({"interpreter": "numpy"}),
        "no exported model": coordinator({"deployed": False, "per_client": False, "bits": []}),
    }
    if options.json:
        print(json.dumps({"interpreter": who, "samples": options.samples, "rows": rows, "memory": memory}, indent=1))
        return
    print(f"installed: {who}; {options.samples} samples")
    for name, found in memory.items():
        print(f"{name}: peak RSS {found['peak_rss_mb']:.0f} MB, loaded {found['heavy'] or 'nothing heavy'}")


if __name__ == "__main__":
    main()
