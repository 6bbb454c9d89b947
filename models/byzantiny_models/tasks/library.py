"""Tasks whose data ship inside scikit-learn's wheel; the files are read, scikit-learn is not loaded (it takes 85 MB)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.networks import Network
from byzantiny_models.readers.samples import Source
from byzantiny_models.tasks.features import ranged
from byzantiny_models.tasks.source import TaskInfo, TaskSource
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Origin, Task

NEEDS = "scikit-learn: pip install 'byzantiny[data]'"


def _read_csv(task: str, name: str, header_lines: int) -> tuple[NDArray[np.float64], NDArray[np.uint8], Origin]:
    """Return all columns but the last, the labels in the last, and where they are from."""
    spec = find_spec("sklearn")
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        path = Path(folder) / "datasets" / "data" / name
        if path.is_file():
            raw = path.read_bytes()
            text = gzip.decompress(raw) if name.endswith(".gz") else raw
            table = np.loadtxt(BytesIO(text), delimiter=",", skiprows=header_lines)
            source = Source(name, len(raw), hashlib.sha256(raw).hexdigest())
            origin = Origin("scikit-learn", (source,), {"scikit-learn": version("scikit-learn")})
            return table[:, :-1], table[:, -1].astype(np.uint8), origin
    raise MissingDependencyError(
        f"task {task!r} needs {name} of scikit-learn, which is not installed; run: pip install 'byzantiny[data]'"
    )


def _digits(network: Network) -> Task:
    pixels, y, origin = _read_csv("digits", "digits.csv.gz", 0)
    x = (pixels * 7).astype(np.int8)  # 0..16 becomes 0..112, that is 0..1.75 in Q6: most of the range of int8
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


def _table(name: str, file: str, test_samples: int, class_names: tuple[str, ...]) -> Callable[[Network], Task]:
    def load(network: Network) -> Task:
        values, y, origin = _read_csv(name, file, 1)
        train, test = split_stratified(y, test_samples)
        return Task(
            name,
            network,
            ranged(values[train], values[train], network.features),
            y[train],
            ranged(values[train], values[test], network.features),
            y[test],
            classes=len(class_names),
            class_names=class_names,
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
    _table("breast-cancer", "breast_cancer.csv", 114, ("malignant", "benign")),
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
    _table("wine", "wine_data.csv", 44, ("class_0", "class_1", "class_2")),
)
