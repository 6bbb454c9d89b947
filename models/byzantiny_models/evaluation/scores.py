"""One model in three forms on a task's test samples: the float control, the integers, the exported `.tflite`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.deploy.template import Template, patch, shown
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.evaluation.interpreters import Interpreter
from byzantiny_models.evaluation.probes import Probes, mean_confidence, success_rate
from byzantiny_models.float_training import forward_float, to_float
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import Network
from byzantiny_models.tasks import Task

Answers = Callable[[NDArray[np.int8]], NDArray[Any]]
"""Inputs int8 (n, features) to outputs (n, outputs)."""


@dataclass(frozen=True)
class Scores:
    """One form of a model: the task's metric, and on the probes, if there are any, ASR and mean confidence in the wanted label."""

    score: float
    asr: float | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The three forms; `exported` is None where no template was given.

    `confusion[i][j]`: test samples of class i that the deployed model, the exported one if there is one, takes for j; empty
    where the outputs are no classes.
    """

    float32: Scores | None
    integer: Scores
    exported: Scores | None
    confusion: tuple[tuple[int, ...], ...]

    @property
    def deployed(self) -> Scores:
        """The exported model's scores, or the integer model's where none was exported."""
        return self.integer if self.exported is None else self.exported

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Per class the share of its test samples that the deployed model recognises; None for a class without any.

        >>> Evaluation(None, Scores(0.75), None, ((1, 1, 0), (0, 2, 0), (0, 0, 0))).recall
        (0.5, 1.0, None)
        """
        return tuple(row[i] / sum(row) if sum(row) else None for i, row in enumerate(self.confusion))


def evaluate(
    task: Task,
    network: Network,
    model: ArrayLike,
    *,
    template: Template | None = None,
    interpreter: Interpreter | None = None,
    probes: Probes | None = None,
    float_control: bool = True,
) -> Evaluation:
    """Return what a model, int32 (d,) of the network, is worth in its three forms.

    `float32` computes in float32 with the masters' real values, unrounded; `integer` as a device; `exported` is the patched
    template, answered by `interpreter`: with `tflm-double` arithmetic the integer model's very outputs (P9).

    Raises:
        InvalidValueError: a model of another network, a template without an interpreter, or probes that do not fit.
        ModelFileError: a template of another network.
        RuntimeMissingError: the interpreter's process ended.

    >>> from byzantiny_models.deploy.template import load_template
    >>> from byzantiny_models.evaluation import exact_interpreter
    >>> from byzantiny_models.networks import initial_model
    >>> from byzantiny_models.tasks import load_task
    >>> task = load_task("digits")
    >>> network, model = task.network, initial_model(task.network, seed=1)
    >>> found = evaluate(task, network, model, template=load_template(network.name), interpreter=exact_interpreter())
    >>> found.exported == found.integer, len(found.recall)
    (True, 10)
    """
    check_probes(network, probes)

    def as_float(x: NDArray[np.int8]) -> NDArray[Any]:
        return forward_float(network, to_float(network.layout, model), x)

    as_integers = integer_answers(network, model)
    outputs = as_integers(task.test_x)
    integer = _scores(task, outputs, as_integers, probes)
    exported = None
    if template is not None:
        if interpreter is None:
            raise InvalidValueError(f"a template of {template.network} and no interpreter to run it; give both")
        as_deployed = exported_answers(network, model, template, interpreter)
        outputs = as_deployed(task.test_x)
        exported = _scores(task, outputs, as_deployed, probes)
    float32 = scores_of(task, as_float, probes) if float_control else None
    return Evaluation(float32, integer, exported, confusion_counts(task, network, outputs))


def scores_of(task: Task, answers: Answers, probes: Probes | None = None) -> Scores:
    """Return the scores of whatever answers, which is asked once for the test samples and once for the probes.

    >>> from byzantiny_models.tasks import load_task
    >>> scores_of(load_task("digits"), lambda x: np.eye(10)[np.zeros(len(x), dtype=int)]).score
    0.1
    """
    return _scores(task, answers(task.test_x), answers, probes)


def integer_answers(network: Network, model: ArrayLike) -> Answers:
    """Return the integer model as something that answers."""
    return lambda x: forward(network, model, x)


def exported_answers(network: Network, model: ArrayLike, template: Template, interpreter: Interpreter) -> Answers:
    """Return the exported model as something that answers: the template patched once, (n, outputs) whatever its shape."""
    data = patch(template, network, model)

    def answers(x: NDArray[np.int8]) -> NDArray[Any]:
        return interpreter.answers(data, shown(network, x)).reshape(len(x), -1)

    return answers


def confusion_counts(task: Task, network: Network, outputs: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
    """Return the confusion matrix as counts, a row for each class of the task, a column for each of the network.

    Empty for a head that tells no classes apart.

    >>> from byzantiny_models.tasks import load_task
    >>> task = load_task("digits")
    >>> confusion_counts(task, task.network, np.zeros((360, 10)))[3]
    (37, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    """
    if network.head != "softmax":
        return ()
    n = network.classes
    pairs = task.test_y.astype(np.int64) * n + np.argmax(outputs, axis=1)
    table = np.bincount(pairs, minlength=n * n).reshape(n, n)
    return tuple(tuple(int(count) for count in row) for row in table[: task.classes])


def check_probes(network: Network, probes: Probes | None) -> None:
    """Refuse probes that are no questions to this network.

    Raises:
        InvalidValueError: another number of features, a label it does not have, or a network without classes.
    """
    if probes is None:
        return
    if network.head != "softmax":
        raise InvalidValueError(f"probes for {network.name}, whose outputs are no classes: there is no wanted label")
    if probes.x.shape[1] != network.features:
        raise InvalidValueError(
            f"probes of {probes.x.shape[1]} features for {network.name}, which takes {network.features}"
        )
    if len(probes) and int(probes.wanted.max()) >= network.classes:
        raise InvalidValueError(
            f"wanted label {probes.wanted.max()}: {network.name} has the classes 0 .. {network.classes - 1}"
        )


def _scores(task: Task, outputs: NDArray[Any], answers: Answers, probes: Probes | None) -> Scores:
    main = score(task, outputs)
    if probes is None or not len(probes):
        return Scores(main)
    given = answers(probes.x)
    return Scores(main, success_rate(probes, given), mean_confidence(probes, given) if probes.confidence else None)
