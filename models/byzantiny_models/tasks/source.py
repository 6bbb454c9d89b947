"""A task by its name before it is loaded: its card for `byzantiny list tasks`, and the way to its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks.task import Metric, Task


@dataclass(frozen=True, slots=True)
class TaskSource:
    """What a task says of itself, and `load`, which gives it: `load()`, or `load(path)` where `files` is not empty.

    `data` is what was recorded, by whom; `samples` how many; `features` how they become int8; `key` the natural
    federation key; `needs` what must be installed; `files` what the user's path leads to. `load` may be called often: a
    task that costs time to make caches itself (`functools.cache`), one of files does not, since files change.

    Raises:
        InvalidValueError: a network that no body has.

    >>> source = TaskSource("mine", lambda: None, "mlp-64-32-10", data="noise", samples="2", features="none")
    >>> source.metric, source.takes_files
    ('accuracy', False)
    """

    name: str
    load: Callable[..., Task]
    network: str
    data: str
    samples: str
    features: str
    key: str = ""
    needs: str = ""
    files: str = ""

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise InvalidValueError(
                f"task {self.name}: network {self.network!r} is none that a body has; choose one of {', '.join(NETWORKS)}"
            )

    @property
    def metric(self) -> Metric:
        """What a round is measured by (metrics.py)."""
        return "auc" if NETWORKS[self.network].head == "squared-error" else "accuracy"

    @property
    def takes_files(self) -> bool:
        """Whether an experiment has to say where the data are."""
        return bool(self.files)

    def __call__(self, path: Path | None = None) -> Task:
        """Load the task.

        Raises:
            InvalidValueError: a path that is missing, superfluous or leads nowhere, data that are not the task's.
            MissingDependencyError: what it needs is not installed.
        """
        if self.takes_files:
            return self._checked(self._from_files(path))
        if path is not None:
            raise InvalidValueError(
                f"task {self.name} reads no files of yours, but `data` is {str(path)!r}; remove `data`"
            )
        return self._checked(self.load())

    def _from_files(self, path: Path | None) -> Task:
        if path is None:
            raise InvalidValueError(
                f"task {self.name} reads files that you have and nothing is downloaded; set `data`, beside `task`, to "
                f"{self.files}"
            )
        if not path.exists():
            raise InvalidValueError(
                f"task {self.name}: `data` is {str(path)!r}, which does not exist; set it to {self.files}"
            )
        try:
            return self.load(path)
        except InvalidValueError as error:
            said = str(error).removeprefix(f"task {self.name}: ")
            raise InvalidValueError(f"task {self.name}: {said}; `data` is to be {self.files}") from error

    def _checked(self, task: Task) -> Task:
        if not isinstance(task, Task) or (task.name, task.network.name) != (self.name, self.network):
            said = f"{task.name} with network {task.network.name}" if isinstance(task, Task) else repr(task)
            raise InvalidValueError(
                f"task {self.name} with network {self.network} loaded as {said[:200]}; its `load` is to return what its card says"
            )
        return task
