"""Tasks: data, its split into training and test samples, and the network for it.

Features are int8 Q6, as the device takes them; the split is fixed, so that two accuracies are of the same samples.
"""

from __future__ import annotations

from collections.abc import Callable

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks.library import digits
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Metric, Origin, Task

__all__ = ["TASKS", "Metric", "Origin", "Task", "load_task", "split_stratified"]

TASKS: dict[str, Callable[[], Task]] = {"digits": digits}
"""The tasks by name; calling one loads it."""


def load_task(name: str) -> Task:
    """Return a task by name, loaded once per process.

    `digits`: 1,797 images of 8 x 8 pixels, 1,437 to train and 360 to test (E. Alpaydin, C. Kaynak, UCI, 1998; in the
    scikit-learn wheel); feature = pixel * 7, pixels being 0 .. 16.

    Raises:
        InvalidValueError: an unknown name.
        MissingDependencyError: scikit-learn is missing.

    >>> task = load_task("digits")
    >>> task.train_x.shape, task.test_x.shape, task.classes
    ((1437, 64), (360, 64), 10)
    """
    if name not in TASKS:
        raise InvalidValueError(f"task {name!r} is not one of {sorted(TASKS)}; choose one of them")
    return TASKS[name]()
