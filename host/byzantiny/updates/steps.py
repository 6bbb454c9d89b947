"""Points among the rows: distances to one, weighted sums that make the next; exact of codes, in a fixed order of floats."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.batch import UpdateBatch
from byzantiny.updates.checks import CODE_LIMIT
from byzantiny.updates.errors import InvalidBatchError

WEIGHT_BITS = 52
"""Bits of a sum of weights: weighted sums of codes then stay below 2^60, and their total is a float64 number."""

FARTHEST = 1e9
"""Points further out than this in a coordinate are compared with codes in floats: there is nothing to cancel."""


class Steps:
    """What a float rule asks of the same rows again and again; what does not change is computed once.

    Of codes, a point is rounded to 46 bits of its largest number (`kernels.center_distances`) and the distances to that
    are exact, rounded once for each run of tensors of one scale; weights are rounded to multiples of 2^-52 of the power of
    two above their sum, and sums of those are exact and rounded once. Of float rows: in the order of SPEC 4.

    >>> steps = Steps(UpdateBatch.from_rows(np.array([[3, 4], [0, 1]], dtype=np.int8)))
    >>> point, total = steps.mean(np.array([1.0, 3.0]))
    >>> point.tolist(), total, steps.distances_to(point).tolist()
    ([0.75, 1.75], 4.0, [10.125, 1.125])
    """

    def __init__(self, batch: UpdateBatch) -> None:
        self._batch, self._slices = batch, batch.layout.slices
        if batch.exact:
            self._weights = distance_weights(batch)
            runs = kernels.weighted_runs(self._slices, self._weights)
            self._norms = kernels.squared_norms(batch.tiles, [slice(start, stop) for start, stop, _ in runs])
            self._run_weights = [weight for _, _, weight in runs]

    def distances_to(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the squared distance of every row to a point, (n,), in steps of e_min.

        Raises:
            InvalidBatchError: distances that overflow.
        """
        batch = self._batch
        if not batch.exact or not max(point.max(), -point.min()) <= FARTHEST:
            with np.errstate(over="ignore"):
                return finite_distances(kernels.float_squared_distances_to(batch.rows, point, common_scale(batch)))
        if not point.any():
            return np.asarray(sum(weight * norms for weight, norms in self._parts()), dtype=np.float64)
        point = np.ascontiguousarray(point)
        return kernels.center_distances(batch.tiles, point, self._slices, self._weights, self._norms)

    def weighted_sum(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return `sum_i w_i x_i`, (d,), and `sum_i w_i`, for weights from 0 that are not all 0."""
        total = float(kernels.float_row_sum(weights[None, :])[0])
        if not self._batch.exact:
            return kernels.float_weighted_sum(self._batch.rows, weights), total
        whole, scale = _whole(weights, total)
        sums = kernels.scaled_weighted_sum(self._batch.tiles, whole, self._batch.d, scale)
        return sums, scale * float(whole.sum())

    def mean(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return `sum_i w_i x_i / sum_i w_i`, (d,), and `sum_i w_i`."""
        sums, total = self.weighted_sum(weights)
        return np.divide(sums, total, out=sums), total

    def _parts(self) -> zip[tuple[int, NDArray[np.float64]]]:
        return zip(self._run_weights, self._norms.T.astype(np.float64), strict=True)


def _whole(weights: NDArray[np.float64], total: float) -> tuple[NDArray[np.int64], float]:
    """Return integer weights, and what one of their units is worth."""
    bits = WEIGHT_BITS - math.frexp(total)[1]
    return np.rint(np.ldexp(weights, bits)).astype(np.int64), math.ldexp(1.0, -bits)


def common_scale(batch: UpdateBatch) -> NDArray[np.float64]:
    """Return `2^(e_t - e_min)` of every coordinate, float64 (d,): what brings codes to steps of e_min, exactly."""
    exponents = np.array(batch.layout.exponents(batch.shifts), dtype=np.int64)
    if (exponents == exponents[0]).all():
        return np.broadcast_to(1.0, batch.d)
    return np.repeat(np.ldexp(1.0, exponents - exponents.min()), [t.elements for t in batch.layout.tensors])


def distance_weights(batch: UpdateBatch) -> NDArray[np.int64]:
    """Return `4^(e_t - e_min)` of every tensor, int64: what its squares count in steps of e_min.

    Raises:
        InvalidBatchError: sums of a row's distances that could leave int64.
    """
    exponents = np.array(batch.layout.exponents(batch.shifts), dtype=np.int64)
    weights: NDArray[np.int64] = np.int64(4) ** (exponents - exponents.min())
    elements = [t.elements for t in batch.layout.tensors]
    largest = batch.n * sum(int(w) * m * (2 * CODE_LIMIT) ** 2 for w, m in zip(weights, elements, strict=True))
    if largest >= 1 << 63:
        raise InvalidBatchError(
            f"sums of {batch.n} squared distances up to {largest:.3g} leave int64; bring the shifts closer together"
        )
    return weights


def finite_distances(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return them.

    Raises:
        InvalidBatchError: one is not finite.
    """
    if not np.isfinite(squared).all():
        raise InvalidBatchError(
            "squared distances leave float64: rows of up to 1e150 can be compared; clip them before this rule"
        )
    return squared
