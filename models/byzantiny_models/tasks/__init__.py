"""Tasks: data, its split into training and test samples, and the network for it.

Features are int8 Q6, as the device takes them; the split is fixed, so that two accuracies are of the same samples.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks.catalogue import TASKS
from byzantiny_models.tasks.source import TaskSource
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Metric, Origin, Task

__all__ = [
    "GROUP", "TASKS", "Metric", "Origin", "Task", "TaskSource", "load_task", "load_tasks", "split_stratified",
]  # fmt: skip

GROUP = "byzantiny.tasks"
"""Entry points of other packages' tasks; each leads to a `TaskSource` of the entry's name."""


def load_tasks() -> dict[str, TaskSource]:
    """Return the built-in tasks and those that installed packages offer under `byzantiny.tasks`, none of them loaded.

    Raises:
        InvalidValueError: a name that is taken, an entry that is no `TaskSource` or one of another name.
    """
    zoo = dict(TASKS)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        where = f"entry point {point.value!r} of {GROUP}"
        if point.name in zoo:
            raise InvalidValueError(f"{where} is named {point.name!r}, which is taken; rename or remove it")
        source = point.load()
        if not isinstance(source, TaskSource) or source.name != point.name:
            said = f"the TaskSource {source.name!r}" if isinstance(source, TaskSource) else type(source).__name__
            raise InvalidValueError(f"{where} leads to {said}; it has to be a TaskSource named {point.name!r}")
        zoo[point.name] = source
    return zoo


def load_task(name: str, data: Path | None = None) -> Task:
    """Return a task by name; one that is generated or in a library is loaded once per process.

    `data` is where the user's files are, for the tasks that read some. `digits`: 1,797 images of 8 x 8 pixels, 1,437 to
    train and 360 to test (E. Alpaydin, C. Kaynak, UCI, 1998; in the scikit-learn wheel); feature = pixel * 7, pixels
    being 0 .. 16. The others: `byzantiny list tasks`, docs/data.md.

    Raises:
        InvalidValueError: an unknown name, a path that is missing, superfluous or leads nowhere, data that are not the
            task's.
        MissingDependencyError: scikit-learn is missing.

    >>> task = load_task("digits")
    >>> task.train_x.shape, task.test_x.shape, task.classes
    ((1437, 64), (360, 64), 10)
    """
    tasks = load_tasks()
    if name not in tasks:
        raise InvalidValueError(f"task {name!r} is not one of {sorted(tasks)}; choose one of them")
    return tasks[name](data)
