"""Tasks whose data ship inside scikit-learn's wheel; the files are read, scikit-learn is not loaded (it takes 85 MB)."""

from __future__ import annotations

import functools
import gzip
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks.scaling import ranged
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Origin, Task


@functools.cache
def digits() -> Task:
    """Return the task `digits`."""
    pixels, labels = np.split(_read_csv("digits", "digits.csv.gz"), [64], axis=1)
    x = (pixels * 7).astype(np.int8)  # 0..16 becomes 0..112, that is 0..1.75 in Q6: most of the range of int8
    y = labels[:, 0].astype(np.uint8)
    train, test = split_stratified(y, 360)
    origin = Origin("digits.csv.gz of scikit-learn", parameters={"scikit-learn": version("scikit-learn")})
    network = NETWORKS["mlp-64-32-10"]
    return Task("digits", network, x[train], y[train], x[test], y[test], classes=10, origin=origin)


@functools.cache
def digits_cnn() -> Task:
    """Return the task `digits-cnn`: the samples of `digits`, whose 64 features are read as 8 x 8, for `cnn-8x8`."""
    return replace(digits(), name="digits-cnn", network=NETWORKS["cnn-8x8"])


@functools.cache
def breast_cancer() -> Task:
    """Return the task `breast-cancer`: 30 measurements of cell nuclei; what is left of the network's inputs is 0."""
    return _measurements("breast-cancer", "breast_cancer.csv", 114, ("malignant", "benign"))


@functools.cache
def wine() -> Task:
    """Return the task `wine`: 13 chemical measurements; what is left of the network's inputs is 0."""
    return _measurements("wine", "wine_data.csv", 44, ("grower-1", "grower-2", "grower-3"))


def _measurements(task: str, name: str, test_samples: int, class_names: tuple[str, ...]) -> Task:
    table = _read_csv(task, name, header_lines=1)
    values, y = table[:, :-1], table[:, -1].astype(np.uint8)
    train, test = split_stratified(y, test_samples)
    network = NETWORKS["mlp-64-32-10"]
    low, high = values[train].min(axis=0), values[train].max(axis=0)
    x, test_x = (ranged(values[part], low, high, network.features) for part in (train, test))
    origin = Origin(f"{name} of scikit-learn", parameters={"scikit-learn": version("scikit-learn")})
    return Task(task, network, x, y[train], test_x, y[test], len(class_names), class_names=class_names, origin=origin)


def _read_csv(task: str, name: str, header_lines: int = 0) -> NDArray[np.float64]:
    spec = find_spec("sklearn")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        path = Path(folder) / "datasets" / "data" / name
        if path.is_file():
            opener = gzip.open if name.endswith(".gz") else open
            with opener(path, "rt", encoding="ascii") as file:
                return np.loadtxt(file, delimiter=",", skiprows=header_lines)
    raise MissingDependencyError(
        f"task {task!r} needs {name} of scikit-learn, which is not installed; run: pip install 'byzantiny[data]'"
    )
