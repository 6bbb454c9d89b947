"""Starting, resuming, reporting and reproducing runs from the command line."""

from __future__ import annotations

import json as json_module
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rich.console import Console

from byzantiny.cli.errors import EXIT_SUSPENDED, USER_ERRORS
from byzantiny.cli.live import Live, print_table
from byzantiny.coordinator import Suspended
from byzantiny.experiment import rundir
from byzantiny.experiment.config import Experiment, load_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.reproduce import reproduce
from byzantiny.report import ReportError, load_run, summary, write_report

MEAN_SEEDS = 5
MEAN_TARGETS = {"mean-clean": ">= 96 %", "mean-attacked": "<= 45 %", "median-attacked": ">= 92.5 %"}
"""The demo's targets for the mean of five seeds or more; those of one seed are in demo.toml."""


@dataclass(frozen=True, slots=True)
class Output:
    """How to speak: tables and progress, or one JSON object."""

    json: bool

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.json:
            sys.stdout.write(text + "\n")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show on a terminal that something takes its time."""
        console = Console(stderr=True)
        if self.json or not console.is_terminal:
            yield
            return
        with console.status(what):
            yield

    def give(self, value: Any) -> None:
        """Print the object for machines."""
        if self.json:
            sys.stdout.write(json_module.dumps(value) + "\n")


class StopFlag:
    """Set by the first Ctrl-C; the second one is Python's own."""

    def __init__(self) -> None:
        self._set = False

    def __call__(self) -> bool:
        """Whether the user asked to stop."""
        return self._set

    @contextmanager
    def watching(self) -> Iterator[StopFlag]:
        """Take SIGINT and SIGTERM while the block runs."""
        before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def note(number: int, _frame: object) -> None:
            self._set = True
            signal.signal(number, before[number])

        try:
            for number in before:
                signal.signal(number, note)
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def start_demo(output: Output, *, out: Path, seeds: int, rounds: int | None, broker: str | None) -> None:
    """Run the packaged demo."""
    overrides: dict[str, Any] = {"seeds": list(range(1, seeds + 1))}
    if seeds >= MEAN_SEEDS:
        overrides |= {f"arms.{arm}.target": target for arm, target in MEAN_TARGETS.items()}
    if rounds is not None:
        overrides["rounds"] = rounds
    with as_file(files("byzantiny.experiment") / "demo.toml") as path:
        experiment = load_experiment(path, overrides)
    _run_new(output, experiment, out, broker)


def start_run(output: Output, path: Path, *, out: Path, overrides: Mapping[str, Any], broker: str | None) -> None:
    """Run an experiment file into a new run directory."""
    _run_new(output, load_experiment(path, overrides), out, broker)


def resume_run(output: Output, run_dir: Path, *, broker: str | None) -> None:
    """Go on with a run directory."""
    _execute(output, rundir.load_config(run_dir), run_dir, broker)


def open_report(output: Output, run_dir: Path) -> None:
    """Write the report again and print the table."""
    path = write_report(run_dir)
    _conclude(output, run_dir, path, wall_s=None)


def reproduce_run(output: Output, run_dir: Path) -> None:
    """Run again and compare; exits with status 1 if a round differs."""
    with Live(enabled=not output.json) as live:
        outcome = reproduce(run_dir, live.on_event)
    output.say(outcome.sentence)
    output.give(asdict(outcome))
    if not outcome.identical:
        raise SystemExit(1)


def _run_new(output: Output, experiment: Experiment, out: Path, broker: str | None) -> None:
    run_id = f"{experiment.base.name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    run_dir = rundir.create(out, run_id, experiment)
    try:
        _execute(output, experiment, run_dir, broker)
    except USER_ERRORS:
        rundir.discard_unbegun(run_dir)
        raise


def _execute(output: Output, experiment: Experiment, run_dir: Path, broker: str | None) -> None:
    started = time.perf_counter()
    with StopFlag().watching() as stop, Live(enabled=not output.json) as live:
        engine = Engine(
            listener=live.on_event, stop=stop, broker=broker, command=tuple(map(_without_password, sys.argv))
        )
        try:
            engine.run(experiment, run_dir)
        except Suspended:
            sys.stderr.write(f"suspended; nothing is lost. Go on with: byzantiny resume {run_dir}\n")
            raise SystemExit(EXIT_SUSPENDED) from None
        except USER_ERRORS:
            if rundir.has_begun(run_dir):
                sys.stderr.write(f"what was recorded is kept; go on with: byzantiny resume {run_dir}\n")
            raise
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped at once; what was receipted is kept. Go on with: byzantiny resume {run_dir}\n")
            raise SystemExit(EXIT_SUSPENDED) from None
    path: Path | None = None
    try:
        path = write_report(run_dir)
    except ReportError as error:
        sys.stderr.write(f"no report: {error}\n")
    _conclude(output, run_dir, path, wall_s=time.perf_counter() - started)


def _without_password(argument: str) -> str:
    """Return an argument as the manifest keeps it: a broker's password is nobody's business.

    >>> _without_password("--broker=mqtt://me:secret@host")
    '--broker=mqtt://me:***@host'
    """
    return re.sub(r"(mqtts?://[^:/\s]*:).*@", r"\1***@", argument)


def _conclude(output: Output, run_dir: Path, report: Path | None, wall_s: float | None) -> None:
    run = load_run(run_dir)
    if output.json:
        table: dict[str, Any] = summary(run)
        arms = {arm["arm"]: {**arm, "accuracy": arm["accuracy_last_tenth"]} for arm in table["arms"]}
        wall = None if wall_s is None else round(wall_s, 2)
        output.give(
            {**table, "arms": arms, "run": str(run_dir), "report": str(report) if report else None, "wall_s": wall}
        )
        return
    print_table(run)
    output.say(f"run       {run_dir}")
    if report is not None:
        output.say(f"report    {report}")
    if wall_s is not None:
        output.say(f"wall time {wall_s:.1f} s")
