"""Tasks: data, its split into training and test samples, the network for it, and how it is measured.

Features are int8 Q6, as the device takes them; the split is fixed, so that two accuracies are of the same samples.
Installed packages add tasks under the entry point group `byzantiny.tasks`: each names a `TaskSource`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from byzantiny_models.errors import InvalidValueError, ModelsError
from byzantiny_models.networks import NETWORKS, Network
from byzantiny_models.tasks.generated import GESTURES_TASK, MACHINES_TASK
from byzantiny_models.tasks.library import BREAST_CANCER, DIGITS, WINE
from byzantiny_models.tasks.recorded import RECORDINGS
from byzantiny_models.tasks.source import TaskInfo, TaskSource
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.supplied import EMNIST, FASHION_MNIST, FEMNIST, MNIST, UCI_HAR
from byzantiny_models.tasks.task import Metric, Origin, Task

__all__ = [
    "TASKS", "Metric", "Origin", "Task", "TaskInfo", "TaskSource", "load_task", "load_tasks", "split_stratified",
]  # fmt: skip

GROUP = "byzantiny.tasks"

_ZOO = (
    DIGITS, BREAST_CANCER, WINE, GESTURES_TASK, MACHINES_TASK, MNIST, FASHION_MNIST, *EMNIST, UCI_HAR, FEMNIST, RECORDINGS,
)  # fmt: skip

TASKS: dict[str, TaskSource] = {source.info.name: source for source in _ZOO}
"""The tasks that come with the project, by name; nothing is loaded yet."""


def load_tasks() -> dict[str, TaskSource]:
    """Return the tasks of the project and those that installed packages offer, by name; nothing is loaded yet.

    Raises:
        InvalidValueError: a package offers a name that is taken, or no `TaskSource`.
    """
    zoo = dict(TASKS)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if point.name in zoo:
            raise InvalidValueError(
                f"entry point {point.value!r} of {GROUP} is named {point.name!r}, which is taken; rename or remove it"
            )
        source = point.load()
        if not isinstance(source, TaskSource) or source.info.name != point.name:
            raise InvalidValueError(
                f"entry point {point.name!r} of {GROUP} gives {source!r}; it is to be a TaskSource of that name"
            )
        zoo[point.name] = source
    return zoo


def load_task(
    name: str, network: str | None = None, path: Path | None = None, params: Mapping[str, Any] | None = None
) -> Task:
    """Return a task by name; what has neither a path nor parameters is loaded once per process.

    `network`: one of those on the task's card, by default the first. `path`: the folder or .zip of a task that reads
    files. `params`: the task's own parameters.

    Raises:
        InvalidValueError: an unknown name, network or parameter, a path that is missing, superfluous or no data
            (DatasetError, its subclass).
        MissingDependencyError: scikit-learn is missing.

    >>> task = load_task("digits")
    >>> task.train_x.shape, task.test_x.shape, task.classes, task.network.name
    ((1437, 64), (360, 64), 10, 'mlp-64-32-10')
    >>> load_task("digits", network="cnn-8x8").network.name
    'cnn-8x8'
    >>> load_task("mnist")
    Traceback (most recent call last):
    byzantiny_models.errors.InvalidValueError: task mnist reads files and has no path; it needs data.path: the folder, \
or the .zip, with train-images-idx3-ubyte and the three files beside it (.gz too)
    """
    zoo = TASKS if name in TASKS else load_tasks()
    if name not in zoo:
        raise InvalidValueError(f"task {name!r} is not one of {sorted(zoo)}; choose one of them")
    source = zoo[name]
    chosen = _network(source.info, network)
    given = dict(params or {})
    _check_given(source, path, given)
    if path is None and not given:
        return _held(source, chosen)
    if path is not None:
        given["path"] = path
    return _load(source, chosen, given)


@functools.lru_cache(maxsize=32)
def _held(source: TaskSource, network: Network) -> Task:
    return _load(source, network, {})


def _load(source: TaskSource, network: Network, given: Mapping[str, Any]) -> Task:
    try:
        task = source.load(network, **given)
    except ModelsError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"task {source.info.name} cannot be made: {error}; check its parameters") from error
    if not isinstance(task, Task) or task.name != source.info.name or task.metric != source.info.metric:
        raise InvalidValueError(
            f"task {source.info.name} loads {getattr(task, 'name', task)!r} of metric {getattr(task, 'metric', None)!r}; "
            f"its card says {source.info.name!r} and {source.info.metric!r}, correct the one or the other"
        )
    return task


def _network(info: TaskInfo, asked: str | None) -> Network:
    name = info.networks[0] if asked is None else asked
    if name not in info.networks or name not in NETWORKS:
        fitting = [one for one in info.networks if one in NETWORKS]
        raise InvalidValueError(f"network {name!r} is not one that task {info.name} can use: {', '.join(fitting)}")
    return NETWORKS[name]


def _check_given(source: TaskSource, path: Path | None, params: Mapping[str, Any]) -> None:
    name, known = source.info.name, source.parameters
    for key in params:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InvalidValueError(f"task {name} has no parameter {key!r}; {has}")
    if source.reads_files and path is None:
        raise InvalidValueError(f"task {name} reads files and has no path; it needs {source.info.needs}")
    if path is not None and not source.reads_files:
        raise InvalidValueError(
            f"task {name} reads no files, but data.path is {path}; remove it, or choose another task"
        )
    if path is not None and not path.exists():
        raise InvalidValueError(f"data.path {path} does not exist; task {name} needs {source.info.needs}")
