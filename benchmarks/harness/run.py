"""The whole run: what is asked for, size by size, then the tables."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import peers
from byzantiny import kernels
from byzantiny.errors import ByzantinyError
from harness import streaming
from harness.clock import keep_memory
from harness.expected import Expected
from harness.inputs import Inputs
from harness.machine import machine
from harness.measure import Budget, measure
from harness.ours import PARAMETERS
from harness.results import Result, from_record
from harness.table import table, verdict_lines
from harness.targets import judge

FORMAT = "byzantiny.benchmark.aggregation/1"


class UsageError(Exception):
    """Something was asked for that there is none of; the message says what there is."""


def run(chosen: argparse.Namespace, cpu: int | None) -> None:
    """Measure, print, and write the JSON file, after every size: a long run that ends early has not been for nothing."""
    rules, variant = asked(chosen)
    if chosen.malloc == "keep":
        keep_memory()
    found, about = peers.find(), machine(cpu)
    print("\n".join(preamble(found, about)), flush=True)
    budget = Budget(chosen.repeats, chosen.limit, chosen.total, int(chosen.memory * 1e9))
    results: list[Result] = []
    streamed: list[dict[str, Any]] = []
    if chosen.streaming:
        progress("streaming, half a minute a size")
        streamed = streaming.measured()
    for n, d in chosen.sizes:
        inputs = Inputs(n, d)
        expected = Expected(inputs)
        for rule in rules:
            results.append(measure(rule, inputs, expected, found.contestants(rule, inputs), budget, results, progress))
        if chosen.json:
            ordered = sorted(results, key=lambda result: rules.index(result.rule))
            text = json.dumps(report(ordered, streamed, variant, found, about, chosen), indent=1)
            chosen.json.write_text(text + "\n", encoding="utf-8")
    progress("")
    results.sort(key=lambda result: rules.index(result.rule))
    print("\n".join(tables(results, streamed, variant, chosen.repeats)))


def tables(results: list[Result], streamed: list[dict[str, Any]], variant: str, repeats: int) -> list[str]:
    """The table, its notes, and the targets."""
    rows, notes = table(results, repeats)
    verdicts = [*judge(results, variant), *streaming.judged(streamed)]
    return [*rows, *(f"[{i}] {note}" for i, note in enumerate(notes, 1)), "", *verdict_lines(verdicts)]


def show(file: Path) -> None:
    """Print the tables of an earlier run from its JSON file.

    Raises:
        UsageError: no such file, or none of this format.
    """
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        results = [from_record(record) for record in earlier["results"]]
        text = tables(results, earlier.get("streaming", []), earlier["machine"]["kernels"], earlier["repeats"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--show {file}: no file that --json wrote ({type(error).__name__}: {error})") from None
    print("\n".join([f"{earlier['measured']}, {earlier['machine']['processor']}", *text]))


def asked(chosen: argparse.Namespace) -> tuple[list[str], str]:
    """The rules and the native variant to measure.

    Raises:
        UsageError: an unknown rule, no folder for the JSON file, a variant this machine cannot run.
    """
    rules = chosen.rules.split(",") if chosen.rules else list(PARAMETERS)
    unknown = [rule for rule in rules if rule not in PARAMETERS]
    if unknown:
        raise UsageError(f"--rules {','.join(unknown)}: not measured here; there are {', '.join(PARAMETERS)}")
    if chosen.json and not chosen.json.parent.is_dir():
        raise UsageError(f"--json {chosen.json}: no folder {chosen.json.parent}; make it first")
    try:
        return rules, kernels.backend().variant
    except ByzantinyError as error:
        raise UsageError(str(error)) from None


def report(
    results: list[Result],
    streamed: list[dict[str, Any]],
    variant: str,
    found: peers.Peers,
    about: dict[str, Any],
    chosen: argparse.Namespace,
) -> dict[str, Any]:
    """What goes into the JSON file."""
    return {
        "format": FORMAT,
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": about,
        "peers": found.versions,
        "missing_peers": found.missing,
        "arithmetic": peers.arithmetic(),
        "repeats": chosen.repeats,
        "malloc": chosen.malloc,
        "results": [result.record() for result in results],
        "streaming": streamed,
        "targets": [verdict.record() for verdict in [*judge(results, variant), *streaming.judged(streamed)]],
    }


def preamble(found: peers.Peers, about: dict[str, Any]) -> list[str]:
    """What is measured with what; what is missing and the command that installs it."""
    versions = {"byzantiny": f"{about['byzantiny']} ({about['kernels']})"} | found.versions | peers.arithmetic()
    text = [
        f"{about['processor']}, {about['cores']} cores, pinned to {about['pinned_to']}, load {about['load']}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "CPU ms of one thread, medians; reads: ours over a plain read; MB: beyond inputs and output; (1x): fewer turns",
    ]
    text += [f"{peer} is not here: {why}" for peer, why in found.missing.items()]
    if found.missing:
        text.append(
            f"without them only the other columns are measured; `{peers.INSTALL}` installs them into .venv-peers"
        )
    return text


def progress(text: str) -> None:
    """One line that overwrites itself, for a person who waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
