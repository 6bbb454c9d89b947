"""Rows on the grid: what of a real row the wire can carry, and the integer rows that stay within a constraint.

A float solution that is rounded afterwards may leave its constraint: with d coordinates rounding moves a row by up to
sqrt(d) / 2. So the constrained attacks search integer rows, and what they return passes through the wire unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.attacks.context import AttackContext
from byzantiny.attacks.geometry import Floats, norm
from byzantiny.updates import CODE_LIMIT
from byzantiny.updates.aggregate import round_half_away

_FACTORS = 64


def on_grid(context: AttackContext, row: Floats, radius: float = math.inf) -> Floats:
    """Return the integer row that the wire carries of a real one: scaled into the L2 bound, rounded, within +-127.

    `radius` is a bound of the attack's own beside it, in the same unit.

    The direction is kept where the bound binds; rounding outwards may pass it again, so the row is scaled until the codes
    themselves are within.

    >>> context = AttackContext(None, n=4, f=1, rng=np.random.default_rng(0), l2_bound=5)
    >>> on_grid(context, np.array([300.0, -400.0])).tolist()
    [3.0, -4.0]
    """
    scale, bound = context.scale, min(context.l2_bound or math.inf, radius)
    row = np.clip(row, -1e9, 1e9)
    factor = 1.0
    if bound < math.inf:
        length = norm(row, scale)
        factor = min(1.0, bound / length) if length else 1.0
    while True:
        codes = np.clip(round_half_away(factor * row), -CODE_LIMIT, CODE_LIMIT) + 0.0
        if norm(codes, scale) <= bound:
            return codes
        factor *= 1 - 1 / 1024


def along(
    context: AttackContext, start: Floats, way: Floats, farthest: float, within: Callable[[Floats], bool]
) -> Floats | None:
    """Return the integer row nearest `start + gamma way` for the largest gamma tried at which it is within; None: nowhere.

    Gammas from `farthest` down to 0 in equal steps: after rounding, being within is no longer monotone in gamma.
    """
    for share in np.linspace(1.0, 0.0, _FACTORS + 1):
        codes = on_grid(context, start + share * farthest * way)
        if within(codes):
            return codes
    return None


@dataclass(frozen=True, eq=False)
class Radius:
    """`max` or `sum` of the squared distances to the rows is at most `limit`: the two constraints of Min-Max and Min-Sum."""

    rows: Floats
    limit: float
    over: Literal["max", "sum"]
    scale: Floats | float = 1.0

    def measured(self, distances: Floats) -> float:
        """Return what the limit is for."""
        return float(distances.max() if self.over == "max" else distances.sum())

    def distances(self, row: Floats) -> Floats:
        """Return the squared distances of a row to the rows, exact of integers."""
        off = (self.rows - row) * self.scale
        return kernels.float_row_sum(off * off)

    def within(self, row: Floats) -> bool:
        """Return whether a row keeps it."""
        return self.measured(self.distances(row)) <= self.limit * (1 + 1e-12)

    def farthest(self, start: Floats, way: Floats) -> float:
        """Return the largest gamma at which `start + gamma way` is within: every distance is a parabola in gamma.

        `a gamma^2 + 2 b gamma + c <= limit`, so gamma = (-b + sqrt(b^2 - a (c - limit))) / a; the sum is one as well.
        """
        step, off = way * self.scale, (start - self.rows) * self.scale
        a = float(kernels.float_row_sum((step * step)[None])[0])
        if a == 0:
            return 0.0
        b, c = kernels.float_row_sum(off * step), kernels.float_row_sum(off * off)
        if self.over == "sum":
            a, b, c = a * len(self.rows), b.sum(keepdims=True), c.sum(keepdims=True)
        roots = (-b + np.sqrt(np.maximum(b * b - a * (c - self.limit), 0.0))) / a
        return max(0.0, float(roots.min()))

    def stretched(self, codes: Floats, way: Floats) -> Floats:
        """Return integer codes moved on, one step a coordinate along `way`, wherever that stays within; one pass.

        Coordinates where the way is steepest come first; ties in their order.
        """
        codes, distances = codes.copy(), self.distances(codes)
        scales = np.broadcast_to(self.scale, codes.shape)
        for j in np.argsort(-np.abs(way * scales), kind="stable"):
            step = np.sign(way[j])
            if step == 0 or abs(codes[j] + step) > CODE_LIMIT:
                continue
            moved = distances + (2 * step * (codes[j] - self.rows[:, j]) + 1) * scales[j] ** 2
            if self.measured(moved) <= self.limit:
                codes[j], distances = codes[j] + step, moved
        return codes


def integer_rows(codes: NDArray[np.int8]) -> Floats:
    """Return codes as float64."""
    return codes.astype(np.float64)
