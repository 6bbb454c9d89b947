"""Tasks whose data ship inside scikit-learn's wheel: nothing is downloaded, and the split is fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.networks import Network
from byzantiny_models.tasks.features import ranged
from byzantiny_models.tasks.source import TaskInfo, TaskSource
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Origin, Task

NEEDS = "scikit-learn: pip install 'byzantiny[data]'"


def _fetch(task: str, loader: str) -> tuple[Any, Origin]:
    try:
        import sklearn
        from sklearn import datasets
    except ImportError as error:
        raise MissingDependencyError(
            f"task {task!r} needs scikit-learn, which is not installed; run: pip install 'byzantiny[data]'"
        ) from error
    says = f"sklearn.datasets.{loader}"
    return getattr(datasets, loader)(), Origin(says, parameters={"scikit-learn": sklearn.__version__})


def _digits(network: Network) -> Task:
    found, origin = _fetch("digits", "load_digits")
    x = (found.data * 7).astype(np.int8)  # 0..16 becomes 0..112, that is 0..1.75 in Q6: most of the range of int8
    y = found.target.astype(np.uint8)
    train, test = split_stratified(y, 360)
    return Task("digits", network, x[train], y[train], x[test], y[test], classes=10, origin=origin)


DIGITS = TaskSource(
    TaskInfo(
        name="digits",
        data="images of 8 x 8 pixels, handwritten digits",
        samples="1,437 to train, 360 to test",
        networks=("mlp-64-32-10", "cnn-8x8"),
        features="pixel (0 .. 16) * 7",
        needs=NEEDS,
        paper="E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998",
    ),
    _digits,
)


def _table(name: str, loader: str, test_samples: int) -> Callable[[Network], Task]:
    def load(network: Network) -> Task:
        found, origin = _fetch(name, loader)
        y = found.target.astype(np.uint8)
        train, test = split_stratified(y, test_samples)
        low_high = found.data[train]
        return Task(
            name,
            network,
            ranged(low_high, found.data[train], network.features),
            y[train],
            ranged(low_high, found.data[test], network.features),
            y[test],
            classes=len(found.target_names),
            class_names=tuple(map(str, found.target_names)),
            origin=origin,
        )

    return load


_RANGED = "each column's range in the training set becomes -64 .. 64; the network's other inputs are 0"

BREAST_CANCER = TaskSource(
    TaskInfo(
        name="breast-cancer",
        data="30 measurements of cell nuclei, malignant or benign",
        samples="455 to train, 114 to test",
        networks=("mlp-64-32-10",),
        features=_RANGED,
        needs=NEEDS,
        paper="W. Wolberg, O. Mangasarian, W. Street, UCI Machine Learning Repository, 1995",
    ),
    _table("breast-cancer", "load_breast_cancer", 114),
)

WINE = TaskSource(
    TaskInfo(
        name="wine",
        data="13 chemical measurements of wines of three growers",
        samples="134 to train, 44 to test: one of them is 2.3 points",
        networks=("mlp-64-32-10",),
        features=_RANGED,
        needs=NEEDS,
        paper="S. Aeberhard, M. Forina, UCI Machine Learning Repository, 1991",
    ),
    _table("wine", "load_wine", 44),
)
