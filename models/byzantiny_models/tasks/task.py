"""A task: data, its split into training and test samples, the network for it, and where all this comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Network
from byzantiny_models.readers.samples import Source

Metric = Literal["accuracy", "auc"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a task's data come from: in words, the files that were read, or what the generator was told.

    `sources` are empty where the data are in a library or generated; then the version or `parameters` say which they are.
    """

    says: str = ""
    sources: tuple[Source, ...] = ()
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned: x int8 Q6 (n, features), y uint8 (n,) in 0 .. classes - 1; the arrays are read-only.

    `train_keys` names, per training sample, who recorded it (a person, a writer, a device): the natural federation key;
    None where nobody knows. `class_names` are the numbers where nothing better is given. `classes` may be below what
    the network tells apart. With a squared-error head label 0 is normal and 1 is not.

    Raises:
        InvalidValueError: samples, labels, keys or names that do not fit the network or each other.

    >>> from byzantiny_models.networks import NETWORKS
    >>> x, y = np.zeros((2, 64), np.int8), np.array([0, 1], np.uint8)
    >>> task = Task("two", NETWORKS["mlp-64-32-10"], x, y, x, y, classes=2, train_keys=("a", "b"))
    >>> task.metric, task.class_names
    ('accuracy', ('0', '1'))
    """

    name: str
    network: Network
    train_x: NDArray[np.int8]
    train_y: NDArray[np.uint8]
    test_x: NDArray[np.int8]
    test_y: NDArray[np.uint8]
    classes: int
    train_keys: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()
    origin: Origin = Origin()

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= self.network.classes:
            raise InvalidValueError(
                f"task {self.name}: {self.classes} classes; {self.network.name} tells {self.network.classes} apart, "
                "choose a network with as many"
            )
        for part, x, y in (("training", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            self._check_samples(part, x, y)
        if self.train_keys is not None and len(self.train_keys) != len(self.train_y):
            raise InvalidValueError(
                f"task {self.name}: {len(self.train_keys)} keys for {len(self.train_y)} training samples; give one each"
            )
        names = self.class_names or tuple(str(label) for label in range(self.classes))
        if len(names) != self.classes:
            raise InvalidValueError(f"task {self.name}: {len(names)} class names for {self.classes} classes; give all")
        object.__setattr__(self, "class_names", names)
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            array.setflags(write=False)

    @property
    def metric(self) -> Metric:
        """What a round is measured by: `accuracy` of classes, or `auc` of reconstruction errors (metrics.py)."""
        return "auc" if self.network.head == "squared-error" else "accuracy"

    def _check_samples(self, part: str, x: NDArray[np.int8], y: NDArray[np.uint8]) -> None:
        if x.dtype != np.int8 or x.ndim != 2 or y.dtype != np.uint8 or y.shape != x.shape[:1] or not y.size:
            raise InvalidValueError(
                f"task {self.name}: {part} x of shape {x.shape} ({x.dtype}), y of shape {y.shape} ({y.dtype}); need int8 "
                "(n, features) and uint8 (n,), at least 1"
            )
        if x.shape[1] != self.network.features:
            raise InvalidValueError(
                f"task {self.name}: {part} samples of {x.shape[1]} features; {self.network.name} takes "
                f"{self.network.features}, choose another network"
            )
        if int(y.max()) >= self.classes:
            raise InvalidValueError(
                f"task {self.name}: {part} label {y.max()} is not below its {self.classes} classes; relabel it"
            )
