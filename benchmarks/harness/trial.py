"""One call of a contestant in a forked child: is it possible, how long does it take, how much memory, is it right?

A call that takes too long is killed, one that asks for too much memory fails, and neither takes the benchmark with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contestant import Contestant

AGAIN_S = 1.0
"""A call quicker than this is made twice; the second one is measured."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one call did. `reason` is set where there is no result; `extra_bytes` is the peak above what was there before.

    `stopped_s`: the CPU time a call had taken when it was stopped for its length; 0 for any other.
    """

    seconds: float
    extra_bytes: int = 0
    output_bytes: int = 0
    excess: float = 0.0
    reason: str = ""
    stopped_s: float = 0.0


def try_once(contestant: Contestant, excess: Callable[[Any], float], limit_s: float, memory_bytes: int) -> Trial:
    """Run one call in a child; `excess` judges its numbers there. A child beyond `limit_s` of wall time is killed."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        try:
            message = pickle.dumps(_run(contestant, excess, memory_bytes))
        except BaseException as error:
            message = pickle.dumps(Trial(0.0, reason=_sentence(error)))
        os.write(send, message)
        os._exit(0)
    os.close(send)
    begin = time.monotonic()
    received = b""
    while select.select([receive], [], [], max(0.0, limit_s - (time.monotonic() - begin)))[0]:
        part = os.read(receive, 1 << 16)
        if not part:
            break
        received += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(receive)
    _, status, used = os.wait4(child, 0)
    if received:
        trial: Trial = pickle.loads(received)
        return trial
    if os.WIFSIGNALED(status) and time.monotonic() - begin >= limit_s:
        return Trial(limit_s, reason=f"longer than {limit_s:.0f} s", stopped_s=used.ru_utime + used.ru_stime)
    return Trial(0.0, reason=f"the child ended with status {status}")


def _run(contestant: Contestant, excess: Callable[[Any], float], memory_bytes: int) -> Trial:
    """Measure one call, and a quick one again: a fork begins without the pages of the libraries, and they would count."""
    # Address space, not resident memory: that is what can be limited. A library's reservations count as well.
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + memory_bytes, hard))
    seconds, extra, result = _call(contestant)
    if seconds < AGAIN_S:
        del result
        seconds, extra, result = _call(contestant)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    values = contestant.values(result)
    return Trial(seconds, extra, int(getattr(values, "nbytes", 0)), excess(values))


def _call(contestant: Contestant) -> tuple[float, int, Any]:
    call = contestant.prepare()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # free memory of an earlier call would hide what this one takes
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts at what is resident now
    before = _status("VmRSS")
    begin = time.process_time()
    result = call()
    seconds = time.process_time() - begin
    return seconds, max(0, _status("VmHWM") - before), result


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    kind = "out of memory: " if isinstance(error, MemoryError) or "allocate" in text else f"{type(error).__name__}: "
    return (kind + text)[:160]
