"""Runs over processes: each worker writes what it has finished, so that nobody's death loses it.

A worker whose parent is gone ends itself. A run that ends its process (a crash in C, no memory) is tried once more alone, and
then recorded as failed; the others go on.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec

from byzantiny.experiment import provenance
from byzantiny.scores.records import Result
from byzantiny.sweep.grid import Job
from byzantiny.sweep.store import put_result
from byzantiny.sweep.work import run_job

_WATCH_S = 1.0
_AHEAD = 3
"""Runs handed out per worker: enough that none is idle, few enough that stopping is quick."""

Finished = tuple[str, str]
"""(run, status)."""


def run_pool(
    jobs: Sequence[Job], folder: Path, workers: int, stop: Callable[[], bool]
) -> Generator[Finished, None, None]:
    """Run the jobs, each to its file; yields them as they finish. Ends early once `stop()` says so."""
    if workers == 1:
        yield from _alone(jobs, folder, stop)
        return
    waiting, suspects = list(jobs), []
    while waiting and not stop():
        lost: list[Job] = []
        yield from _one_pool(waiting, folder, workers, stop, lost)
        suspects += lost
        waiting = [job for job in waiting if not _there(folder, job) and job not in suspects]
    for job in suspects:
        if stop():
            return
        yield from _suspect(job, folder)


def _there(folder: Path, job: Job) -> bool:
    return (folder / "runs" / f"{job.run}.json").exists()


def _alone(jobs: Sequence[Job], folder: Path, stop: Callable[[], bool]) -> Generator[Finished, None, None]:
    for job in jobs:
        if stop():
            return
        yield job.run, _work(job, folder)


def _one_pool(
    jobs: Sequence[Job], folder: Path, workers: int, stop: Callable[[], bool], lost: list[Job]
) -> Generator[Finished, None, None]:
    """Run jobs until all are done, or the pool breaks; the jobs that a broken pool was at are put into `lost`."""
    queue = iter(jobs)
    pending: dict[Future[str], Job] = {}
    with _pool(workers) as pool:
        while True:
            while len(pending) < workers * _AHEAD and not stop():
                job = next(queue, None)
                if job is None:
                    break
                try:
                    pending[pool.submit(_work, job, folder)] = job
                except BrokenProcessPool:
                    break
            if not pending:
                return
            done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                job = pending.pop(future)
                try:
                    yield job.run, future.result()
                except BrokenProcessPool:
                    lost += [each for each in (job, *pending.values()) if not _there(folder, each)]
                    return


def _suspect(job: Job, folder: Path) -> Generator[Finished, None, None]:
    """Run one job in a process of its own; if that dies too, the job is to blame."""
    with _pool(1) as pool:
        try:
            status: str | None = pool.submit(_work, job, folder).result()
        except BrokenProcessPool:
            status = None
    if status is not None:
        yield job.run, status
        return
    error = "its process died twice (a crash in native code, or no memory)"
    result = Result(
        run=job.run, status="failed", error=error, engine="frames" if job.frames else "inprocess",
        config=msgspec.to_builtins(job.config), wire=msgspec.to_builtins(job.wire), version=provenance.version(),
    )  # fmt: skip
    put_result(folder, msgspec.json.encode(result), job.run)
    yield job.run, result.status


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not fork: threads of the parent (progress, BLAS) do not survive it.
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
    )


def _begin(parent: int) -> None:
    """Make a worker quiet and mortal: Ctrl-C is the parent's, one thread of BLAS, and an end when the parent is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, name="byzantiny-parent", daemon=True).start()


def _work(job: Job, folder: Path) -> str:
    result = run_job(job)
    put_result(folder, msgspec.json.encode(result), job.run)
    return result.status
