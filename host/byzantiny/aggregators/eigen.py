"""The largest eigenvalue of small symmetric matrices, and its vector, in an order of operations that is fixed.

LAPACK would be shorter and faster, but its last bits depend on the machine, and a rule that compares eigenvalues could
then keep other clients elsewhere. Householder tridiagonalisation and bisection on Sturm counts (Golub, Van Loan.
Matrix computations. 8.3, 8.4) need nothing but elementwise operations and the ordered sums of SPEC 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import float_column_sum

BISECTIONS = 80
"""Enough to halve any interval down to neighbouring floats near its larger end."""


def largest_eigenvalues(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest eigenvalue of each of (m, m, count) symmetric matrices, (count,).

    >>> largest_eigenvalues(np.array([[2.0, 1.0], [1.0, 2.0]])[:, :, None]).round(12).tolist()
    [3.0]
    """
    diagonal, beside, _ = _tridiagonal(matrices)
    return _largest(diagonal, beside)


def largest_eigenpair(matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the largest eigenvalue of an (m, m) symmetric matrix and a unit vector of its, (m,).

    Of an eigenvalue with several vectors it returns one of them.

    >>> value, vector = largest_eigenpair(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> round(value, 12), np.abs(vector).round(12).tolist()
    (3.0, [0.707106781187, 0.707106781187])
    """
    diagonal, beside, reflections = _tridiagonal(matrix[:, :, None])
    value = float(_largest(diagonal, beside)[0])
    vector = _inverse_iteration(diagonal[:, 0], beside[:, 0], value)
    for first, (v, factor) in reversed(list(enumerate(reflections, 1))):
        part = vector[first:]
        part -= factor[0] * v[:, 0] * _sum(v * part[:, None])[0]
    return value, vector


def _sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over the first axis in the order of SPEC 4."""
    return float_column_sum(values.reshape(len(values), -1)).reshape(values.shape[1:])


def _tridiagonal(
    matrices: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Return the diagonals, the numbers beside them, and the reflections `I - factor v v^T` that led there."""
    a = matrices.copy()
    m, count = len(a), a.shape[2]
    beside = np.zeros((max(0, m - 1), count))
    reflections = []
    for k in range(m - 2):
        v = a[k + 1 :, k].copy()
        length = np.sqrt(_sum(v * v))
        beside[k] = np.where(v[0] > 0, -length, length)
        v[0] -= beside[k]
        squared = _sum(v * v)
        factor = np.divide(2.0, squared, out=np.zeros(count), where=squared > 0)
        rest = a[k + 1 :, k + 1 :]
        p = factor * _sum(rest * v[:, None])
        w = p - factor / 2 * _sum(v * p) * v
        rest -= v[:, None] * w + w[:, None] * v
        reflections.append((v, factor))
    if m > 1:
        beside[m - 2] = a[m - 1, m - 2]
    return np.stack([a[i, i] for i in range(m)]), beside, reflections


def _largest(diagonal: NDArray[np.float64], beside: NDArray[np.float64]) -> NDArray[np.float64]:
    m, count = diagonal.shape
    squared = beside * beside
    reach = np.zeros((m, count))
    reach[: m - 1] += np.abs(beside)
    reach[1:] += np.abs(beside)
    low, high = diagonal.max(axis=0), (diagonal + reach).max(axis=0)  # a diagonal number is a Rayleigh quotient
    for _ in range(BISECTIONS):
        middle = low + (high - low) / 2
        above = np.ones(count, dtype=np.bool_)  # whether all eigenvalues lie below the middle
        pivot = diagonal[0] - middle
        for i in range(m):
            if i:
                pivot = diagonal[i] - middle - squared[i - 1] / pivot
            above &= pivot < 0
            pivot = np.where(above, pivot, -1.0)  # decided: keep the division harmless
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return np.asarray(high)


def _inverse_iteration(diagonal: NDArray[np.float64], beside: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Solve `(T - value I) x = b` twice from a b without symmetry; elimination with row exchanges, in Python floats."""
    m = len(diagonal)
    tiny = float(np.abs(diagonal).max(initial=0.0) + np.abs(beside).max(initial=0.0)) * 2.0**-52 or 1.0
    x = 1.0 + np.arange(m) / (3 * m + 1)
    for _ in range(3):
        x = _solve([d - value for d in diagonal.tolist()], beside.tolist(), x.tolist(), tiny)
        x /= np.abs(x).max()
        x /= np.sqrt(_sum((x * x)[:, None])[0])
    return x


def _solve(diagonal: list[float], beside: list[float], b: list[float], tiny: float) -> NDArray[np.float64]:
    m = len(diagonal)
    upper, beyond = [*beside, 0.0], [0.0] * m  # beyond: what an exchange brings in two places right of the diagonal
    for i in range(m - 1):
        below, next_pivot, next_upper = beside[i], diagonal[i + 1], upper[i + 1]
        if abs(below) > abs(diagonal[i]):
            factor = diagonal[i] / below
            diagonal[i], upper[i], beyond[i], row = below, next_pivot, next_upper, upper[i]
            diagonal[i + 1], upper[i + 1] = row - factor * next_pivot, -factor * next_upper
            b[i], b[i + 1] = b[i + 1], b[i] - factor * b[i + 1]
        else:
            diagonal[i] = diagonal[i] or tiny
            factor = below / diagonal[i]
            diagonal[i + 1] = next_pivot - factor * upper[i]
            b[i + 1] -= factor * b[i]
    x = [0.0] * (m + 2)
    for i in range(m - 1, -1, -1):
        pivot = diagonal[i] if abs(diagonal[i]) > tiny else tiny
        x[i] = (b[i] - upper[i] * x[i + 1] - beyond[i] * x[i + 2]) / pivot
    return np.array(x[:m])
