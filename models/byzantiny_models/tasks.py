"""Tasks: data, its split into training and test samples, and the network for it.

Features are int8 Q6, as the device takes them; the split is fixed, so that two accuracies are of the same samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError, MissingDependencyError
from byzantiny_models.networks import NETWORKS, Network


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned: x int8 Q6 (n, features), y uint8 (n,) in 0 .. classes - 1; the arrays are read-only."""

    name: str
    network: Network
    train_x: NDArray[np.int8]
    train_y: NDArray[np.uint8]
    test_x: NDArray[np.int8]
    test_y: NDArray[np.uint8]
    classes: int

    def __post_init__(self) -> None:
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            array.setflags(write=False)


def split_stratified(
    labels: NDArray[np.integer[Any]], test_samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sorted training and test indices, the test set with every class's share of the whole.

    Class c gives `test_samples * n_c / n` of its samples, rounded by largest remainder (a tie goes to the lower class);
    which ones, `Generator(PCG64(0)).permutation(n_c)` says, class after class. The rule has no seed: it never changes.

    Raises:
        InvalidValueError: test_samples outside 1 .. n - 1.

    >>> train, test = split_stratified(np.array([0, 0, 0, 0, 1, 1]), 3)
    >>> len(train), len(test), int((test >= 4).sum())
    (3, 3, 1)
    """
    n = len(labels)
    if not 0 < test_samples < n:
        raise InvalidValueError(f"test_samples {test_samples} is outside 1 .. {n - 1}; choose one within")
    counts = np.bincount(labels)
    shares, remainders = np.divmod(counts * test_samples, n)
    shares[np.argsort(-remainders, kind="stable")[: test_samples - int(shares.sum())]] += 1
    rng = np.random.Generator(np.random.PCG64(0))
    chosen = [
        np.flatnonzero(labels == label)[rng.permutation(count)[:share]]
        for label, (count, share) in enumerate(zip(counts, shares, strict=True))
    ]
    test = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(n), test), test


@functools.cache
def _digits() -> Task:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "task 'digits' needs scikit-learn, which is not installed; run: pip install 'byzantiny[data]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels * 7).astype(np.int8)  # 0..16 becomes 0..112, that is 0..1.75 in Q6: most of the range of int8
    y = labels.astype(np.uint8)
    train, test = split_stratified(y, 360)
    return Task("digits", NETWORKS["mlp-64-32-10"], x[train], y[train], x[test], y[test], classes=10)


TASKS: dict[str, Callable[[], Task]] = {"digits": _digits}
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
