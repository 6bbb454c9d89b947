"""What the `model` commands do, each a function: where a model comes from, its file, its worth."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from byzantiny.cli.live import Live
from byzantiny.cli.runs import Output
from byzantiny.experiment import provenance
from byzantiny.experiment.config import ConfigError
from byzantiny.experiment.models import load_run_model
from byzantiny.suggest import unknown_name
from byzantiny_models.deploy.exporting import Export, export, find_template
from byzantiny_models.deploy.files import read_file
from byzantiny_models.deploy.importing import shape_of
from byzantiny_models.deploy.pretrained import read_pretrained
from byzantiny_models.deploy.ptq import BitsRow, bits_table
from byzantiny_models.deploy.qat import train_quantized
from byzantiny_models.deploy.runtimes import opened
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.starts import MOST_BYTES, pack_start, read_start
from byzantiny_models.tasks import Task, load_tasks

CHECKED_SAMPLES = 1000
"""Of the test set, that an export must answer before it is written; and 200 random ones."""


@dataclass(frozen=True, eq=False)
class Source:
    """A model int32 (d,) of a network on a task, and where it is from: in words, and as a record."""

    network: Network
    task: Task
    model: NDArray[np.int32]
    title: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """The task's metric of a model."""

    title: str
    value: float

    @property
    def shown(self) -> str:
        """For people.

        >>> Score("accuracy", 0.9389).shown
        '93.9 %'
        """
        return f"{100 * self.value:.1f} %"


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A starting point, what it was read from, and its worth before and after the grid."""

    data: bytes
    layers: str
    before: Score
    after: Score
    provenance: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the starting point's file, which an experiment pins."""
        return hashlib.sha256(self.data).hexdigest()

    def record(self, out: Path) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "schema": "byzantiny.import/1",
            "file": str(out),
            "sha256": self.sha256,
            "layers": self.layers,
            "metric": self.before.title,
            "before": self.before.value,
            "after": self.after.value,
            "provenance": self.provenance,
        }


def known_task(name: str) -> Task:
    """Return a task. Raises ConfigError naming the nearest, MissingDependencyError."""
    tasks = load_tasks()
    if name not in tasks:
        raise ConfigError(unknown_name("task", name, tasks))
    return tasks[name]()


def open_source(
    output: Output,
    task: str | None,
    run: Path | None,
    start: Path | None,
    arm: str | None,
    seed: int | None,
    round_num: int | None,
) -> Source:
    """Return the model that the options of a command name. Raises ConfigError, RunError and StartError."""
    if (task is None) == (run is None):
        raise ConfigError("name a task or a run directory (--run RUN), one of the two")
    if run is not None:
        if start is not None:
            raise ConfigError("--start goes with a task; a run has its own model")
        with Live(enabled=not output.json) as live:
            found = load_run_model(run, arm=arm, seed=seed, round_num=round_num, listener=live.on_event)
        title = f"{run}, {found.arm}, seed {found.seed}, round {found.round_num}"
        record = {
            "run": str(run), "arm": found.arm, "seed": found.seed, "round_num": found.round_num,
            "model_sha256": found.model_sha256, "replayed": found.replayed,
        }  # fmt: skip
        return Source(found.network, found.task, found.model, title, record)
    if arm is not None or round_num is not None:
        raise ConfigError("--arm and --round name a model of a run; give the run with --run")
    loaded = known_task(task or "")
    network = loaded.network
    if start is not None:
        model = network.project(read_start(read_file(start, MOST_BYTES), network, str(start)).model)
        return Source(network, loaded, model, f"{loaded.name}, {start}", {"task": loaded.name, "start": str(start)})
    drawn = 1 if seed is None else seed
    record = {"task": loaded.name, "seed": drawn}
    return Source(network, loaded, initial_model(network, drawn), f"{loaded.name}, untrained, seed {drawn}", record)


def metric_of(source: Source) -> Score:
    """Return the worth of a model's integers on its task."""
    outputs = forward(source.network, source.model, source.task.test_x)
    return Score(source.task.metric, score(source.task, outputs))


