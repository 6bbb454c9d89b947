"""A sweep's directory: runs by their hash, written once and whole; everything else again from them."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.experiment.rundir import write_json
from byzantiny.scores import metrics
from byzantiny.scores.files import CELLS, RUNS, SCORES, SWEEP
from byzantiny.scores.records import Cell, Result, Sweep
from byzantiny.sweep.errors import SweepError


def put_result(folder: Path, encoded: bytes, run: str) -> None:
    """Make a result durable under its run's name: whole or not at all, also through `kill -9`.

    Two processes that finish the same run write the same name; the last one wins, and both are right.
    """
    path = folder / RUNS / f"{run}.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)  # noqa: PTH105 - atomic, and Path.replace says nothing more


def finished(folder: Path, runs: Sequence[str]) -> set[str]:
    """Return which of the runs are there, failed ones included."""
    there = {path.stem for path in (folder / RUNS).glob("*.json")}
    return there & set(runs)


def prepare(folder: Path, sweep: Sweep, cells: Sequence[Cell]) -> None:
    """Write what the sweep is, before it runs; leftovers of a killed process go."""
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(f"{folder} cannot be created ({error.strerror}); choose another --out") from error
    for leftover in (folder / RUNS).glob("*.tmp"):
        leftover.unlink(missing_ok=True)
    write_json(folder / SWEEP, msgspec.to_builtins(sweep))
    temporary = folder / f"{CELLS}.tmp"
    temporary.write_bytes(b"".join(msgspec.json.encode(cell) + b"\n" for cell in cells))
    os.replace(temporary, folder / CELLS)  # noqa: PTH105


def export(folder: Path, cells: Sequence[Cell], results: Mapping[str, Result], scores: Mapping[str, Any]) -> None:
    """Write scores.json, results.csv, and results.parquet where pyarrow is installed."""
    write_json(folder / SCORES, dict(scores))
    rows = [_row(cell, results.get(cell.run)) for cell in cells]
    temporary = folder / "results.csv.tmp"
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, folder / "results.csv")  # noqa: PTH105
    if importlib.util.find_spec("pyarrow") is not None:
        from pyarrow import Table
        from pyarrow.parquet import write_table

        write_table(Table.from_pylist(rows), folder / "results.parquet")


def _row(cell: Cell, result: Result | None) -> dict[str, Any]:
    place = {key: value for key, value in msgspec.structs.asdict(cell).items() if key != "schema"}
    empty = dict.fromkeys(
        (
            "error", "engine", "accuracy", "accuracy_last", "asr", "asr_floor", "honest_rejection", "minority_rejection",
            "precision", "recall", "denial_rate", "diverged", "spread_steps", "bytes_up", "bytes_down", "model_sha256",
            "cpu_s", "notes",
        )
    )  # fmt: skip
    if result is None:
        return place | {"status": "missing"} | empty
    row = (
        place
        | {"status": result.status}
        | empty
        | {"error": result.error, "engine": result.engine, "cpu_s": result.cpu_s}
    )
    if result.series is None:
        return row
    precision, recall = metrics.detection(result)
    return row | {
        "accuracy": metrics.accuracy(result),
        "accuracy_last": result.series.accuracy[-1],
        "asr": metrics.attack_success(result),
        "asr_floor": result.asr_floor,
        "honest_rejection": metrics.rejection_rate(result),
        "minority_rejection": metrics.rejection_rate(result, "minority"),
        "precision": precision,
        "recall": recall,
        "denial_rate": metrics.denial_rate(result),
        "diverged": metrics.diverged(result),
        "spread_steps": metrics.tail(result.series.spread_steps),
        "bytes_up": result.bytes_up,
        "bytes_down": result.bytes_down,
        "model_sha256": result.model_sha256,
        "notes": " | ".join(result.notes),
    }
