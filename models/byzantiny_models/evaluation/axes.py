"""A finished model on two axes: fewer bits a weight, and the roundings of other runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from byzantiny_models.deploy.arithmetic import DEVICE, Arithmetic
from byzantiny_models.deploy.ptq import requantize, weight_bytes
from byzantiny_models.deploy.template import Template
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.evaluation.interpreters import Interpreter, exact_interpreter
from byzantiny_models.evaluation.probes import Probes
from byzantiny_models.evaluation.scores import Scores, check_probes, exported_answers, integer_answers, scores_of
from byzantiny_models.networks import Network
from byzantiny_models.tasks import Task


@dataclass(frozen=True)
class AxisScore:
    """One cell: weights of `bits` bits, answered in `arithmetic`; `weight_bytes` is what packed weights would take (modelled)."""

    bits: int
    arithmetic: str
    weight_bytes: int
    scores: Scores


def score_axes(
    task: Task,
    network: Network,
    model: ArrayLike,
    bits: Sequence[int],
    arithmetics: Sequence[Arithmetic],
    *,
    template: Template | None = None,
    interpreter: Interpreter | None = None,
    probes: Probes | None = None,
) -> list[AxisScore]:
    """Return every number of bits in every arithmetic, bits outermost; frozen tensors are quantized like the others.

    Without arithmetics: in the interpreter's own, or without a template in the device's. Named ones are NumPy's.

    Raises:
        InvalidValueError: bits outside 2 .. 8, an unknown arithmetic, or one beside the device's without a template.

    >>> from byzantiny_models.networks import initial_model
    >>> from byzantiny_models.tasks import load_task
    >>> task = load_task("digits")
    >>> rows = score_axes(task, task.network, initial_model(task.network, 1), [8, 2], [])
    >>> [(row.bits, row.arithmetic, row.weight_bytes) for row in rows]
    [(8, 'tflm-double', 2536), (2, 'tflm-double', 760)]
    """
    check_probes(network, probes)
    whole, merged = network.whole, network.merge(model)
    rows = []
    for number in bits:
        quantized = requantize(whole, merged, number)
        for name, who in _who_answers(arithmetics, template, interpreter):
            if who is None or template is None:
                answers = integer_answers(whole, quantized)
            else:
                answers = exported_answers(whole, quantized, template, who)
            scores = scores_of(task, answers, probes)
            rows.append(AxisScore(number, name, weight_bytes(network, number), scores))
    return rows


def _who_answers(
    arithmetics: Sequence[Arithmetic], template: Template | None, interpreter: Interpreter | None
) -> Iterator[tuple[str, Interpreter | None]]:
    """Each arithmetic with who has it; None is the integer forward pass, which is the device's."""
    if not arithmetics:
        own = None if template is None else interpreter
        yield (DEVICE if own is None else own.arithmetic or "unknown"), own
    for arithmetic in arithmetics:
        if template is None and arithmetic != DEVICE:
            raise InvalidValueError(
                f"arithmetic {arithmetic!r} without a template: only the device's, {DEVICE!r}, needs none; export the network"
            )
        yield arithmetic, exact_interpreter(arithmetic)
