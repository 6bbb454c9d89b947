"""What attacks measure of rows: means, deviations, distances, in the unit that rules measure in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.attacks.errors import AttackError

Floats = NDArray[np.float64]
Directions = ("unit", "sign", "std")
"""The three directions of Shejwalkar and Houmansadr: against the mean, its signs, or the deviations."""


def mean(rows: Floats) -> Floats:
    """Return the mean of the rows, (d,), summed in the order of SPEC 4."""
    return kernels.float_column_sum(rows) / len(rows)


def deviation(attack: str, rows: Floats, ddof: int) -> Floats:
    """Return the standard deviation of every coordinate, the squares divided by m - ddof.

    Raises:
        AttackError: too few rows.

    >>> deviation("alie", np.array([[1.0], [3.0]]), 1).round(4).tolist()
    [1.4142]
    """
    if len(rows) <= ddof:
        raise AttackError(
            f"{attack}: {len(rows)} known updates have no deviation with ddof = {ddof}; "
            f"at least {ddof + 1} are needed: grant more knowledge, or set ddof = 0"
        )
    centred = rows - mean(rows)
    return np.sqrt(kernels.float_column_sum(centred * centred) / (len(rows) - ddof))


def direction(attack: str, name: str, rows: Floats, ddof: int) -> Floats:
    """Return one of the three directions, (d,): `-mean / ||mean||`, `-sign(mean)` or `-std`.

    >>> direction("min-max", "unit", np.array([[3.0, 4.0]]), 0).tolist()
    [-0.6, -0.8]
    """
    middle = mean(rows)
    if name == "sign":
        return -np.sign(middle)
    if name == "std":
        return -deviation(attack, rows, ddof)
    length = float(np.sqrt(kernels.float_row_sum((middle * middle)[None])[0]))
    return -middle / length if length else np.zeros_like(middle)


def squared_distances(rows: Floats, to: Floats, scale: Floats | float = 1.0) -> Floats:
    """Return the squared distance of every row to one, (m,); exact of integers."""
    off = (rows - to) * scale
    return kernels.float_row_sum(off * off)


def pairwise(rows: Floats, scale: Floats | float = 1.0) -> Floats:
    """Return all squared distances, (m, m)."""
    return kernels.float_squared_distances(np.ascontiguousarray(rows), np.broadcast_to(scale, rows.shape[1:]).copy())


def norm(row: Floats, scale: Floats | float = 1.0) -> float:
    """Return the length of a row."""
    scaled = row * scale
    return float(np.sqrt(kernels.float_row_sum((scaled * scaled)[None])[0]))


def krum_choice(rows: Floats, f: int, scale: Floats | float = 1.0) -> int:
    """Return the row Krum picks with `n - f - 2` neighbours (at least one): what an attacker computes at home.

    >>> krum_choice(np.array([[0.0], [1.0], [2.0], [50.0], [1.0]]), 1)
    1
    """
    squared = pairwise(rows, scale)
    np.fill_diagonal(squared, np.inf)
    neighbours = max(1, len(rows) - f - 2)
    scores = np.sort(squared, axis=1)[:, :neighbours].sum(axis=1)
    return int(np.argmin(scores))
