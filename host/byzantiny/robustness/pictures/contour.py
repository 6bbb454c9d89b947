"""Where a field on a grid crosses a level: marching squares, with straight lines inside each square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Point: TypeAlias = tuple[float, float]
Segment: TypeAlias = tuple[Point, Point]


def contour(field: NDArray[np.float64], xs: Sequence[float], ys: Sequence[float], level: float = 0.0) -> list[Segment]:
    """Return the segments of the line that parts `field < level` from `field >= level`; field[y, x] at the nodes.

    A crossing is placed by linear interpolation. Of the two ways to join four crossings of a square, the mean of its
    corners decides. A square with a nan has none.

    >>> contour(np.array([[-1.0, 1.0], [-1.0, 3.0]]), xs=[0, 1], ys=[0, 1])
    [((0.5, 0.0), (0.25, 1.0))]
    """
    segments: list[Segment] = []
    for j in range(len(ys) - 1):
        for i in range(len(xs) - 1):
            # Corners in turn: lower left, lower right, upper right, upper left.
            values = [float(field[j, i]), float(field[j, i + 1]), float(field[j + 1, i + 1]), float(field[j + 1, i])]
            if not np.isfinite(values).all():
                continue
            corners = [(xs[i], ys[j]), (xs[i + 1], ys[j]), (xs[i + 1], ys[j + 1]), (xs[i], ys[j + 1])]
            segments += _square([value - level for value in values], corners)
    return segments


def _square(values: Sequence[float], corners: Sequence[Point]) -> list[Segment]:
    crossings = [
        _between(corners[k], corners[(k + 1) % 4], values[k], values[(k + 1) % 4])
        for k in range(4)
        if (values[k] < 0) != (values[(k + 1) % 4] < 0)
    ]
    if len(crossings) == 4:
        first_alone = (values[0] < 0) != (sum(values) < 0)
        # Either the corners 0 and 2 are cut off, or 1 and 3.
        order = (3, 0, 1, 2) if first_alone else (0, 1, 2, 3)
        crossings = [crossings[k] for k in order]
    return [(crossings[k], crossings[k + 1]) for k in range(0, len(crossings), 2)]


def _between(a: Point, b: Point, at_a: float, at_b: float) -> Point:
    share = at_a / (at_a - at_b)
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
