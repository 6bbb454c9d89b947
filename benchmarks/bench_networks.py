"""What every network of the zoo costs: sizes on a board, instructions per training step, steps and inferences a second here.

    python benchmarks/bench_networks.py [--json] [--network NAME ...] [--scope last-layer ...] [--cores m0 m3 m4f] [--repeats 5]

`--scope` trains a part of each network (all, last-layer, biases), the rest frozen at the initial model. RAM is the arena of
a board at a frame of 240 bytes without the order of the samples: two models, scratch, frame.

Data: noisy prototypes, half of the inputs zero, 24 samples a client; one epoch at 2^-5 from the initial model of seed 1.
Instructions are those of one such training on an emulated board, counted by Unicorn. Steps and inferences a second are of
one core of this machine, CPU time, the median of the repeats, taken in turns; NumPy trains 32 clients side by side.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from byzantiny_firmware import library, sizes
from byzantiny_firmware.images import source_sha256
from byzantiny_firmware.inference_cost import inference_cost
from byzantiny_firmware.measuring import instructions_per_step
from byzantiny_firmware.network_tables import arena_bytes
from byzantiny_models import datasets
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, Network, initial_model
from byzantiny_models.training import train_many

SAMPLES, CLIENTS, LR_SHIFT = 24, 32, 5


def data(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Noisy prototypes: (clients, samples, features) and labels."""
    rng, classes = np.random.default_rng(0), network.classes
    shown = rng.random((classes, network.features)) < 0.5
    prototypes = rng.integers(0, 80, shown.shape) * shown
    y = rng.integers(0, classes, (CLIENTS, SAMPLES))
    noisy = prototypes[y] + rng.integers(-8, 9, (*y.shape, network.features)) * shown[y]
    return np.clip(noisy, -128, 127).astype(np.int8), y


def native(network: Network, x: np.ndarray, y: np.ndarray) -> tuple[Callable[[], float], Callable[[], float]]:
    """Two runs: training steps a second, inferences a second."""
    lib, index, layout, n = library.load(), list(NETWORKS).index(network.name), network.layout, len(x)
    base, base_bytes = network.base or None, len(network.base)
    start = layout.pack(initial_model(network, 1))
    blobs = [datasets.pack(own, labels, network.classes) for own, labels in zip(x, y, strict=True)]
    pointers = (ctypes.c_void_p * n)(*[ctypes.cast(blob, ctypes.c_void_p).value for blob in blobs])
    lengths = (ctypes.c_uint64 * n)(*[len(blob) for blob in blobs])
    ids = np.frombuffer(b"".join(f"c{c}".encode().ljust(16, b"\0") for c in range(n)), np.uint8)
    scratch = np.zeros(lib.byz_batch_scratch_bytes(index) // 8 + 1, np.uint64)
    rows = np.ascontiguousarray(x.reshape(-1, network.features))
    outputs, model = np.empty((len(rows), network.outputs), np.int8), np.frombuffer(bytearray(start), np.uint8)

    def train() -> float:
        models = np.frombuffer(bytearray(start * n), np.uint8)
        begin = time.process_time()
        steps = lib.byz_batch_train(
            index, base, base_bytes, models.ctypes.data, pointers, lengths, ids.ctypes.data, 1, 1, 1, LR_SHIFT, n, 0, n,
            scratch.ctypes.data,
        )  # fmt: skip
        assert len(blobs) == n  # the blobs outlive the call
        return steps / (time.process_time() - begin)

    def infer() -> float:
        begin = time.process_time()
        lib.byz_batch_forward(
            index, base, base_bytes, model.ctypes.data, rows.ctypes.data, len(rows), network.features, outputs.ctypes.data,
            scratch.ctypes.data,
        )  # fmt: skip
        return len(rows) / (time.process_time() - begin)

    return train, infer


def in_numpy(network: Network, x: np.ndarray, y: np.ndarray) -> tuple[Callable[[], float], Callable[[], float]]:
    """The same with the reference."""
    start, keys = initial_model(network, 1), [(c, 1) for c in range(len(x))]
    rows = x.reshape(-1, network.features)

    def train() -> float:
        begin = time.process_time()
        train_many(network, start, list(x), list(y), keys, keys, 1, LR_SHIFT)
        return y.size / (time.process_time() - begin)

    def infer() -> float:
        begin = time.process_time()
        forward(network, start, rows)
        return len(rows) / (time.process_time() - begin)

    return train, infer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--network", nargs="*", default=list(NETWORKS))
    parser.add_argument("--scope", nargs="*", default=["all"])
    parser.add_argument("--cores", nargs="*", default=["m0", "m3", "m4f"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for name, scope in itertools.product(options.network, options.scope):
        network = NETWORKS[name].scoped(scope, initial_model(NETWORKS[name], 1))
        x, y = data(network)
        runs = [*native(network, x, y), *in_numpy(network, x, y)]
        turns = [[run() for run in runs] for _ in range(options.repeats)]
        speeds = [statistics.median(column) for column in zip(*turns, strict=True)]
        row = {
            "network": name,
            "scope": scope,
            "parameters": network.layout.d,
            "model_bytes": network.layout.model_bytes,
        }
        row |= {"base_bytes": len(network.base), "arena": arena_bytes(network, 240, 0)}
        row |= dict(
            zip(("native_steps_s", "native_inferences_s", "numpy_steps_s", "numpy_inferences_s"), speeds, strict=True)
        )
        for core in options.cores:
            size = sizes.image_sizes(core, name)
            row |= {
                f"{core}_instructions_per_step": instructions_per_step(network, core, x[0], y[0], LR_SHIFT),
                f"{core}_instructions_per_inference": inference_cost(name, core, source_sha256()) or float("nan"),
                f"{core}_flash": size.flash_bytes,
            }
            row |= {"static_ram": size.static_ram_bytes, "ram": size.ram_bytes, "most_samples": size.max_samples}
        rows.append(row)
        if not options.json:
            print(
                "  ".join(
                    f"{key}={value:,.0f}" if isinstance(value, (int, float)) else value for key, value in row.items()
                ),
                flush=True,
            )
    if options.json:
        print(json.dumps({"variant": library.variant_name(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
