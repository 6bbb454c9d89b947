"""Every measured rule against Flower, ByzFL and ByzPy, and against a plain read of the same bytes.

    make bench-peers            # once: the peers, pinned, in .venv-peers
    make bench-aggregation      # or: .venv-peers/bin/python benchmarks/aggregation.py [options]

CPU time of one pinned thread; ours and the peers take turns in one process; medians of the turns. Ours is the whole
`rule.apply`, diagnostics included, on int8 tiles as they lie after arrival; peers get the same codes as float32, decoded.
Without the peers our own columns are measured. Unless --rules, --sizes or --quick narrows the run, streaming is measured as
well (bench_streaming.py). Exit status 2: an option that cannot be followed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

SIZES = ((10, 2_000), (10, 50_000), (50, 50_000), (100, 300_000), (1000, 50_000), (1000, 300_000))
QUICK = ((10, 2_000), (50, 50_000))


def size(text: str) -> tuple[int, int]:
    """`100x300k` as (100, 300000); Bulyan needs seven clients for its f = 1."""
    match = re.fullmatch(r"(\d+)x(\d+)(k?)", text)
    n, d = (int(match[1]), int(match[2]) * (1000 if match[3] else 1)) if match else (0, 0)
    if n < 7 or d < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write clients x coordinates from 7x1, like 100x300k")
    return n, d


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", help="comma-separated, like median,trimmed-mean; all by default")
    parser.add_argument("--sizes", type=size, nargs="+", help=f"like {' '.join(f'{n}x{d // 1000}k' for n, d in SIZES)}")
    parser.add_argument("--quick", action="store_true", help="the two small sizes, three turns")
    parser.add_argument("--variant", help="native variant: icelake, v4, v3, v2, numpy; the best by default")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant (5)")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds a peer's call may take (30)")
    parser.add_argument("--total", type=float, default=10.0, help="seconds of turns a peer may take at a size (10)")
    parser.add_argument("--memory", type=float, default=8.0, help="GB a call may take (8)")
    parser.add_argument(
        "--malloc",
        choices=("default", "keep"),
        default="default",
        help="keep: freed memory stays with the process (default)",
    )
    parser.add_argument("--cpu", type=int, help="processor to pin to; the last one by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine, versions, times and verdicts")
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="print the tables of an earlier --json file; measure nothing"
    )
    chosen = parser.parse_args(arguments)
    if chosen.repeats < 1 or chosen.limit <= 0 or chosen.total <= 0 or chosen.memory <= 0:
        parser.error("--repeats is from 1; --limit, --total and --memory are above 0")
    chosen.streaming = not (chosen.rules or chosen.sizes or chosen.quick)
    chosen.sizes = sorted(chosen.sizes or (QUICK if chosen.quick else SIZES), key=lambda s: (s[0] * s[1], s))
    chosen.repeats = min(chosen.repeats, 3) if chosen.quick else chosen.repeats
    return chosen


def main(arguments: list[str] | None = None) -> int:
    chosen = options(arguments)
    from harness.clock import one_thread  # before NumPy, which reads its number of threads when it is imported

    try:
        cpu = one_thread(chosen.cpu)
    except OSError:
        print(f"--cpu {chosen.cpu}: this process may run on {sorted(os.sched_getaffinity(0))}", file=sys.stderr)
        return 2
    if chosen.variant:
        os.environ["BYZANTINY_NATIVE_VARIANT"] = chosen.variant
    from harness.run import UsageError, run, show

    try:
        show(chosen.show) if chosen.show else run(chosen, cpu)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
