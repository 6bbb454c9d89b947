"""The farthest row along a direction within a radius, real or on the grid: what Min-Max and Min-Sum share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.context import AttackContext
from byzantiny.attacks.geometry import Floats, direction, mean
from byzantiny.attacks.lattice import Radius, along, on_grid


def room(context: AttackContext, attack: str, rows: Floats, radius: Radius, way: str, ddof: int) -> float:
    """Return gamma: how far from the mean the direction may be followed."""
    del context
    return radius.farthest(mean(rows), direction(attack, way, rows, ddof))


def crafted(
    context: AttackContext, attack: str, rows: Floats, radius: Radius, way: str, ddof: int, lattice: bool
) -> NDArray[np.float64]:
    """Return the row for every attacker, (f, d).

    On the lattice: the farthest rounding of a row between the mean and the real solution that is within, moved on step by
    step. Where not even the rounded mean is within, the honest row farthest along the direction, which always is.
    """
    middle, step = mean(rows), direction(attack, way, rows, ddof)
    gamma = radius.farthest(middle, step)
    if not lattice:
        return np.tile(middle + gamma * step, (context.f, 1))
    codes = along(context, middle, step, gamma, radius.within)
    if codes is None:
        honest = [row for row in rows if radius.within(on_grid(context, row))] or [rows[0]]
        codes = on_grid(context, max(honest, key=lambda row: float(((row - middle) * step).sum())))
    stretched = radius.stretched(codes, step)
    fits = np.array_equal(on_grid(context, stretched), stretched)
    return np.tile(stretched if fits else codes, (context.f, 1))
