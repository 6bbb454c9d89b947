"""CPU time of one pinned thread, the contestants taking turns.

Wall time would charge a contestant for whatever else the machine does. CPU time still sees what others do to the caches
and to the memory bus, and that is what the turns are for: it happens to all contestants alike.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BYZANTINY_THREADS")
"""What libraries read when they are imported; every one of them is held to one thread."""

LEAST_S = 0.004
"""A sample repeats its call until it has taken about that long: the clock ticks in microseconds."""

MOST_CALLS = 500

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

Prepare = Callable[[], Callable[[], Any]]
"""Makes ready, outside the clock, for one call: a fresh batch, a copy of rows that the callee overwrites."""


def one_thread(cpu: int | None = None) -> int | None:
    """Hold this process to one processor and one thread; call it before NumPy is imported. Return the processor."""
    for name in THREADS:
        os.environ[name] = "1"
    if not hasattr(os, "sched_setaffinity"):  # not Linux: one thread, but not pinned
        return None
    chosen = max(os.sched_getaffinity(0)) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    return chosen


def keep_memory() -> None:
    """Tell glibc's malloc to keep what is freed, as in a server that has run for a while; elsewhere nothing.

    Else every large temporary is mapped anew and its pages are filled with zeros by the kernel: in a virtual machine that was
    three quarters of the time of peers that make many (ByzFL's geometric median at (1000, 50k): 1 s instead of 0.24).
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def cpu_seconds(prepare: Prepare, calls: int = 1) -> float:
    """Return the CPU seconds of one call, averaged over `calls` of them, preparation not counted."""
    ready = [prepare() for _ in range(calls)]
    gc.disable()  # not collected before each sample: with torch loaded that takes longer than most samples
    try:
        begin = time.process_time()
        for call in ready:
            call()
        return (time.process_time() - begin) / calls
    finally:
        gc.enable()


def calls_for(seconds: float) -> int:
    """Return how many calls a sample takes, given how long one takes.

    >>> calls_for(1.0), calls_for(0.001), calls_for(0.0)
    (1, 4, 500)
    """
    return MOST_CALLS if seconds <= LEAST_S / MOST_CALLS else math.ceil(LEAST_S / seconds)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the median of the samples, and how far they spread."""

    samples: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the range of the samples over their median."""
        return (max(self.samples) - min(self.samples)) / 2 / self.seconds if self.seconds else 0.0


def take_turns(contestants: Mapping[str, Prepare], repeats: Mapping[str, int]) -> dict[str, Timing]:
    """Time every contestant `repeats[name]` times, in turns: A B C A B C ...; one with fewer repeats sits out the last turns."""
    calls: dict[str, int] = {}
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for name, prepare in contestants.items():
        first = cpu_seconds(prepare) if repeats[name] > 1 else 1.0  # warms up as well; a slow one is not run in vain
        calls[name] = calls_for(first)
    for turn in range(max(repeats.values(), default=0)):
        for name, prepare in contestants.items():
            if turn < repeats[name]:
                samples[name].append(cpu_seconds(prepare, calls[name]))
    return {name: Timing(tuple(values)) for name, values in samples.items()}
