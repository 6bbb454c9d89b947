"""The data of an experiment: loaded by what it names, recorded so that a later run can be held to the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.rundir import RunError
from byzantiny.records import Manifest
from byzantiny.suggest import unknown_name
from byzantiny_models.tasks import Task, load_task, load_tasks


def load_data(run: RunConfig) -> Task:
    """Load the task that an experiment names, from its path and with its parameters.

    Raises:
        ConfigError: an unknown task. ModelsError: a network, path or parameter that it cannot use, or files that are
            not what it reads.
    """
    zoo = load_tasks()
    if run.task not in zoo:
        raise ConfigError(unknown_name("task", run.task, zoo))
    path = None if run.data.path is None else Path(run.data.path)
    return load_task(run.task, run.network, path, run.data.params)


def dataset_sha256(task: Task) -> str:
    """Return the hash of a task's samples and labels, training then test."""
    digest = hashlib.sha256()
    for array in (task.train_x, task.train_y, task.test_x, task.test_y):
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def origin_record(run: RunConfig, task: Task) -> dict[str, Any]:
    """Return where the data come from, as the manifest keeps it."""
    origin = task.origin
    return {
        "says": origin.says,
        "path": run.data.path,
        "parameters": dict(origin.parameters),
        "sources": [asdict(source) for source in origin.sources],
    }


def refuse_changed(before: Manifest, task: Task, run_dir: Path) -> None:
    """Refuse to go on with data that are not those the run began with.

    Raises:
        RunError: a file that changed, is missing or is new, by name; or samples that differ though no file does.
    """
    held = {str(source["name"]): str(source["sha256"]) for source in before.data.get("sources", [])}
    now = {source.name: source.sha256 for source in task.origin.sources}
    for name in sorted(held.keys() | now.keys()):
        if held.get(name) != now.get(name):
            raise RunError(
                f"{name} of {before.data.get('path')} is not what {run_dir} began with: SHA-256 {_short(now.get(name))} now, "
                f"{_short(held.get(name))} then; restore the file, or start a new run"
            )
    digest = before.task.get("dataset_sha256")
    if digest != dataset_sha256(task):
        raise RunError(
            f"the data of task {task.name} are not what {run_dir} began with (dataset_sha256 {_short(str(digest))} then, "
            f"{_short(dataset_sha256(task))} now{_parameters(before.data, task)}); restore what changed, or start a new run"
        )


def _short(sha256: str | None) -> str:
    return "none" if sha256 is None else f"{sha256[:12]}.."


def _parameters(held: Mapping[str, Any], task: Task) -> str:
    """What the origin says of itself that is no longer so."""
    then, now = held.get("parameters", {}), dict(task.origin.parameters)
    moved = [f"{key} {then[key]} then, {now[key]} now" for key in now if key in then and then[key] != now[key]]
    return f"; {', '.join(moved)}" if moved else ""
