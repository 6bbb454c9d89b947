"""The task of an experiment: found by name, its files where the experiment says, the same ones the run began with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byzantiny.experiment.config import Experiment
from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.rundir import RunError, begun
from byzantiny.records import Manifest
from byzantiny.suggest import unknown_name
from byzantiny_models.tasks import Task, load_tasks


def open_task(experiment: Experiment) -> Task:
    """Load the experiment's task.

    Raises:
        ConfigError: no task has that name. ModelsError: its data are missing, or not its own.
    """
    run, tasks = experiment.base, load_tasks()
    if run.task not in tasks:
        raise ConfigError(unknown_name("task", run.task, tasks))
    return tasks[run.task](Path(run.data) if run.data else None)


def reopen_task(experiment: Experiment, run_dir: Path) -> Task:
    """Load the task of a run that began; its config is `experiment`.

    Raises:
        RunError: the run's data are not what it began with. ConfigError, ModelsError: as `open_task`.
    """
    manifest, task = begun(run_dir, experiment), open_task(experiment)
    if manifest is not None:
        require_same(manifest, task, run_dir)
    return task


def sources_of(task: Task) -> list[dict[str, str | int]]:
    """Return the files a task was read from as the manifest pins them: name, size, SHA-256."""
    return [{"name": s.name, "file_bytes": s.file_bytes, "sha256": s.sha256} for s in task.origin.sources]


def dataset_sha256(task: Task) -> str:
    """Return the hash of a task's samples and labels, training then test."""
    digest = hashlib.sha256()
    for array in (task.train_x, task.train_y, task.test_x, task.test_y):
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def require_same(manifest: Manifest, task: Task, run_dir: Path) -> None:
    """Raise unless the task's data are those a run began with: every file by name, then the samples made of them.

    Raises:
        RunError: a file that changed, is missing or is new, or other samples, each by name.
    """
    began, now = _by_name(manifest.sources), _by_name(sources_of(task))
    where = f"the data of {run_dir}, task {task.name}"
    for name, source in now.items():
        if name not in began:
            raise RunError(f"{where}: {name!r} was not there when the run began; take it out, or start a new run")
        if source != began[name]:
            raise RunError(
                f"{where}: {name!r} has {_said(source)}, the run began with {_said(began[name])}; restore that file, or "
                "start a new run"
            )
    missing = next((name for name in began if name not in now), None)
    if missing is not None:
        raise RunError(f"{where}: {missing!r} is no longer read; restore it ({_said(began[missing])})")
    sha256 = dataset_sha256(task)
    if sha256 != manifest.task["dataset_sha256"]:
        raise RunError(
            f"{where}: the samples hash to {sha256[:16]}.., the run began with {str(manifest.task['dataset_sha256'])[:16]}..;"
            f" run it with the packages it began with ({_packages(manifest)})"
        )


def _by_name(sources: list[dict[str, str | int]]) -> dict[str, Mapping[str, Any]]:
    return {str(source["name"]): source for source in sources}


def _said(source: Mapping[str, Any]) -> str:
    return f"{source['file_bytes']} bytes of SHA-256 {source['sha256'][:16]}.."


def _packages(manifest: Manifest) -> str:
    versions = {"byzantiny": manifest.version, **manifest.packages}
    return ", ".join(f"{name} {versions[name]}" for name in ("byzantiny", "numpy", "scikit-learn") if name in versions)
