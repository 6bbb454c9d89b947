"""The task's metric of the outputs for its test samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks import Task


def task_score(task: Task, outputs: NDArray[Any]) -> float:
    """Return the share of test samples whose largest output (n, outputs) is the label's; of equal ones the lowest index counts.

    Raises:
        InvalidValueError: a head that tells no classes apart.
    """
    if task.network.head != "softmax":
        raise InvalidValueError(f"{task.name}: a {task.network.head} head tells no classes apart; it has no accuracy")
    return float(np.mean(np.argmax(outputs, axis=1) == task.test_y))
