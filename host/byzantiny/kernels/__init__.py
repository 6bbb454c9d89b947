"""The hot loops over int8 codes: arrays in, arrays out; C when its library loads, NumPy otherwise, bit-identical."""

from __future__ import annotations

from byzantiny.kernels.reference import column_sum, float_column_sum, median, squared_norms
from byzantiny.kernels.tiles import empty_tiles, from_tiles, put_row, tile_width, to_tiles

__all__ = [
    "column_sum",
    "empty_tiles",
    "float_column_sum",
    "from_tiles",
    "median",
    "put_row",
    "squared_norms",
    "tile_width",
    "to_tiles",
]
