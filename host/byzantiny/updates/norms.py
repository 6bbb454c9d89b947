"""Exact norms of int8 rows whose tensors have different scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.batch import UpdateBatch
from byzantiny.updates.checks import CODE_LIMIT
from byzantiny.updates.errors import InvalidBatchError


def rescaled_bound(bound: int, before: int, now: int) -> int:
    """Return a length in steps of 2^before in steps of 2^now, `ceil(bound 2^(before - now))`.

    Rounded up, so that a bound above 0 never becomes 0, which on the wire means none.

    >>> rescaled_bound(800, -8, -10), rescaled_bound(801, -8, -7), rescaled_bound(1, -8, -2)
    (3200, 401, 1)
    """
    return bound << before - now if now <= before else -(-bound >> now - before)


def weighted_squared_norms(batch: UpdateBatch) -> NDArray[np.int64]:
    """Return `sum_t 4^(e_t - e_min) sum_i c_ti^2` per row, int64 (n,): squared norms in steps of e_min, exact.

    Raises:
        InvalidBatchError: float rows, or a sum that could leave int64. (A spread of exponents above 12 never
            gets here: the layout refuses it.)

    Source: SPEC 3 ("Codes and shifts").

    >>> weighted_squared_norms(UpdateBatch.from_rows(np.array([[3, 4], [0, -127]], dtype=np.int8))).tolist()
    [25, 16129]
    """
    if not batch.exact:
        raise InvalidBatchError(
            f"rows are {batch.dtype}: exact norms need int8 codes; put this stage before the mixing one"
        )
    exponents = np.array(batch.layout.exponents(batch.shifts), dtype=np.int64)
    weights = np.int64(4) ** (exponents - exponents.min())
    elements = [t.elements for t in batch.layout.tensors]
    largest = sum(int(w) * m * CODE_LIMIT**2 for w, m in zip(weights, elements, strict=True))
    if largest >= 1 << 63:
        raise InvalidBatchError(f"squared norms up to {largest:.3g} leave int64; bring the shifts closer together")
    norms: NDArray[np.int64] = kernels.squared_norms(batch.stored, batch.layout.slices) @ weights
    return norms
