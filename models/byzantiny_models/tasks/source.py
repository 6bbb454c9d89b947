"""A task before it is loaded: its card, and the function that makes it. `byzantiny.tasks` entry points are these."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks.task import Metric, Task


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """The card of a task: what `byzantiny list tasks` says without loading anything.

    `networks` are names of the zoo, the first one the default; `features` says how values become int8; `key` is who a
    training sample is from (empty: nobody knows); `needs` is what must be there before it can be loaded (empty:
    nothing); `paper` is who published the data.
    """

    name: str
    data: str
    samples: str
    networks: tuple[str, ...]
    features: str
    metric: Metric = "accuracy"
    key: str = ""
    needs: str = ""
    paper: str = ""


@dataclass(frozen=True)
class TaskSource:
    """A card and `load(network, ...) -> Task`.

    A task that reads files has a parameter `path`; every further parameter of `load` is one that an experiment may
    give, with a default or required.
    """

    info: TaskInfo
    load: Callable[..., Task]

    @property
    def reads_files(self) -> bool:
        """Whether it needs a path."""
        return "path" in inspect.signature(self.load).parameters

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What an experiment may give, by name."""
        return {
            name: parameter
            for name, parameter in inspect.signature(self.load).parameters.items()
            if name not in ("network", "path")
        }


def require_count(task: str, name: str, value: object, low: int, high: int) -> int:
    """Return a parameter that is an integer in low .. high.

    Raises:
        InvalidValueError: anything else.

    >>> require_count("imu-gestures", "devices", 0, 1, 999)
    Traceback (most recent call last):
    byzantiny_models.errors.InvalidValueError: task imu-gestures: devices is 0; it is an integer in 1 .. 999
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidValueError(f"task {task}: {name} is {value!r}; it is an integer in {low} .. {high}")
    return value


def require_flag(task: str, name: str, value: object) -> bool:
    """Return a parameter that is true or false.

    Raises:
        InvalidValueError: anything else.
    """
    if not isinstance(value, bool):
        raise InvalidValueError(f"task {task}: {name} is {value!r}; it is true or false")
    return value
