"""Streaming aggregation: updates counted a second, memory, and what the rules ask of the counts.

    python benchmarks/bench_streaming.py [--short] [--json] [--clients 65535 100000] [--d 50000]

CPU time of one pinned thread. "put" is the public face, `CountsBuffer.put`: checks, the copy into the chunk and the
counting; "clip + put" has the coordinator's norm clip before it, as a default experiment has; "fold" is the kernel alone.
Memory is what the process holds more than before, sampled as updates come, and what the arrays add up to. --short: 5,100
clients in place of all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ["BYZANTINY_THREADS"] = "1"

import numpy as np

from byzantiny import kernels
from byzantiny.federation.streaming import StreamBuffer
from byzantiny.kernels import counts as kernel
from byzantiny.preaggregators import NormClip
from byzantiny.updates import CountsBuffer, UpdateCounts
from byzantiny.updates.counts_buffer import CHUNK
from byzantiny_models.networks import Layout, TensorSpec

TARGETS = {65_535: (40_000, 52.0), 100_000: (25_000, 80.0)}
"""Clients: updates a second a core, megabytes."""
SENDERS = 61
"""Different updates that take turns; 3 MB, as fresh in the cache as what has just been received."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def updates_of(d: int) -> np.ndarray:
    return np.clip(np.rint(np.random.default_rng(0).normal(0, 25, (SENDERS, d))), -127, 127).astype(np.int8)


def counted(buffer: CountsBuffer | StreamBuffer, ids: list[str], rows: np.ndarray) -> tuple[float, int, object]:
    """CPU seconds, most resident bytes more than before, and the batch."""
    before = most = resident_bytes()
    elapsed = 0.0
    for first in range(0, len(ids), 1020):
        start = time.thread_time()
        for i, client_id in enumerate(ids[first : first + 1020], first):
            buffer.put(client_id, rows[i % SENDERS])
        elapsed += time.thread_time() - start
        most = max(most, resident_bytes())
    start = time.thread_time()
    batch = buffer.batch()
    return elapsed + time.thread_time() - start, most - before, batch


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return 1e3 * statistics.median(times)


def measure(clients: int, d: int, repeats: int = 5) -> dict[str, object]:
    kernels.backend()  # the library is loaded and checked once a process
    layout = Layout((TensorSpec("update", (d,), "int16", 14),))
    rows, ids = updates_of(d), [f"c{i:07d}" for i in range(clients)]
    seconds, resident, batch = counted(CountsBuffer(layout, (5,), ids), ids, rows)
    assert isinstance(batch, UpdateCounts)
    check(batch, rows)
    norm = float(np.sqrt((rows[0].astype(np.int64) ** 2).sum()))
    clip = NormClip(bound=int(1.01 * norm))  # about what a default bound is to honest updates: it touches few
    clipped_s, _, _ = counted(StreamBuffer([clip], [None], layout, (5,), ids), ids, rows)
    chunk = kernel.empty_rows(CHUNK, d)
    chunk[:, :d] = rows[np.arange(CHUNK) % SENDERS]
    table = kernel.empty_table(d)
    columns, n = batch.columns, batch.n
    twice = columns.median()
    other = shifted(batch)
    return {
        "clients": clients,
        "d": d,
        "backend": kernels.backend().variant,
        "updates_per_s": {
            "put": clients / seconds,
            "clip + put": clients / clipped_s,
            "fold": 1e3 * CHUNK / cpu_ms(lambda: kernel.fold(table, chunk, CHUNK), repeats),
        },
        "megabytes": {
            "table and carries": batch.nbytes / 1e6,
            "with the chunk": (batch.nbytes + chunk.nbytes) / 1e6,
            "resident": resident / 1e6,
        },
        "cpu_ms": {
            "median": cpu_ms(columns.median, repeats),
            "trimmed sum": cpu_ms(lambda: columns.trimmed_sum(n // 5), repeats),
            "nearest sum": cpu_ms(lambda: columns.nearest_sum(n // 5, twice, 2), repeats),
            "median counts": cpu_ms(columns.median_counts, repeats),
            "sign sum": cpu_ms(columns.sign_sum, repeats),
            "merge, with its checks": cpu_ms(lambda: batch.merge(other), repeats),
        },
    }


def shifted(batch: UpdateCounts) -> UpdateCounts:
    """The same counts of as many other clients."""
    ids = tuple("d" + client_id[1:] for client_id in batch.client_ids)
    return UpdateCounts(batch.table, batch.carries, batch.layout, batch.shifts, ids)


def check(batch: UpdateCounts, rows: np.ndarray) -> None:
    """Client i sent row i mod 61: the sum follows from how often each row was sent."""
    sent = np.bincount(np.arange(batch.n) % SENDERS, minlength=SENDERS)
    assert np.array_equal(batch.columns.column_sum(), sent @ rows.astype(np.int64))


def alone(clients: int, d: int) -> dict[str, object]:
    """Measure in a process of its own: memory that an earlier size gave back would not count again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, clients, d).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--short", action="store_true", help="5,100 clients")
    parser.add_argument("--clients", type=int, nargs="+", default=list(TARGETS))
    parser.add_argument("--d", type=int, default=50_000)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results = [alone(n, arguments.d) for n in ([5_100] if arguments.short else arguments.clients)]
    if arguments.json:
        print(json.dumps(results, indent=1))
        return
    for result in results:
        print(f"{result['clients']:,} clients, d = {result['d']:,}, {result['backend']}")
        if result["clients"] in TARGETS:
            rate, megabytes = TARGETS[result["clients"]]
            print(f"  target: {rate:,} updates/s, {megabytes} MB")
        for unit, digits in (("updates_per_s", 0), ("megabytes", 1), ("cpu_ms", 2)):
            line = ", ".join(f"{name} {value:,.{digits}f}" for name, value in result[unit].items())
            print(f"  {unit.replace('_', ' ')}: {line}")


if __name__ == "__main__":
    main()
