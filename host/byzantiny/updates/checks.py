"""What rules could not trust: the types, values, grids and ids that a batch refuses."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.updates.errors import InvalidBatchError
from byzantiny_models.errors import LayoutError
from byzantiny_models.networks import Layout

CODE_LIMIT = 127
"""The largest magnitude of a code; -128 is not one (SPEC 3)."""

FLOAT_LIMIT = 2.0**200
"""The largest magnitude of a float row, in grid steps: squares of squared distances still fit float64, so no rule can
overflow. Stages make numbers of at most 127 of codes."""


def check_type(rows: NDArray[Any]) -> None:
    """Raise unless rows are codes or real numbers.

    Raises:
        InvalidBatchError: another type.
    """
    if rows.dtype not in (np.int8, np.float64):
        raise InvalidBatchError(
            f"updates of type {rows.dtype}: need int8 codes, or float64 after a pre-aggregator; "
            "put real values on the grid with quantize_rows"
        )


def check_values(stored: NDArray[Any]) -> None:
    """Raise unless every value is in its range: -127 .. 127 of codes, 2^200 in magnitude of real numbers.

    Raises:
        InvalidBatchError: one that is not, nan or infinity.
    """
    if stored.dtype == np.float64:
        with np.errstate(invalid="ignore"):
            largest = float(np.maximum(stored.max(), -stored.min()))  # nan if one is; no array of as many booleans
        if not math.isfinite(largest):
            raise InvalidBatchError(
                "updates hold nan or infinity: every value must be finite; refuse them at validation"
            )
        if largest > FLOAT_LIMIT:
            raise InvalidBatchError(
                f"updates hold {largest:.3g} in magnitude: float rows are in grid steps, up to 2^200; scale them down"
            )
    if stored.dtype == np.int8 and stored.size and int(stored.min()) < -CODE_LIMIT:
        raise InvalidBatchError("updates hold the code -128: codes are -127 .. 127; refuse the update at validation")


def check_grid(layout: Layout, shifts: tuple[int, ...]) -> None:
    """Raise unless the shifts are a grid of the layout.

    Raises:
        InvalidBatchError: their number, range or spread.
    """
    try:
        layout.exponents(shifts)
    except LayoutError as error:
        raise InvalidBatchError(str(error)) from error


def check_ids(client_ids: tuple[str, ...]) -> None:
    """Raise unless the ids are sorted bytewise and each is there once.

    Raises:
        InvalidBatchError: the first pair out of order.
    """
    encoded = [client_id.encode() for client_id in client_ids]
    for before, after in pairwise(encoded):
        if before >= after:
            raise InvalidBatchError(
                f"client id {after.decode()!r} follows {before.decode()!r}: ids must be unique and sorted bytewise; "
                "from_rows sorts, a repeated id is a second update of one client"
            )
