"""What a model's outputs are worth on a task's test samples, whichever runtime gave them.

`accuracy`: the share of samples whose largest output is the label's. `auc`: how well the reconstruction error tells
normal samples (label 0) from the others, the area under the ROC curve: J. Hanley, B. McNeil. The meaning and use of the
area under a receiver operating characteristic (ROC) curve. Radiology 143(1), 1982. Both are shares, 0 to 1, and exact:
integers are counted and divided once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layouts import INPUT_FRAC
from byzantiny_models.tasks.task import Task

TITLES = {"accuracy": "accuracy", "auc": "AUC"}
"""How a metric is written in a sentence."""


def score(task: Task, outputs: ArrayLike) -> float:
    """Return the task's metric of the outputs (n, network.outputs) for its test samples, n of them, in their order.

    Integers are the int8 outputs of the device and of the deployed model, floats the same in real units: logits, whose
    unit does not matter, or a reconstruction, of which an integer is 2^-6.

    Raises:
        InvalidValueError: another shape, numbers that are none, or for `auc` test samples of one label only.

    Source: SPEC 3 (argmax); Hanley, McNeil 1982.

    >>> from byzantiny_models.networks import NETWORKS
    >>> x, y = np.zeros((4, 64), np.int8), np.array([0, 0, 0, 1], np.uint8)
    >>> score(Task("four", NETWORKS["mlp-64-32-10"], x, y, x, y, classes=10), np.zeros((4, 10), np.int8))
    0.75
    """
    if task.metric == "auc":
        return area_under_roc(anomaly_scores(task, outputs), task.test_y != 0)
    return int((predictions(task, outputs) == task.test_y).sum()) / len(task.test_y)


def predictions(task: Task, outputs: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each test sample, int64 (n,): the largest output, of equal ones the lowest index.

    Raises:
        InvalidValueError: as `score`, or a task that tells no classes apart (see `anomaly_scores`).

    Source: SPEC 3 (argmax).

    >>> from byzantiny_models.networks import NETWORKS
    >>> x, y = np.zeros((1, 64), np.int8), np.zeros(1, np.uint8)
    >>> task = Task("one", NETWORKS["mlp-64-32-10"], x, y, x, y, classes=10)
    >>> predictions(task, [[0, 3, -1, 3, 0, 0, 0, 0, 0, 0]]).tolist()
    [1]
    """
    if task.metric != "accuracy":
        raise InvalidValueError(f"task {task.name} tells no classes apart; its metric is {task.metric}: anomaly_scores")
    largest: NDArray[np.int64] = np.argmax(_checked(task, outputs), axis=1).astype(np.int64)
    return largest


def anomaly_scores(task: Task, outputs: ArrayLike) -> NDArray[Any]:
    """Return how far each reconstruction is from its test sample, `sum_i (y_i - x_i)^2`, (n,).

    Of integers an exact int64, in units of 2^-12; of floats a float64, x being 2^-6 times its integers.

    Raises:
        InvalidValueError: as `score`, or a task whose network reconstructs nothing.

    >>> from byzantiny_models.networks import NETWORKS
    >>> x, y = np.full((2, 32), 64, np.int8), np.array([0, 1], np.uint8)
    >>> task = Task("two", NETWORKS["autoencoder-32"], x, y, x, y, classes=2)
    >>> anomaly_scores(task, np.full((2, 32), 62, np.int8)).tolist(), anomaly_scores(task, np.full((2, 32), 0.5)).tolist()
    ([128, 128], [8.0, 8.0])
    """
    if task.metric != "auc":
        raise InvalidValueError(
            f"task {task.name} has a {task.network.head} head: it reconstructs nothing; predictions"
        )
    y = _checked(task, outputs)
    off: NDArray[Any]
    if y.dtype.kind == "f":
        off = y.astype(np.float64) - np.ldexp(task.test_x.astype(np.float64), -INPUT_FRAC)
    else:
        off = y.astype(np.int64) - task.test_x
    return np.asarray((off * off).sum(axis=1))


def area_under_roc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Return the share of pairs of a positive and a negative sample in which the positive scores higher; ties count half.

    `sum over positives of (2 #{negatives below} + #{negatives equal}) / (2 P N)`, counted in integers.

    Raises:
        InvalidValueError: not one score and one truth value per sample, a score that is no number, no positive or no
            negative sample.

    Source: Hanley, McNeil 1982, equation of the Wilcoxon statistic.

    >>> area_under_roc([1, 2, 2, 3], [False, False, True, True])
    0.875
    """
    s, truth = np.asarray(scores), np.asarray(positive, dtype=np.bool_)
    if s.ndim != 1 or truth.shape != s.shape or np.isnan(s).any():
        raise InvalidValueError(
            f"scores of shape {s.shape}, truth of {truth.shape}: need a number and a bool per sample"
        )
    high, low = s[truth], np.sort(s[~truth])
    if not len(high) or not len(low):
        raise InvalidValueError(
            f"{len(high)} positive and {len(low)} negative samples; an AUC compares both, at least 1 of each"
        )
    below = int(np.searchsorted(low, high, side="left").sum())
    not_above = int(np.searchsorted(low, high, side="right").sum())
    return (below + not_above) / (2 * len(high) * len(low))


def _checked(task: Task, outputs: ArrayLike) -> NDArray[Any]:
    y = np.asarray(outputs)
    shape = (len(task.test_y), task.network.outputs)
    if y.shape != shape or y.dtype.kind not in "iuf":
        raise InvalidValueError(
            f"outputs of shape {y.shape} ({y.dtype}) for task {task.name}: need numbers of shape {shape}, one row a test "
            "sample in their order"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InvalidValueError(f"outputs for task {task.name} hold numbers that are not finite; no metric is defined")
    return y
