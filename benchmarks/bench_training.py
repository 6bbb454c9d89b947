"""Training steps a second: NumPy and every native variant, 1,000 clients, one core, beside a fixed reference loop.

    python benchmarks/bench_training.py [--json] [--clients 1000] [--repeats 7]

A step is one sample of the network mlp-64-32-10 forward, backward and updated; seconds are of CPU time. The contestants
take turns, so that a busy machine slows all of them; the median of the turns is reported. The reference is a pure Python
loop of fixed length: its time tells how fast the machine was, and `per reference` compares runs on different machines.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import struct
import time
from collections.abc import Callable

import numpy as np

from byzantiny_firmware import library
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train_many

NETWORK = NETWORKS["mlp-64-32-10"]
SAMPLES, EPOCHS, LR_SHIFT, SEED, ROUND = 16, 5, 5, 1, 1


def data(clients: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten noisy prototypes, half of the inputs zero: like the digits, without needing them."""
    gen = np.random.default_rng(0)
    prototypes = gen.integers(0, 64, (10, 64)) * (gen.random((10, 64)) < 0.5)
    labels = gen.integers(0, 10, (clients, SAMPLES))
    noisy = prototypes[labels] + gen.integers(-4, 5, (clients, SAMPLES, 64)) * (prototypes[labels] > 0)
    return np.clip(noisy, 0, 64).astype(np.int8), labels


def reference() -> float:
    """CPU seconds of a fixed loop in pure Python."""
    begin = time.process_time()
    total = 0
    for i in range(1_000_000):
        total += i & 3
    assert total == 1_500_000
    return time.process_time() - begin


def native(variant: str, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    lib, layout, n = library.load_variant(variant), NETWORK.layout, len(x)
    start = layout.pack(initial_model(NETWORK, SEED))
    head = struct.pack("<4sIHHI", b"BYZD", SAMPLES, 64, 10, 0)
    rows = np.concatenate([x.view(np.uint8), y[:, :, None].astype(np.uint8)], axis=2)
    blobs = [head + row.tobytes() for row in rows]
    pointers = (ctypes.c_void_p * n)(*[ctypes.cast(blob, ctypes.c_void_p).value for blob in blobs])
    lengths = (ctypes.c_uint64 * n)(*[len(blob) for blob in blobs])
    ids = np.frombuffer(b"".join(f"dev-{i:05d}".encode().ljust(16, b"\0") for i in range(n)), np.uint8)
    scratch = np.zeros(lib.byz_batch_scratch_bytes(0) // 8 + 1, np.uint64)

    def run() -> float:
        models = np.frombuffer(bytearray(start * n), np.uint8)
        begin = time.process_time()
        steps = lib.byz_batch_train(
            0, None, 0, models.ctypes.data, pointers, lengths, ids.ctypes.data, SEED, ROUND, EPOCHS, LR_SHIFT, n, 0, n,
            scratch.ctypes.data,
        )  # fmt: skip
        assert len(blobs) == n  # the blobs outlive the call
        return steps / (time.process_time() - begin)

    return run


def numpy_body(x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    ids = [f"dev-{i:05d}" for i in range(len(x))]
    start = initial_model(NETWORK, SEED)

    def run() -> float:
        begin = time.process_time()
        keys = [[derive_key(SEED, name, ROUND, s) for name in ids] for s in (Stream.SAMPLE_ORDER, Stream.TRAINING)]
        train_many(NETWORK, start, list(x), list(y), *keys, 1, LR_SHIFT)  # one epoch is enough of it
        return len(x) * SAMPLES / (time.process_time() - begin)

    return run


def measure(clients: int, repeats: int) -> tuple[dict[str, float], float]:
    """Steps a second by contestant, and the seconds of the reference loop: medians of interleaved turns."""
    x, y = data(clients)
    contestants = {f"native {name}": native(name, x, y) for name in reversed(library.supported_variants())}
    contestants = {"numpy": numpy_body(x, y), **contestants}
    for run in contestants.values():
        run()  # warm up
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    references = []
    for _ in range(repeats):
        references.append(reference())
        for name, run in contestants.items():
            speeds[name].append(run())
    return {name: statistics.median(turns) for name, turns in speeds.items()}, statistics.median(references)


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps a second.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    results, seconds = measure(options.clients, options.repeats)
    if options.json:
        steps = {name: round(value) for name, value in results.items()}
        print(json.dumps({"clients": options.clients, "reference_s": seconds, "steps_per_s": steps}, indent=1))
        return
    print(f"{options.clients} clients x {SAMPLES} samples x {EPOCHS} epochs; reference loop {seconds * 1e3:.1f} ms")
    for name, value in results.items():
        print(f"{name:<12} {value / 1e6:7.3f} M steps/s   {value * seconds:12.0f} steps per reference")


if __name__ == "__main__":
    main()
