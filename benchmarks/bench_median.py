"""The median against np.median of float32, and against a plain read of the same bytes.

    python benchmarks/bench_median.py [--json] [--repeats 5]

CPU time of one process, the candidates interleaved, medians of the repeats. "Read" sums the same int8 bytes as int64
words (NumPy); "rows" includes the copy of row-major data into tiles, which the coordinator pays at arrival instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from byzantiny import kernels
from byzantiny.kernels import native
from byzantiny.kernels.bindings.columns import Columns
from byzantiny.kernels.reference import columns as reference
from byzantiny.updates import UpdateBuffer
from byzantiny_models.networks import Layout, TensorSpec

SIZES = ((10, 2_410), (10, 50_000), (100, 300_000), (1000, 50_000))


def cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    calls = 0
    while True:  # process_time ticks in microseconds: repeat short calls for 2 ms
        call()
        calls += 1
        elapsed = time.process_time() - start
        if elapsed > 0.002:
            return elapsed / calls


def measure(n: int, d: int, repeats: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    codes = np.clip(np.rint(rng.normal(0, 25, (n, d))), -127, 127).astype(np.int8)
    real, tiles = codes.astype(np.float32), kernels.to_tiles(codes)
    words = tiles.reshape(-1).view(np.int64)
    expected = reference.median(tiles, d)
    candidates: dict[str, Callable[[], object]] = {
        "np_median_float32": lambda: np.median(real, axis=0),
        "numpy_partition_int8": lambda: reference.median(tiles, d),
        "read": words.sum,
        "rows": lambda: kernels.median(kernels.to_tiles(codes), d),
        "arrival": lambda: fill(codes),
    }
    for variant in native.supported_variants():
        path = native.library_path(variant)
        if path.exists():
            library = Columns(native.load(path))
            assert np.array_equal(library.median(tiles, d), expected)
            candidates[variant] = lambda library=library: library.median(tiles, d)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, call in candidates.items():
            times[name].append(cpu_seconds(call))
    ms = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    best = ms[kernels.backend().variant] if kernels.backend().variant in ms else ms["numpy_partition_int8"]
    return {
        "n": n,
        "d": d,
        "cpu_ms": ms,
        "backend": kernels.backend().variant,
        "ratio_to_np_median": ms["np_median_float32"] / best,
        "ratio_to_read": best / ms["read"],
        "gigabytes_per_s": n * d / best / 1e6,
        "arrival_us_per_update": 1e3 * ms["arrival"] / n,
    }


def fill(codes: np.ndarray) -> UpdateBuffer:
    ids = [f"c{i:05d}" for i in range(len(codes))]
    buffer = UpdateBuffer(Layout((TensorSpec("update", (codes.shape[1],), "int16", 14),)), (0,), ids)
    for client_id, row in zip(ids, codes, strict=True):
        buffer.put(client_id, row)
    return buffer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    results = [measure(n, d, arguments.repeats) for n, d in SIZES]
    if arguments.json:
        print(json.dumps(results, indent=1))
        return
    for result in results:
        ms = "  ".join(f"{name} {value:.3f}" for name, value in result["cpu_ms"].items())
        print(
            f"n={result['n']} d={result['d']}: {result['backend']} is {result['ratio_to_np_median']:.0f}x np.median, "
            f"{result['ratio_to_read']:.1f}x a read, {result['gigabytes_per_s']:.1f} GB/s, "
            f"arrival {result['arrival_us_per_update']:.1f} us an update\n  CPU ms: {ms}"
        )


if __name__ == "__main__":
    main()
