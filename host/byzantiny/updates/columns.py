"""What a rule by coordinate asks of int8 codes, whether they are kept one by one or only counted: the same integers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.kernels import counts


class Columns(Protocol):
    """Exact order statistics and sums of every coordinate; int64 (d,) unless said."""

    def median(self) -> NDArray[np.int64]:
        """Return twice the median, `x_(floor((n-1)/2)) + x_(floor(n/2))`: denominator 2."""
        ...

    def median_counts(self) -> NDArray[np.int64]:
        """Return both middle codes; how many are less than the lower, equal, one less, one more: int64 (6, d)."""
        ...

    def column_sum(self) -> NDArray[np.int64]:
        """Return the sum."""
        ...

    def trimmed_sum(self, f: int) -> NDArray[np.int64]:
        """Return the sum without the f smallest and the f largest codes."""
        ...

    def nearest_sum(self, f: int, numerator: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
        """Return the sum of the n - f codes nearest to `numerator / denominator`; of two as near, the lower is kept."""
        ...

    def nearest_to_median_sum(self, f: int) -> NDArray[np.int64]:
        """Return `nearest_sum` around the median."""
        ...

    def sign_sum(self) -> NDArray[np.int64]:
        """Return how many more codes are positive than negative."""
        ...


class Tiled(Protocol):
    """Codes that are kept: `stored` as they came, `tiles` made of them when first asked for."""

    @property
    def d(self) -> int:
        """The number of coordinates."""
        ...

    @property
    def stored(self) -> NDArray[np.int8]:
        """(n, d) rows, or tiles."""
        ...

    @property
    def tiles(self) -> NDArray[np.int8]:
        """(blocks, n, 64) tiles."""
        ...


class TileColumns:
    """The columns of codes that are kept: those of an `UpdateBatch`."""

    def __init__(self, codes: Tiled) -> None:
        self._codes = codes

    def median(self) -> NDArray[np.int64]:
        """As `Columns.median`."""
        return kernels.median(self._codes.stored, self._codes.d)

    def median_counts(self) -> NDArray[np.int64]:
        """As `Columns.median_counts`."""
        return kernels.median_counts(self._codes.stored, self._codes.d)

    def column_sum(self) -> NDArray[np.int64]:
        """As `Columns.column_sum`."""
        return kernels.column_sum(self._codes.stored, self._codes.d)

    def trimmed_sum(self, f: int) -> NDArray[np.int64]:
        """As `Columns.trimmed_sum`."""
        return kernels.trimmed_sum(self._codes.stored, self._codes.d, f)

    def nearest_sum(self, f: int, numerator: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
        """As `Columns.nearest_sum`."""
        return kernels.nearest_sum(self._codes.stored, self._codes.d, f, numerator, denominator)

    def nearest_to_median_sum(self, f: int) -> NDArray[np.int64]:
        """As `Columns.nearest_to_median_sum`."""
        return kernels.nearest_to_median_sum(self._codes.stored, self._codes.d, f)

    def sign_sum(self) -> NDArray[np.int64]:
        """As `Columns.sign_sum`."""
        return kernels.sign_sum(self._codes.stored, self._codes.d)


class CountColumns:
    """The columns of codes that are only counted: a table of `kernels.counts` with its carries, of n rows.

    >>> table = counts.empty_table(2)
    >>> carries = counts.fold(table, kernels.to_tiles(np.array([[1, 2], [5, 3], [3, 40]], dtype=np.int8)), 3)
    >>> CountColumns(table, carries, 2, 3).median().tolist()
    [6, 6]
    """

    def __init__(self, table: counts.Table, carries: counts.Carries, d: int, n: int) -> None:
        self._source = table, carries, d, n

    def median(self) -> NDArray[np.int64]:
        """As `Columns.median`."""
        return counts.median(*self._source).astype(np.int64)

    def median_counts(self) -> NDArray[np.int64]:
        """As `Columns.median_counts`."""
        return counts.median_counts(*self._source)

    def column_sum(self) -> NDArray[np.int64]:
        """As `Columns.column_sum`."""
        return counts.column_sum(*self._source)

    def trimmed_sum(self, f: int) -> NDArray[np.int64]:
        """As `Columns.trimmed_sum`."""
        return counts.trimmed_sum(*self._source, f)

    def nearest_sum(self, f: int, numerator: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
        """As `Columns.nearest_sum`."""
        return counts.nearest_sum(*self._source, f, numerator, denominator)

    def nearest_to_median_sum(self, f: int) -> NDArray[np.int64]:
        """As `Columns.nearest_to_median_sum`."""
        return self.nearest_sum(f, self.median(), 2)

    def sign_sum(self) -> NDArray[np.int64]:
        """As `Columns.sign_sum`."""
        return counts.sign_sum(*self._source)
