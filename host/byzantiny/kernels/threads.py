"""Threads for the kernels: a range cut into contiguous parts, each worked by whoever is free.

A call into a C kernel releases the GIL, so Python's own threads run it on several processors. Every part writes what
no other part touches, or its results are added as integers: so the number of threads never shows in a result.

`BYZANTINY_THREADS` sets the number; without it, it is the number of processors this process may run on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Final

from byzantiny.kernels.native import KernelError

THREADS_ENV: Final = "BYZANTINY_THREADS"
PARTS_A_THREAD: Final = 4
"""Parts cut for each thread: where another process slows one processor down, the other takes more of them."""


def thread_count(asked: int | None = None) -> int:
    """Return how many threads a kernel may use: `asked`, else what the environment says, else the processors.

    Raises:
        KernelError: the number is none, or below 1.

    >>> thread_count(3)
    3
    """
    if asked is None:
        named = os.environ.get(THREADS_ENV)
        if not named:
            return _processors()
        if not named.isdecimal() or int(named) < 1:
            raise KernelError(
                f"{THREADS_ENV}={named}: it is a number of threads, from 1; or unset it for all processors"
            )
        return int(named)
    if asked < 1:
        raise KernelError(f"{asked} threads: 1 is the least; leave the number out for all processors")
    return asked


def cut(total: int, count: int) -> list[tuple[int, int]]:
    """Return `count` contiguous parts (first, stop) of range(total), which differ by one at most; fewer if total is less.

    >>> cut(7, 3), cut(2, 3), cut(0, 3)
    ([(0, 2), (2, 4), (4, 7)], [(0, 1), (1, 2)], [])
    """
    count = min(count, total)
    bounds = [total * k // count for k in range(count + 1)] if count else []
    return list(pairwise(bounds))


def run(work: Callable[[int, int], object], total: int, least: int, threads: int | None = None) -> None:
    """Call `work(first, stop)` for contiguous parts that make up range(total), on several threads where that pays.

    `least` is the share of the range below which a thread costs more than it brings: there are no more threads than
    total / least, and one is the calling thread. `threads`: as `thread_count`. `work` must not depend on how the range
    is cut; NumPy arrays that it only reads, or whose parts it writes, need no lock.

    Raises:
        KernelError: as `thread_count`.
        Exception: what `work` raised; no part runs any more when it gets here.

    >>> done = []
    >>> run(lambda first, stop: done.append((first, stop)), 10, least=100)
    >>> done
    [(0, 10)]
    """
    most = total // max(1, least)
    workers = min(most, thread_count(threads)) if most > 1 else 1
    if workers < 2:
        work(0, total)
        return
    parts = deque(cut(total, workers * PARTS_A_THREAD))

    def take_parts() -> None:
        while True:
            try:
                part = parts.popleft()
            except IndexError:
                return
            try:
                work(*part)
            except BaseException:
                parts.clear()
                raise

    helpers = [_pool(os.getpid(), workers - 1).submit(take_parts) for _ in range(workers - 1)]
    try:
        take_parts()
    finally:
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in errors:
        if error is not None:
            raise error


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=2)
def _pool(pid: int, helpers: int) -> ThreadPoolExecutor:  # noqa: ARG001  a forked child has none of its parent's threads
    return ThreadPoolExecutor(helpers, thread_name_prefix="byz-kernels")
