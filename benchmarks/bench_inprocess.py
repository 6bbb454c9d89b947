"""What a client-round costs without frames: trivial, trained, a thousand clients, a whole run; CPU seconds, as ratios.

    python benchmarks/bench_inprocess.py [--json] [--repeats 5]

trivial      100 clients that answer at once, d = 10,000, mean: all that a round costs beside training
trained      100 clients, 80 steps of 64-32-10 (16 samples x 5 epochs), mean
1,000        one round of 1,000 such clients
digits       40 rounds of 12 clients with the median, everything after imports and the task's data

A trivial client-round of Flower's simulation cost 3.1 ms (100 clients, d = 10,000, Flower 1.29 and Ray, measured once for
this project on another machine). Where flwr with Ray is installed (`make bench-peers`), it is measured here as well, by the
same clock: CPU seconds of this process and of Ray's workers cannot be had, so wall seconds of its second and later rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from byzantiny.attacks import load_attacks
from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.batch import BatchTrainer, load_batch
from byzantiny.coordinator import Plan
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.inprocess import Setup, run_inprocess, run_rounds
from byzantiny.federation import Federation, build_pipeline
from byzantiny.records import Evaluated
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS, Layout, TensorSpec, initial_model
from byzantiny_models.tasks import load_task

FLOWER_MS = 3.1
"""Per trivial client-round, 100 clients, d = 10,000."""
TARGETS = {"trivial": 500.0, "trained": 30.0}
"""Times cheaper than Flower's trivial client-round."""
ROUND_S, DIGITS_S = 1.0, 0.25
ROUNDS = 5


class Constant:
    """Clients that answer at once."""

    def __init__(self, n: int, d: int) -> None:
        self._codes = np.random.default_rng(0).integers(-20, 21, (n, d)).astype(np.int8)

    def updates(self, slots: Sequence[int], start: np.ndarray, offer: object) -> np.ndarray:  # noqa: ARG002
        return self._codes[np.asarray(slots)]

    models = outputs = updates


def setup(trainer: BatchTrainer, layout: Layout, n: int, rounds: int, epochs: int = 1) -> Setup:
    ids = tuple(f"dev-{i:05d}" for i in range(n))
    plan = Plan("main", 1, rounds, ids, n, n, 60.0, epochs, 5, layout.default_shifts(6), 0)
    return Setup(plan, layout, Federation(layout, build_pipeline([{"name": "mean"}])), trainer, ids, (16,) * n)


def per_client_round(made: Setup, start: np.ndarray) -> Callable[[], float]:
    def run() -> float:
        begin = time.process_time()
        run_rounds(made, start, lambda _model: Evaluated())
        return (time.process_time() - begin) / (made.plan.rounds * len(made.ids))

    return run


def trivial() -> Callable[[], float]:
    layout = Layout((TensorSpec("w", (10_000,), "int16", 14),))
    made = setup(Constant(100, 10_000), layout, 100, ROUNDS)
    return per_client_round(made, np.zeros(10_000, dtype=np.int32))


def trained(n: int, rounds: int) -> Callable[[], float]:
    network, gen = NETWORKS["mlp-64-32-10"], np.random.default_rng(0)
    shown = gen.random((10, 64)) < 0.5
    labels = gen.integers(0, 10, (n, 16))
    x = (gen.integers(0, 64, (10, 64)) * shown)[labels].astype(np.int8)
    specs = [DeviceSpec(f"dev-{i:05d}", bytes(32), datasets.pack(x[i], labels[i], 10)) for i in range(n)]
    made = setup(load_batch()(specs), network.layout, n, rounds, epochs=5)
    return per_client_round(made, initial_model(network, 1))


def digits() -> Callable[[], float]:
    task = load_task("digits")
    table = {"rounds": 40, "clients": [{"count": 12}], "defence": {"pipeline": [{"name": "median"}], "f_declared": 4}}
    load_attacks()

    def run() -> float:
        begin = time.process_time()
        run_inprocess(parse_experiment(table).base, 1, task)
        return time.process_time() - begin

    return run


def flower() -> float | None:
    """Wall seconds of a trivial client-round of Flower's simulation, where it is installed."""
    if importlib.util.find_spec("flwr") is None or importlib.util.find_spec("ray") is None:
        return None
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import Context, ndarrays_to_parameters
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    class Client(NumPyClient):
        def fit(self, parameters: list[np.ndarray], config: object) -> tuple[list, int, dict]:  # noqa: ARG002
            return parameters, 1, {}

    ends: list[float] = []

    class Timed(FedAvg):
        def aggregate_fit(self, server_round, results, failures):
            ends.append(time.perf_counter())
            return super().aggregate_fit(server_round, results, failures)

    start = ndarrays_to_parameters([np.zeros(10_000, np.float32)])
    strategy = Timed(fraction_fit=1.0, fraction_evaluate=0.0, min_available_clients=100, initial_parameters=start)

    def server(_context: Context) -> ServerAppComponents:
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=ROUNDS))

    run_simulation(
        server_app=ServerApp(server_fn=server), client_app=ClientApp(client_fn=lambda _c: Client().to_client()),
        num_supernodes=100,
    )  # fmt: skip
    return statistics.median(b - a for a, b in itertools.pairwise(ends)) / 100


def measure(repeats: int) -> dict[str, float]:
    """Seconds by contestant, medians of interleaved turns."""
    contestants = {
        "trivial": trivial(), "trained": trained(100, ROUNDS), "round of 1,000": trained(1000, 1), "digits": digits(),
    }  # fmt: skip
    for run in contestants.values():
        run()
    turns: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            turns[name].append(run())
    found = {name: statistics.median(seconds) for name, seconds in turns.items()}
    return found | {"round of 1,000": found["round of 1,000"] * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description="A client-round without frames.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found, peer = measure(options.repeats), flower()
    if options.json:
        print(json.dumps({"seconds": found, "flower_s": peer, "flower_reference_s": FLOWER_MS / 1000}))
        return
    reference = FLOWER_MS / 1000 if peer is None else peer
    source = "the reference's figure" if peer is None else "measured now"
    print(f"Flower, trivial   {1000 * reference:8.2f} ms a client-round ({source})")
    for name, target in TARGETS.items():
        ratio = reference / found[name]
        print(f"{name:<17} {1e6 * found[name]:8.2f} us a client-round, {ratio:.0f}x cheaper (target {target:.0f}x)")
    print(f"round of 1,000    {found['round of 1,000']:8.3f} s of CPU (target {ROUND_S:g})")
    print(f"digits, 40 x 12   {found['digits']:8.3f} s of CPU (target {DIGITS_S:g})")


if __name__ == "__main__":
    main()
