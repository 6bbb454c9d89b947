"""What a reader returns: samples as the files have them, where they came from, and who recorded each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError

MOST_CLASSES = 256
"""Labels are one byte on a device (docs/wire.md 3, "Dataset")."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read: its name, its size, and the SHA-256 of its bytes as they lie on the disk."""

    name: str
    file_bytes: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled samples, unscaled: x (n, *shape) uint8 or finite float32, y int64 (n,) in 0 .. classes - 1, read-only.

    `keys` names, per sample, the subject, writer or device it is from: the data's natural federation key.

    Raises:
        DatasetError: shapes that disagree, a type, label or number outside the limits.

    >>> samples = Samples("two", np.zeros((2, 3), np.uint8), np.array([0, 1]), classes=2, keys=("a", "b"))
    >>> samples.n, samples.shape
    (2, (3,))
    """

    name: str
    x: NDArray[Any]
    y: NDArray[np.int64]
    classes: int
    keys: tuple[str, ...] | None = None
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.y)
        if self.y.ndim != 1 or len(self.x) != n or (self.keys is not None and len(self.keys) != n) or n == 0:
            raise DatasetError(
                f"{self.name}: {len(self.x)} samples, {n} labels, "
                f"{'no' if self.keys is None else len(self.keys)} keys; there must be one of each per sample, at least 1"
            )
        if self.x.dtype not in (np.uint8, np.float32):
            raise DatasetError(f"{self.name}: samples of {self.x.dtype}; readers give uint8 or float32")
        if not 1 <= self.classes <= MOST_CLASSES:
            raise DatasetError(f"{self.name}: {self.classes} classes; the limit is {MOST_CLASSES}, merge some")
        check_labels(self.name, self.y, self.classes)
        if self.x.dtype == np.float32:
            check_finite(self.name, self.x)
        self.x.setflags(write=False)
        self.y.setflags(write=False)

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.x.shape[1:])

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many samples each class has, int64 (classes,)."""
        return np.bincount(self.y, minlength=self.classes).astype(np.int64)


def check_labels(where: str, labels: NDArray[Any], classes: int) -> None:
    """Raise DatasetError naming the first label outside 0 .. classes - 1."""
    stray = (labels < 0) | (labels >= classes)
    if stray.any():
        i = int(np.argmax(stray))
        raise DatasetError(f"{where}: label {labels[i]} of sample {i} is outside 0 .. {classes - 1}; relabel it")


def check_finite(where: str, values: NDArray[Any]) -> None:
    """Raise DatasetError naming the first sample with a number that is none."""
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        i = int(np.argmin(finite))
        j = int(np.argmin(np.isfinite(flat[i])))
        raise DatasetError(
            f"{where}: sample {i}, value {j} is {flat[i, j]}; every number must be finite, repair the file"
        )
