"""Runs over a Ray cluster: the workers compute, the driver writes, so that no shared file system is needed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import Job
from byzantiny.sweep.pool import Finished
from byzantiny.sweep.store import put_result
from byzantiny.sweep.work import run_job

_AHEAD = 4
"""Tasks in flight for each processor of the cluster."""


def require_ray() -> None:
    """Raise SweepError unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise SweepError("--engine ray needs Ray, which is not installed; pip install 'byzantiny[ray]'")


def run_ray(
    jobs: Sequence[Job], folder: Path, workers: int | None, stop: Callable[[], bool]
) -> Generator[Finished, None, None]:
    """Run the jobs as Ray tasks on the cluster that RAY_ADDRESS names, or on one started here with `workers` processors."""
    require_ray()
    ray: Any = importlib.import_module("ray")  # typed where it is installed only, so by name
    started = not ray.is_initialized()
    if started:
        local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    try:
        task = ray.remote(num_cpus=1)(_encoded)
        room = max(1, int(ray.cluster_resources().get("CPU", 1))) * _AHEAD
        queue = iter(jobs)
        pending: dict[Any, Job] = {}
        while True:
            while len(pending) < room and not stop():
                job = next(queue, None)
                if job is None:
                    break
                pending[task.remote(job)] = job
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1, timeout=0.2)
            for reference in done:
                job = pending.pop(reference)
                status, encoded = ray.get(reference)
                put_result(folder, encoded, job.run)
                yield job.run, status
    finally:
        if started:
            ray.shutdown()


def _encoded(job: Job) -> tuple[str, bytes]:
    result = run_job(job)
    return result.status, msgspec.json.encode(result)
