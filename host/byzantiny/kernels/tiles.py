"""The tiled storage: blocks of coordinates, then clients, so that a block's columns lie together.

(n, d) rows become (blocks, n, width) tiles: `tiles[b, i, j]` is coordinate `b * width + j` of client i. The width
is a multiple of 64, the widest vector; the coordinates beyond d are zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VECTOR = 64
"""Coordinates one step of a column kernel takes: a 512-bit register of codes, two of 256, four of 128."""

TILE = 512
"""Coordinates of a tile: long enough for the copy at arrival, short enough that 1,000 clients stay in the L2 cache."""


def tile_width(d: int) -> int:
    """Return the width of the tiles of d coordinates: 512, or what holds d in vectors of 64 if that is less.

    >>> [tile_width(d) for d in (1, 64, 65, 4096)]
    [64, 64, 128, 512]
    """
    return min(TILE, -(-d // VECTOR) * VECTOR)


def empty_tiles(n: int, d: int) -> NDArray[np.int8]:
    """Return tiles of zeros for n updates of d coordinates.

    >>> empty_tiles(3, 1000).shape
    (2, 3, 512)
    """
    width = tile_width(d)
    return np.zeros((-(-d // width), n, width), dtype=np.int8)


def put_row(tiles: NDArray[np.int8], slot: int, row: NDArray[np.int8]) -> None:
    """Copy one update of d coordinates into its slot."""
    whole, width = len(row) // tiles.shape[2], tiles.shape[2]
    tiles[:whole, slot] = row[: whole * width].reshape(whole, width)
    if whole * width < len(row):
        tiles[whole, slot, : len(row) - whole * width] = row[whole * width :]


def to_tiles(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (n, d) rows as tiles.

    >>> to_tiles(np.array([[1, 2], [3, 4]], dtype=np.int8))[0, :, :3].tolist()
    [[1, 2, 0], [3, 4, 0]]
    """
    n, d = rows.shape
    tiles = empty_tiles(n, d)
    whole, width = d // tiles.shape[2], tiles.shape[2]
    tiles[:whole] = rows[:, : whole * width].reshape(n, whole, width).transpose(1, 0, 2)
    if whole * width < d:
        tiles[whole, :, : d - whole * width] = rows[:, whole * width :]
    return tiles


def from_tiles(tiles: NDArray[np.int8], d: int) -> NDArray[np.int8]:
    """Return tiles as (n, d) rows: the inverse of `to_tiles`.

    >>> from_tiles(to_tiles(np.array([[1, 2], [3, 4]], dtype=np.int8)), 2).tolist()
    [[1, 2], [3, 4]]
    """
    blocks, n, width = tiles.shape
    return np.ascontiguousarray(tiles.transpose(1, 0, 2).reshape(n, blocks * width)[:, :d])