def export_source(
    source: Source,
    *,
    template: Path | None = None,
    rebuild: bool = False,
    python: str = sys.executable,
    interpreter: str | None = None,
) -> Export:
    """Return the checked `.tflite` of a model."""
    found, origin = find_template(source.network, file=template, rebuild=rebuild, python=python)
    asked = source.task.test_x[:CHECKED_SAMPLES]
    return export(source.network, source.model, asked, found, origin, interpreter)


def export_record(source: Source, made: Export, out: Path, score: Score, files: Iterable[Path]) -> dict[str, Any]:
    """Return what `model export --json` prints."""
    return {
        "schema": "byzantiny.export/1",
        "file": str(out),
        "files": [str(path) for path in files],
        "bytes": len(made.data),
        "sha256": made.sha256,
        "network": source.network.name,
        "layout_sha256": source.network.layout.sha256.hex(),
        "template": made.origin,
        "source": source.record,
        "metric": score.title,
        "score": score.value,
        "runtime": asdict(made.runtime),
        "checked_samples": made.samples,
    }


def import_model(file: Path, task: str, *, input_scale: float, per_channel: bool, python: str) -> ImportedModel:
    """Return the starting point that a pretrained file makes for a task."""
    loaded = known_task(task)
    network = loaded.network.whole
    read = read_pretrained(file, loaded, input_scale=input_scale, per_channel=per_channel, python=python)
    model = read.on_the_grid(loaded)
    before = Score(loaded.metric, score(loaded, read.outputs))
    after = Score(loaded.metric, score(loaded, forward(network, model, loaded.test_x)))
    told = {
        "source": file.name, "source_sha256": read.sha256, "kind": read.kind, "task": loaded.name,
        "input_scale": input_scale, "metric": before.title, "before": before.value, "after": after.value,
        "version": provenance.version(),
    }  # fmt: skip
    return ImportedModel(pack_start(network, model, told), shape_of(network.layers), before, after, told)


def parse_bits(text: str) -> list[int]:
    """Return the numbers of bits that `--bits` names. Raises ConfigError.

    >>> parse_bits("8,4")
    [8, 4]
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(2 <= number <= 8 for number in found):
        raise ConfigError(f"--bits {text}: numbers from 2 to 8 with commas, e.g. 8,4,3,2")
    return found


def bits_rows(
    source: Source, bits: list[int], *, qat_epochs: int, template: Path | None, python: str
) -> list[tuple[str, BitsRow]]:
    """Return rows by how the weights were trained (`as it is`, `quantization-aware`) and their bits."""
    found, _ = find_template(source.network, file=template, python=python)
    network, task = source.network, source.task

    def measure(outputs: NDArray[Any]) -> float:
        return score(task, outputs)

    with opened() as (session, _):
        plain = bits_table(network, source.model, task.test_x, measure, found, session.run, bits)
        rows = [("as it is", row) for row in plain]
        for number in bits if qat_epochs else ():
            trained = train_quantized(
                network, source.model, task.train_x, task.train_y, number, qat_epochs, python=python
            )
            own = bits_table(network, trained, task.test_x, measure, found, session.run, [number])
            rows += [("quantization-aware", row) for row in own]
    return rows


def bits_record(source: Source, rows: list[tuple[str, BitsRow]]) -> dict[str, Any]:
    """Return what `model quantize --json` prints."""
    return {
        "schema": "byzantiny.quantize/1",
        "source": source.record,
        "network": source.network.name,
        "metric": source.task.metric,
        "rows": [{"training": training, **asdict(row)} for training, row in rows],
    }


def check_targets(paths: Iterable[Path]) -> None:
    """Refuse to write where there is no folder, before anything is written. Raises ConfigError."""
    for path in paths:
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "lies in no folder that exists"
            raise ConfigError(f"{path} {what}; name a file to write with -o")


def console() -> Console:
    """Return where tables go."""
    return Console(highlight=False)
