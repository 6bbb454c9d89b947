"""Probes: inputs on which a targeted attack has succeeded where the model answers what the adversary wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError

LOGIT_STEP = 2.0**-3
"""One step of the integer logits, Q3."""


@dataclass(frozen=True, eq=False)
class Probes:
    """x int8 Q6 (m, features), `wanted` (m,) the label the adversary wants for each; `confidence`: its mean is asked for too.

    Raises:
        InvalidValueError: other shapes or types, or labels below 0.

    >>> len(Probes(np.zeros((2, 64), dtype=np.int8), np.array([7, 7])))
    2
    """

    x: NDArray[np.int8]
    wanted: NDArray[Any]
    confidence: bool = True

    def __post_init__(self) -> None:
        x, wanted = np.asarray(self.x), np.asarray(self.wanted)
        if x.dtype != np.int8 or x.ndim != 2 or wanted.shape != x.shape[:1] or wanted.dtype.kind not in "iu":
            raise InvalidValueError(
                f"probes of {x.dtype} {x.shape} with wanted labels of {wanted.dtype} {wanted.shape}: need int8 "
                "(m, features) and m integers"
            )
        if wanted.size and int(wanted.min()) < 0:
            raise InvalidValueError(f"wanted label {wanted.min()} is below 0; labels count from 0")

    def __len__(self) -> int:
        """How many."""
        return len(self.wanted)


def success_rate(probes: Probes, outputs: NDArray[Any]) -> float | None:
    """Return the attack success rate: the share of probes whose largest output is the wanted label's; None without probes.

    Of equal outputs the lowest label counts. `outputs` (m, classes) are a model's answers to `probes.x`.

    Raises:
        InvalidValueError: another number of outputs, or a wanted label that the model does not have.

    >>> probes = Probes(np.zeros((2, 4), dtype=np.int8), np.array([1, 1]))
    >>> success_rate(probes, np.array([[0, 3], [3, 3]]))
    0.5
    """
    _check(probes, outputs)
    return float(np.mean(np.argmax(outputs, axis=1) == probes.wanted)) if len(probes) else None


def mean_confidence(probes: Probes, outputs: NDArray[Any]) -> float | None:
    """Return the mean softmax probability of the wanted labels; None without probes.

    `p = exp(z_wanted) / sum_c exp(z_c)`; integer outputs are logits Q3, `z = outputs / 8`; floats are logits.

    Raises:
        InvalidValueError: as `success_rate`.

    >>> probes = Probes(np.zeros((1, 4), dtype=np.int8), np.array([0]))
    >>> mean_confidence(probes, np.zeros((1, 4), dtype=np.int8)), round(mean_confidence(probes, np.array([[8, 0]])), 4)
    (0.25, 0.7311)
    """
    _check(probes, outputs)
    if not len(probes):
        return None
    z = outputs.astype(np.float64) * (1.0 if outputs.dtype.kind == "f" else LOGIT_STEP)
    exps = np.exp(z - z.max(axis=1, keepdims=True))
    return float(np.mean(exps[np.arange(len(probes)), probes.wanted] / exps.sum(axis=1)))


def _check(probes: Probes, outputs: NDArray[Any]) -> None:
    if outputs.ndim != 2 or len(outputs) != len(probes):
        raise InvalidValueError(f"outputs of shape {outputs.shape} for {len(probes)} probes: need one row each")
    if len(probes) and int(probes.wanted.max()) >= outputs.shape[1]:
        raise InvalidValueError(f"wanted label {probes.wanted.max()}: the model has {outputs.shape[1]}, from 0")
