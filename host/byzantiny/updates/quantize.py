"""Putting real rows on the grid: what an adversary's float row becomes before it fits the wire."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny.updates.aggregate import round_half_away
from byzantiny.updates.checks import CODE_LIMIT
from byzantiny.updates.errors import InvalidBatchError


def quantize_rows(rows: ArrayLike, rng: np.random.Generator | None = None) -> NDArray[np.int8]:
    """Return rows, in grid steps, as int8 codes: `nearest(x)` without a generator, `floor(x + u)` with one.

    Nearest rounds halves away from zero; u is uniform on [0, 1), so E[code] = x. Saturation is at +-127, also of
    infinities. An integer stays itself either way.

    Raises:
        InvalidBatchError: a nan, which has no place on the grid.

    Source: SPEC 4.

    >>> quantize_rows([[0.5, -0.5, 2.4, -300.0]]).tolist()
    [[1, -1, 2, -127]]
    """
    x = np.asarray(rows, dtype=np.float64)
    if np.isnan(x).any():
        raise InvalidBatchError("rows hold nan: it has no place on the grid of -127 .. 127; craft finite rows")
    x = np.clip(x, -CODE_LIMIT, CODE_LIMIT)
    if rng is None:
        return round_half_away(x).astype(np.int8)
    floor = np.floor(x)
    # Not floor(x + u): in float64 100 + (1 - 2^-53) is 101, and an integer would move.
    return (floor + (rng.random(x.shape) < x - floor)).astype(np.int8)
