"""The sums of float rows in a fixed order: the same bits whatever runs them (SPEC 4)."""

from __future__ import annotations

from byzantiny.kernels.reference.floats import (
    float_column_sum,
    float_nearest_sum,
    float_row_sum,
    float_squared_distances,
    float_squared_distances_to,
    float_weighted_sum,
)

__all__ = [
    "float_column_sum",
    "float_nearest_sum",
    "float_row_sum",
    "float_squared_distances",
    "float_squared_distances_to",
    "float_weighted_sum",
]
