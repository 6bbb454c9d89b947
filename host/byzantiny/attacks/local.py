"""Training on an attacker's own computer: plain SGD in float64, with a hand on every gradient and every step.

An adversary is no microcontroller: it has the model, its device's samples and time. What it trains comes back as a row in grid
steps. Sums go through the BLAS, so bits may differ between machines (docs/attacks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny.attacks.context import AttackContext
from byzantiny.attacks.geometry import Floats
from byzantiny_models.float_gradients import gradients, scaled_inputs
from byzantiny_models.networks import Layout, Network

Correct = Callable[[Floats, Floats], Floats]
"""(delta, gradient) to the gradient that is followed."""
Project = Callable[[Floats, int], Floats]
"""(delta, number of the step) to the delta that training goes on from."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: passes over the samples, samples a step, learning rate."""

    epochs: int
    batch: int
    rate: float


def real_units(layout: Layout) -> Floats:
    """Return what one master unit of every coordinate is worth, `2^-frac`, float64 (d,)."""
    return np.repeat(np.ldexp(1.0, [-t.frac for t in layout.tensors]), [t.elements for t in layout.tensors])


@dataclass(frozen=True, eq=False)
class Workshop:
    """A round's network and start in real numbers, and the way between real changes and grid steps."""

    network: Network
    start: Floats
    step: Floats
    """What one grid step of every coordinate is in real units."""

    @classmethod
    def of(cls, context: AttackContext, attack: str) -> Workshop:
        """Return the workshop of a round.

        Raises:
            AttackError: no network, model or grid.
        """
        context.has(attack, "network", "model", "layout", "shifts")
        assert context.network is not None
        assert context.model is not None
        units = real_units(context.network.layout)
        return cls(context.network, context.model * units, context.step(attack) * units)

    def descend(
        self,
        x: ArrayLike,
        y: ArrayLike,
        rng: np.random.Generator,
        schedule: Schedule,
        delta: Floats | None = None,
        correct: Correct | None = None,
        project: Project | None = None,
    ) -> Floats:
        """Return the change of the model, real (d,), after SGD on int8 samples, from `delta` (zero by default)."""
        inputs, labels = scaled_inputs(self.network, x), np.asarray(y)
        delta = np.zeros_like(self.start) if delta is None else delta.copy()
        number = 0
        for _ in range(schedule.epochs):
            order = rng.permutation(len(labels))
            for first in range(0, len(order), schedule.batch):
                some = order[first : first + schedule.batch]
                gradient = gradients(self.network, self.start + delta, inputs[some], labels[some]).model
                if correct is not None:
                    gradient = correct(delta, gradient)
                delta = delta - schedule.rate * gradient
                number += 1
                if project is not None:
                    delta = project(delta, number)
        return delta

    def to_steps(self, delta: Floats) -> Floats:
        """Return a real change in grid steps."""
        return delta / self.step

    def to_real(self, row: NDArray[np.float64]) -> Floats:
        """Return a row of grid steps as a real change."""
        return row * self.step
