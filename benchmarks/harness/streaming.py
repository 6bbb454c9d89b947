"""The targets of streaming, from what bench_streaming.py measures: updates counted a second, megabytes held."""

from __future__ import annotations

from typing import Any

import bench_streaming
from harness.targets import Target, Verdict

D = 50_000


def measured() -> list[dict[str, Any]]:
    """Every size that has a target, each in a process of its own."""
    return [bench_streaming.alone(clients, D) for clients in bench_streaming.TARGETS]


def judged(results: list[dict[str, Any]]) -> list[Verdict]:
    """Updates a second through the public face, `CountsBuffer.put`, and resident megabytes, against their targets."""
    verdicts = []
    for result in results:
        size = (result["clients"], result["d"])
        rate, megabytes = bench_streaming.TARGETS[size[0]]
        values = {"updates/s": result["updates_per_s"]["put"], "MB": result["megabytes"]["resident"]}
        for measure, limit in (("updates/s", rate), ("MB", megabytes)):
            verdicts.append(Verdict(Target("streaming", measure, limit, (size,)), *size, values[measure]))
    return verdicts
