"""The kernels that count codes, 256 bins a coordinate, and answer from the counts what the columns' kernels answer.

C where a library is loaded, NumPy where none is, the same integers. A table takes 512 bytes a coordinate whatever the
number of rows; `reference.counts` defines it, and the carries that go with it.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.counts import Counts
from byzantiny.kernels.reference import counts as reference
from byzantiny.kernels.reference.counts import BINS, GROUP_BINS, LANES
from byzantiny.kernels.tiles import TILE

MOST_ROWS = (1 << 24) - 1
"""More rows than these would leave the 32 bits in which the order statistics add: 255 n < 2^32."""

Table = NDArray[np.uint16]
Carries = NDArray[np.int64]

__all__ = [
    "BINS", "GROUP_BINS", "LANES", "MOST_ROWS", "Carries", "Table", "add", "column_sum", "empty_rows", "empty_table", "fold",
    "median", "median_counts", "nearest_sum", "sign_sum", "table_shape", "totals", "trimmed_sum",
]  # fmt: skip


def table_shape(d: int) -> tuple[int, int, int]:
    """Return the shape of a table for d coordinates, rounded up to whole tiles.

    >>> table_shape(65)
    (16, 256, 8)
    """
    return -(-d // TILE) * (TILE // LANES), BINS, LANES


def empty_table(d: int) -> Table:
    """Return a table for d coordinates that counts nothing.

    >>> empty_table(50_000).nbytes
    25624576
    """
    return np.zeros(table_shape(d), dtype=np.uint16)


def empty_rows(n: int, d: int) -> NDArray[np.int8]:
    """Return n rows of zeros that `fold` takes: whole tiles wide, each beginning with a cache line.

    Rows, and not tiles: a row is copied in one piece and counted as fast, where a tile's 64 bytes go to 782 places
    (measured at d = 50,000: 4 us an update against 13; counting takes 17 of either, and 20 of rows across two lines).

    >>> empty_rows(3, 65).shape
    (3, 128)
    """
    width = -(-d // TILE) * TILE
    room = np.zeros(n * width + TILE, dtype=np.int8)
    first = -room.ctypes.data % TILE
    return room[first : first + n * width].reshape(n, width)


def fold(table: Table, stored: NDArray[np.int8], n: int) -> Carries:
    """Count codes into the table, in place; return the places that passed 2^16, ascending.

    `stored` is (blocks, rows, 64) tiles or contiguous (rows, width), zeros beyond d; n is how many rows are counted then.

    >>> table = empty_table(1)
    >>> fold(table, np.full((70_000, 64), 5, dtype=np.int8), 70_000)[:2].tolist(), int(table[0, 133, 0])
    ([1064, 1065], 4464)
    """
    return _functions().fold(table, stored, n)


def add(table: Table, other: Table, n: int) -> Carries:
    """Add another table to one, in place; return the places that passed 2^16, ascending; n rows are in both together.

    >>> table = empty_table(1)
    >>> fold(table, np.zeros((3, 64), dtype=np.int8), 3).size, add(table, table.copy(), 6).size, int(table[0, 128, 0])
    (0, 0, 6)
    """
    return _functions().add(table, other, n)


def totals(table: Table, carries: Carries, d: int) -> NDArray[np.int64]:
    """Return how many codes of every coordinate are counted, int64 (d,)."""
    return _functions().totals(table, carries)[:d]


def median(table: Table, carries: Carries, d: int, n: int) -> NDArray[np.int16]:
    """Return twice the median of every coordinate, int16 (d,), as `kernels.median` of the same codes.

    >>> from byzantiny.kernels import to_tiles
    >>> table = empty_table(1)
    >>> carries = fold(table, to_tiles(np.array([[1], [5], [2], [4]], dtype=np.int8)), 4)
    >>> median(table, carries, 1, 4).tolist()
    [6]
    """
    return _functions().median(table, carries, n)[:d]


def column_sum(table: Table, carries: Carries, d: int, n: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate, int64 (d,), as `kernels.column_sum` of the same codes."""
    return trimmed_sum(table, carries, d, n, 0)


def trimmed_sum(table: Table, carries: Carries, d: int, n: int, f: int) -> NDArray[np.int64]:
    """Return the sum of every coordinate without its f smallest and f largest codes, as `kernels.trimmed_sum`."""
    return _functions().trimmed_sum(table, carries, n, f)[:d]


def nearest_sum(
    table: Table, carries: Carries, d: int, n: int, f: int, numerator: NDArray[np.int64], denominator: int
) -> NDArray[np.int64]:
    """Return the sum of the n - f codes of every coordinate nearest to `numerator / denominator`, int64 (d,).

    As `kernels.nearest_sum`. Two codes add up to an integer, so twice the centre is compared rounded up.
    """
    twice = np.zeros(len(table) * LANES, dtype=np.int16)
    twice[:d] = np.clip(-((-2 * numerator) // denominator), -255, 255)  # two codes add up to -254 .. 254
    return _functions().nearest_sum(table, carries, n, f, twice)[:d]


def median_counts(table: Table, carries: Carries, d: int, n: int) -> NDArray[np.int64]:
    """Return the two middle codes of every coordinate and the counts around them, as `kernels.median_counts`."""
    return _functions().median_counts(table, carries, n)[:, :d]


def sign_sum(table: Table, carries: Carries, d: int, n: int) -> NDArray[np.int64]:
    """Return how many more codes of every coordinate are positive than negative, as `kernels.sign_sum`."""
    return _functions().sign_sum(table, carries, n)[:d]


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Counts | None:
    return None if library is None else Counts(library)


def _functions() -> Counts | ModuleType:
    return _native(native.select()[1]) or reference
