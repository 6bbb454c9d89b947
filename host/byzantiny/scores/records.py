"""The files of a sweep, as strict records.

    DIR/
      sweep.json          Sweep: the grid as it was entered, who ran it
      cells.jsonl         Cell, one line a cell: its place on the axes, and the run that has its result
      runs/<run>.json     Result, one file a finished run, named by the hash of all that decides it
      results.csv         every cell with its result, one line each; results.parquet beside it where pyarrow is
      scores.json         the metrics of docs/metrics.md

Runs are the truth; everything else is written again from the grid and from them.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A strict, frozen record."""


class Cell(_Record, frozen=True, kw_only=True):
    """One point of the grid. `alpha` is None where the partition is the base's; `f_declared` what the defence was told."""

    schema: str = "byzantiny.cell/1"
    task: str
    alpha: float | None
    wire: str
    defence: str
    attack: str
    f: int
    f_declared: int
    seed: int
    tuning: bool = False
    """The seed chooses the worst attack, and is scored nowhere."""
    bypass: bool = False
    """Run past the wire: on a real one this cell does not exist."""
    run: str
    """The hash of its run."""


class Series(_Record, frozen=True, kw_only=True):
    """What changes from round to round, a list of as many values as rounds."""

    accuracy: list[float | None]
    asr: list[float | None]
    spread_steps: list[float | None]
    aggregated: list[bool]
    accepted: list[int]
    honest: list[int]
    honest_kept: list[int]
    minority: list[int]
    minority_kept: list[int]
    byzantine: list[int]
    byzantine_kept: list[int]


class Result(_Record, frozen=True, kw_only=True):
    """One finished run: done, or failed with its error."""

    schema: str = "byzantiny.result/1"
    run: str
    status: str
    """`done` or `failed`."""
    error: str = ""
    engine: str
    config: dict[str, Any]
    wire: dict[str, Any]
    version: str
    clients: int = 0
    cohort: int = 0
    chance: float = 0.0
    """Accuracy of always answering the test set's commonest class."""
    attack_start: int | None = None
    series: Series | None = None
    deployed: dict[str, float] = {}
    """Accuracy of the last model as other runtimes round it, by arithmetic."""
    asr_floor: float | None = None
    """Success on the same probes of the model before the first round."""
    model_sha256: str = ""
    leaves: str = ""
    """What an attack on the wire is to leave of a round (its card); empty for any other attack."""
    answer: list[str] = []
    """The refusals that its card says it meets."""
    refusals: dict[str, int] = {}
    """What was refused in all rounds, by name, where frames were sent; what devices refused of a hijacker included."""
    open_s: float | None = None
    """Median over the rounds of the time from the offer to the close, by the coordinator's clock."""
    bytes_up: int | None = None
    bytes_down: int | None = None
    """None in process: no frame was sent."""
    notes: list[str] = []
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Sweep(_Record, frozen=True, kw_only=True):
    """The grid, and what made it."""

    schema: str = "byzantiny.sweepfile/1"
    name: str
    title: str
    grid: dict[str, Any]
    engine: str
    cells: int
    runs: int
    version: str
    created_utc: str
    git_commit: str | None = None
    command: list[str] = []
