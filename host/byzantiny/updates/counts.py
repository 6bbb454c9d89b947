"""The updates of one round as counts: for every coordinate, how many clients sent each code.

512 bytes a coordinate whatever the number of clients. Rules by coordinate get the same integers from them as from
the rows; rules that look at whole updates cannot. Counts of different clients merge exactly, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import counts
from byzantiny.updates.aggregate import Diagnostics
from byzantiny.updates.batch import UpdateBatch
from byzantiny.updates.checks import check_grid, check_ids
from byzantiny.updates.columns import Columns, CountColumns
from byzantiny.updates.errors import InvalidBatchError
from byzantiny_models.networks import Layout


@dataclass(frozen=True, eq=False)
class UpdateCounts:
    """Many clients' codes, counted: what an `UpdateBatch` is for rules by coordinate; pure data, read-only.

    `table` and `carries` are those of `byzantiny.kernels.counts`. Every coordinate's counts add up to n, the number of
    client ids, and the coordinates that fill the last tile hold n times the code 0.

    Raises:
        InvalidBatchError: counts that cannot be of these clients, of this layout.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [5, 3], [3, 40], [4, 30]], dtype=np.int8))
    >>> counted = UpdateCounts.of(batch)
    >>> counted.n, counted.columns.trimmed_sum(1).tolist(), counted.client_ids[3]
    (4, [7, 33], 'c00003')
    """

    table: NDArray[np.uint16]
    carries: NDArray[np.int64]
    layout: Layout
    shifts: tuple[int, ...]
    client_ids: tuple[str, ...]
    trace: tuple[Diagnostics, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.n <= counts.MOST_ROWS:
            raise InvalidBatchError(
                f"counts of {self.n} updates: 1 to {counts.MOST_ROWS} can be counted; split the round"
            )
        check_ids(self.client_ids)
        check_grid(self.layout, self.shifts)
        expected = counts.table_shape(self.d)
        if self.table.dtype != np.uint16 or self.table.shape != expected or not self.table.flags.c_contiguous:
            raise InvalidBatchError(
                f"counts of {self.table.dtype} {self.table.shape}: this layout needs contiguous uint16 {expected}"
            )
        self._check_carries()
        self._check_counts()
        self.table.setflags(write=False)
        self.carries.setflags(write=False)

    def _check_carries(self) -> None:
        """Also: no more of them than n allows, or a sum of 32 bits could be had to come out right."""
        places = self.carries
        if places.dtype != np.int64 or places.ndim != 1 or not places.flags.c_contiguous:
            raise InvalidBatchError(f"carries of {places.dtype} {places.shape}: need contiguous int64 (k,)")
        if not places.size:
            return
        if int(places.min()) < 0 or int(places.max()) >= self.table.size or (np.diff(places) < 0).any():
            raise InvalidBatchError(
                f"carries {places[0]} .. {places[-1]}: need ascending places in a table of {self.table.size} bins"
            )
        most = int(np.bincount(places // counts.GROUP_BINS * counts.LANES + places % counts.LANES).max())
        if most > self.n >> 16:
            raise InvalidBatchError(f"{most} carries in one coordinate: {self.n} updates make {self.n >> 16} at most")

    def _check_counts(self) -> None:
        width = counts.LANES * len(self.table)
        wrong = np.flatnonzero(counts.totals(self.table, self.carries, width) != self.n)
        if wrong.size:
            raise InvalidBatchError(
                f"{wrong.size} coordinates, the first {wrong[0]}, do not count {self.n} updates; refuse the counts"
            )
        if self.table[:, 0].any() or (self.carries % counts.GROUP_BINS < counts.LANES).any():
            raise InvalidBatchError("counts of the code -128: codes are -127 .. 127; refuse the update at validation")
        if self.d < width:
            self._check_beyond(width)

    def _check_beyond(self, width: int) -> None:
        group, lane = divmod(self.d, counts.LANES)
        rest, first = self.table[group:], group * counts.GROUP_BINS
        carries = self.carries[np.searchsorted(self.carries, first) :] - first
        low, _, _, equal, _, _ = counts.median_counts(rest, carries, width - self.d + lane, self.n)[:, lane:]
        if low.any() or (equal != self.n).any():
            raise InvalidBatchError(
                f"coordinates beyond the layout's {self.d} hold codes other than 0; refuse the counts"
            )

    @classmethod
    def of(cls, batch: UpdateBatch) -> UpdateCounts:
        """Count a batch of codes whose rows are clients.

        Raises:
            InvalidBatchError: float rows, or rows that are no longer clients.
        """
        if batch.mixing is not None:
            raise InvalidBatchError(f"{batch.n} rows of {len(batch.client_ids)} clients: only clients can be counted")
        table = counts.empty_table(batch.d)
        carries = counts.fold(table, batch.tiles, batch.n)
        return cls(table, carries, batch.layout, batch.shifts, batch.client_ids, batch.trace)

    @property
    def n(self) -> int:
        """The number of updates counted."""
        return len(self.client_ids)

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.layout.d

    @property
    def exact(self) -> bool:
        """True: only int8 codes are counted."""
        return True

    @property
    def mixing(self) -> None:
        """None: what is counted are clients."""
        return

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The client ids: what is counted are clients."""
        return self.client_ids

    @property
    def columns(self) -> Columns:
        """What rules by coordinate ask."""
        return CountColumns(self.table, self.carries, self.d, self.n)

    @property
    def nbytes(self) -> int:
        """The bytes of the counts; they do not depend on n, but for 8 a carry."""
        return self.table.nbytes + self.carries.nbytes

    def merge(self, other: UpdateCounts) -> UpdateCounts:
        """Return the counts of both sets of clients: exact, associative and commutative; neither operand changes.

        Raises:
            InvalidBatchError: another layout or grid, a client in both, or a trace: stages have acted on a part alone.

        >>> rows = np.array([[1], [5], [3]], dtype=np.int8)
        >>> parts = [UpdateCounts.of(UpdateBatch.from_rows(rows[i : i + 1], client_ids=[f"dev-{i}"])) for i in range(3)]
        >>> both = parts[2].merge(parts[0]).merge(parts[1])
        >>> both.client_ids, both.columns.median().tolist()
        (('dev-0', 'dev-1', 'dev-2'), [6])
        """
        if (self.layout, self.shifts) != (other.layout, other.shifts):
            raise InvalidBatchError(
                f"counts on the grids {self.shifts} and {other.shifts}, or of two layouts: merge those of one offer"
            )
        twice = set(self.client_ids) & set(other.client_ids)
        if twice:
            raise InvalidBatchError(
                f"{len(twice)} clients, {min(twice)!r} the first, are in both counts: each may be counted once"
            )
        if self.trace or other.trace:
            raise InvalidBatchError("counts that stages have acted on: merge first, then apply the stages to the whole")
        client_ids = tuple(sorted(self.client_ids + other.client_ids, key=str.encode))
        table = self.table.copy()
        passed = counts.add(table, other.table, len(client_ids))
        carries = np.sort(np.concatenate([self.carries, other.carries, passed]))
        return replace(self, table=table, carries=carries, client_ids=client_ids)

    @property
    def rows(self) -> NDArray[Any]:
        """Not there.

        Raises:
            InvalidBatchError: always; the rule that asks needs whole updates.
        """
        self._no_rows()

    @property
    def stored(self) -> NDArray[Any]:
        """Not there; as `rows`."""
        self._no_rows()

    @property
    def tiles(self) -> NDArray[np.int8]:
        """Not there; as `rows`."""
        self._no_rows()

    def by_columns(self, function: Callable[[NDArray[Any]], NDArray[np.float64]]) -> NDArray[np.float64]:  # noqa: ARG002
        """Not there; as `rows`."""
        self._no_rows()

    def with_means(self, members: NDArray[np.bool_], diagnostics: Diagnostics) -> UpdateBatch:  # noqa: ARG002
        """Not there; as `rows`."""
        self._no_rows()

    @property
    def origin(self) -> NDArray[np.float64]:
        """Not there; as `rows`."""
        self._no_rows()

    @property
    def claimed(self) -> tuple[int, ...]:
        """Not there; as `rows`."""
        self._no_rows()

    def _no_rows(self) -> NoReturn:
        raise InvalidBatchError(
            f"{self.n} updates are here as counts of their codes, and this rule needs the rows, of up to 512 clients at a "
            "time; use a rule that streams (`byzantiny list aggregators`: streams = counts)"
        )


AnyBatch: TypeAlias = UpdateBatch | UpdateCounts
"""What a rule by coordinate aggregates: rows, or how many of them hold each code."""
