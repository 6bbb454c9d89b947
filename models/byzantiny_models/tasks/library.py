"""Tasks whose data ship inside scikit-learn's wheel."""

from __future__ import annotations

import functools

import numpy as np

from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks.split import split_stratified
from byzantiny_models.tasks.task import Origin, Task


@functools.cache
def digits() -> Task:
    """Return the task `digits`."""
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "task 'digits' needs scikit-learn, which is not installed; run: pip install 'byzantiny[data]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels * 7).astype(np.int8)  # 0..16 becomes 0..112, that is 0..1.75 in Q6: most of the range of int8
    y = labels.astype(np.uint8)
    train, test = split_stratified(y, 360)
    origin = Origin("digits.csv.gz of scikit-learn", parameters={"scikit-learn": sklearn.__version__})
    network = NETWORKS["mlp-64-32-10"]
    return Task("digits", network, x[train], y[train], x[test], y[test], classes=10, origin=origin)
