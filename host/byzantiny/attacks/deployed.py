"""The deployed defence as an attacker runs it at home: codes of a whole round in, the aggregate out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.context import AttackContext
from byzantiny.attacks.errors import AttackError
from byzantiny.attacks.geometry import Floats, mean, norm
from byzantiny.attacks.lattice import on_grid
from byzantiny.attacks.search import maximise
from byzantiny.updates import AggregationError, UpdateBatch, quantize_rows
from byzantiny.updates.steps import common_scale

__all__ = ["Codes", "Defence", "Target", "common_scale", "deployed"]

Codes = NDArray[np.int8]
Defence = Callable[[Codes], Floats]


def deployed(context: AttackContext, attack: str) -> Defence:
    """Return the defence as a function from codes (n, d), in the cohort's order, to the aggregate (d,).

    A pipeline (anything with `rules`) or a single rule starts each time from its first state and an equal generator; whoever
    wants the state of a run hands over a function that holds it.

    Raises:
        AttackError: no defence was granted, or it is none of the three.
    """
    context.has(attack, "defence")
    defence = context.defence
    rules: Sequence[Any] | None = getattr(defence, "rules", None)
    if rules is None and hasattr(defence, "apply"):
        rules = [defence]
    if rules is None:
        if not callable(defence):
            raise AttackError(
                f"{attack}: `defence` is {type(defence).__name__}; hand over a pipeline, a rule, or a function of codes"
            )
        return defence  # type: ignore[no-any-return]
    seed = int(context.rng.integers(1 << 32))

    def run(codes: Codes) -> Floats:
        batch: Any = UpdateBatch.from_rows(codes, layout=context.layout, shifts=context.shifts)
        for rule in rules:
            batch, _ = rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(seed))
        return np.asarray(batch.values, dtype=np.float64)

    return run


class Target:
    """What an attack in the loop maximises: how far the aggregate is from the mean of the honest rows.

    `harm(row)` takes one row for all attackers, puts it on the grid as the wire will, and runs the defence.
    A defence that refuses to aggregate leaves the model where it is, which counts as no harm: a round without an aggregate is
    an attack of another kind (denial).
    """

    def __init__(self, context: AttackContext, attack: str, rows: Floats) -> None:
        self._defence, self._context = deployed(context, attack), context
        self._mean, self._scale = mean(rows), context.scale
        honest = quantize_rows(rows)
        self._places = context.places or tuple(range(len(honest), len(honest) + context.f))
        self._codes = np.empty((len(honest) + len(self._places), honest.shape[1]), dtype=np.int8)
        others = np.setdiff1d(np.arange(len(self._codes)), self._places)
        if len(others) != len(honest):
            raise AttackError(
                f"{attack}: places {self._places} for {len(self._codes)} clients; give each attacker a place of its own"
            )
        self._codes[others] = honest

    def aggregate(self, row: Floats) -> Floats | None:
        """Return the aggregate if every attacker sends the row; None where the defence refuses."""
        codes = self._codes.copy()
        codes[list(self._places)] = on_grid(self._context, row).astype(np.int8)
        try:
            return self._defence(codes)
        except AggregationError:
            return None

    def best_along(self, start: Floats, way: Floats, evaluations: int) -> float:
        """Return the gamma that does most harm at `start + gamma way`, by line search."""
        return maximise(lambda gamma: self.harm(start + gamma * way), evaluations)

    def harm(self, row: Floats) -> float:
        """Return `||aggregate - mean||`; 0 where the defence refuses."""
        found = self.aggregate(row)
        return 0.0 if found is None else norm(found - self._mean, self._scale)
