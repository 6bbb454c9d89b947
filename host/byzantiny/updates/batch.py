"""The updates of one round as a value: rows of int8 codes (or float64 after a pre-aggregator), frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.aggregate import Diagnostics
from byzantiny.updates.checks import check_grid, check_ids, check_type, check_values
from byzantiny.updates.columns import Columns, TileColumns
from byzantiny.updates.errors import InvalidBatchError
from byzantiny_models.networks import Layout, TensorSpec

_BLOCK = 1 << 17
"""Numbers of a block of columns: 1 MB of float64, which stays in the second-level cache."""

_LEAST_COLUMNS = 64
"""A block's columns are a multiple of this: what the kernels of means walk at a time."""


@dataclass(frozen=True, eq=False)
class UpdateBatch:
    """One update per row, in the order of the client ids (bytewise); pure data, read-only.

    `stored` is (n, d) rows or, from an `UpdateBuffer`, (blocks, n, width) tiles; `rows` and `tiles` give either.
    After a mixing pre-aggregator rows are no longer clients: `mixing` then holds each row's weights over
    `client_ids` (None: row i is client i), and `trace` what each stage did, by client. With `members`, (rows, n) booleans, a
    row is the mean of its members among the n stored rows of codes, made when it is read: `blocks` walks such rows column by
    column without ever holding all of them, which would take eight times the room of the codes. `claimed` is how many samples
    each client says it has: the client's own word, for rules that an experiment tells to take it. `checked` says that
    every value has been looked at before (an `UpdateBuffer` does when it comes); else all are read once more.

    Raises:
        InvalidBatchError: a type, range, shape, id or shift the rules could not trust.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [3, 4], [5, 7]], dtype=np.int8))
    >>> batch.n, batch.d, batch.client_ids, batch.rows.flags.writeable
    (3, 2, ('c00000', 'c00001', 'c00002'), False)
    """

    stored: NDArray[Any]
    layout: Layout
    shifts: tuple[int, ...]
    client_ids: tuple[str, ...]
    mixing: NDArray[np.float64] | None = None
    trace: tuple[Diagnostics, ...] = ()
    claimed: tuple[int, ...] | None = None
    members: NDArray[np.bool_] | None = None
    checked: InitVar[bool] = False

    def __post_init__(self, checked: bool) -> None:
        if self.n == 0:
            raise InvalidBatchError("a batch of 0 rows: at least 1 is needed; the round has no updates to aggregate")
        check_type(self.stored)
        if not checked:
            check_values(self.stored)
        width = self.stored.size // int(self.stored.shape[-2])
        if width != self.d if self.stored.ndim == 2 else width < self.d:
            raise InvalidBatchError(
                f"updates of {width} coordinates: the layout has {self.layout.d}; use the layout of the round's offer"
            )
        check_ids(self.client_ids)
        check_grid(self.layout, self.shifts)
        expected = (self.n, len(self.client_ids))
        if (self.n, self.n) != expected if self.mixing is None else self.mixing.shape != expected:
            raise InvalidBatchError(
                f"{self.n} rows, {expected[1]} client ids, mixing "
                f"{None if self.mixing is None else self.mixing.shape}: need one id per row, or mixing {expected}"
            )
        if self.claimed is not None and len(self.claimed) != len(self.client_ids):
            raise InvalidBatchError(
                f"{len(self.claimed)} claimed sample counts for {len(self.client_ids)} clients; give one per client"
            )
        self._check_members()
        for array in (self.stored, self.mixing, self.members):
            if array is not None:
                array.setflags(write=False)

    def _check_members(self) -> None:
        if self.members is None:
            return
        of = int(self.stored.shape[-2])
        if self.stored.dtype != np.int8 or self.members.shape != (self.n, of) or not self.members.any(axis=1).all():
            raise InvalidBatchError(
                f"members {self.members.shape} of {of} rows of {self.stored.dtype}: need int8 codes, one boolean for each"
                " stored row, and at least 1 member a row"
            )

    @classmethod
    def from_rows(
        cls,
        rows: NDArray[Any],
        layout: Layout | None = None,
        shifts: Sequence[int] | None = None,
        client_ids: Sequence[str] | None = None,
    ) -> UpdateBatch:
        """Build a batch from (n, d) rows, int8 codes or float64; a writable array is copied.

        Without a layout the rows are one int16 tensor at shift 0. With client ids, the rows are put in their order.

        Raises:
            InvalidBatchError: as the class.

        >>> rows = np.array([[5], [7]], dtype=np.int8)
        >>> UpdateBatch.from_rows(rows, client_ids=["dev-b", "dev-a"]).rows.ravel().tolist()
        [7, 5]
        """
        if not isinstance(rows, np.ndarray) or rows.ndim != 2:
            raise InvalidBatchError(f"updates of shape {np.shape(rows)}: need an array of shape (n, d)")
        if rows.size == 0:
            raise InvalidBatchError(f"updates of shape {rows.shape}: need at least 1 row and 1 coordinate")
        check_type(rows)
        if client_ids is None:
            client_ids = [f"c{i:05d}" for i in range(len(rows))]
        if len(client_ids) != len(rows):
            raise InvalidBatchError(f"{len(client_ids)} client ids for {len(rows)} rows; give one per row")
        order = sorted(range(len(client_ids)), key=lambda i: client_ids[i].encode())
        if order != list(range(len(rows))):
            rows = rows[order]
        elif rows.flags.writeable or not rows.flags.c_contiguous:
            rows = rows.copy(order="C")
        if layout is None:
            layout = Layout((TensorSpec("update", (rows.shape[1],), "int16", 14),))
        return cls(
            stored=rows,
            layout=layout,
            shifts=tuple(shifts) if shifts is not None else (0,) * len(layout.tensors),
            client_ids=tuple(client_ids[i] for i in order),
        )

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.stored.shape[-2]) if self.members is None else len(self.members)

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.layout.d

    @property
    def exact(self) -> bool:
        """Whether the rows are int8 codes, so that integer rules apply."""
        return self.members is None and self.stored.dtype == np.int8

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows: int8 codes or float64."""
        return self.stored.dtype if self.members is None else np.dtype(np.float64)

    @cached_property
    def rows(self) -> NDArray[Any]:
        """The (n, d) rows, read-only."""
        if self.members is not None:
            return _frozen(kernels.subset_means(self.members, self._counts, self.stored, 0, self.d))
        if self.stored.ndim == 2:
            return self.stored
        return _frozen(kernels.from_tiles(self.stored, self.d))

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield (columns, the rows' values there) of all columns in order, some at a time: what rules by coordinate walk.

        >>> batch = UpdateBatch.from_rows(np.array([[1, 5], [3, 6]], dtype=np.int8))
        >>> [(columns.start, columns.stop, values.tolist()) for columns, values in batch.blocks()]
        [(0, 2, [[1, 5], [3, 6]])]
        """
        width = max(_LEAST_COLUMNS, _BLOCK // self.n // _LEAST_COLUMNS * _LEAST_COLUMNS)
        columns = [slice(start, min(start + width, self.d)) for start in range(0, self.d, width)]
        if self.members is None or "rows" in self.__dict__:
            yield from ((part, self.rows[:, part]) for part in columns)
            return
        means = kernels.subset_mean_blocks(self.members, self._counts, self.stored, (0, self.d), width)
        yield from zip(columns, means, strict=True)

    def by_columns(self, function: Callable[[NDArray[Any]], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return what a function makes of every block of columns, (n, some) values to (some,) numbers, as one array (d,).

        >>> batch = UpdateBatch.from_rows(np.array([[1.5, 5.0], [3.5, 6.0]]))
        >>> batch.by_columns(lambda values: values.max(axis=0)).tolist()
        [3.5, 6.0]
        """
        made = np.empty(self.d)
        for columns, values in self.blocks():
            made[columns] = function(values)
        return made

    @property
    def _counts(self) -> NDArray[np.float64]:
        assert self.members is not None
        return np.asarray(np.count_nonzero(self.members, axis=1), dtype=np.float64)

    @cached_property
    def tiles(self) -> NDArray[np.int8]:
        """The int8 codes as (blocks, n, width) tiles, read-only: what the kernels walk by column.

        Raises:
            InvalidBatchError: float rows, which have no tiles.
        """
        if not self.exact:
            raise InvalidBatchError(f"rows are {self.dtype}: tiles hold int8 codes; use `rows`")
        return self.stored if self.stored.ndim == 3 else _frozen(kernels.to_tiles(self.stored))

    @property
    def columns(self) -> Columns:
        """What rules by coordinate ask of the codes.

        Raises:
            InvalidBatchError: float rows: they have no exact order statistics.
        """
        if not self.exact:
            raise InvalidBatchError(f"rows are {self.dtype}: exact columns are of int8 codes; use `rows`")
        return TileColumns(self)

    @property
    def origin(self) -> NDArray[np.float64]:
        """The (rows, clients) weights that made the rows; the identity while rows are clients."""
        return np.eye(self.n) if self.mixing is None else self.mixing

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The client of each row, for rules that keep a history by client.

        Raises:
            InvalidBatchError: a row mixes clients.
        """
        if self.mixing is None:
            return self.client_ids
        if not (np.count_nonzero(self.mixing, axis=1) == 1).all():
            raise InvalidBatchError("rows mix several clients: no row ids; put the mixing stage after this rule")
        return tuple(self.client_ids[i] for i in np.argmax(self.mixing != 0, axis=1))

    def with_rows(
        self,
        rows: NDArray[Any],
        diagnostics: Diagnostics,
        mixing: NDArray[np.float64] | None = None,
        checked: bool = False,
    ) -> UpdateBatch:
        """Return the batch after a stage: its rows, its diagnostics (by input row) added to the trace.

        `mixing` holds the new rows' weights over this batch's rows; None: row i came from row i. Scaling a row
        does not change whose it is, so clip factors belong in the diagnostics, not here. `checked`: as of the class.
        """
        return replace(
            self,
            stored=np.ascontiguousarray(rows),
            members=None,
            mixing=self._mixed(mixing),
            trace=(*self.trace, diagnostics.for_clients(self.mixing)),
            checked=checked,
        )

    def with_means(self, members: NDArray[np.bool_], diagnostics: Diagnostics) -> UpdateBatch:
        """Return the batch after a stage that mixes: its rows are the means of `members`, (rows, n), of this batch's rows.

        Of codes they are exact, each rounded to float64 once, and are made when they are read; of float rows they are
        summed in the order of SPEC 4.

        >>> batch = UpdateBatch.from_rows(np.array([[1, 5], [4, 6]], dtype=np.int8))
        >>> members = np.array([[True, False], [True, True]])
        >>> batch.with_means(members, Diagnostics("mix", np.array([True, True]))).rows.tolist()
        [[1.0, 5.0], [2.5, 5.5]]
        """
        counts = np.count_nonzero(members, axis=1).astype(np.float64)[:, None]
        if not self.exact:
            rows = np.stack([kernels.float_column_sum(self.rows, mask) for mask in members])
            rows /= counts
            return self.with_rows(rows, diagnostics, members / counts)
        return self._with_members(members, diagnostics, members / counts)

    def _with_members(
        self, members: NDArray[np.bool_], diagnostics: Diagnostics, mixing: NDArray[np.float64]
    ) -> UpdateBatch:
        trace = (*self.trace, diagnostics.for_clients(self.mixing))
        return replace(
            self, members=members, mixing=self._mixed(mixing), trace=trace, checked=True
        )  # codes: looked at before

    def _mixed(self, mixing: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """The weights over the clients of rows with these weights over this batch's rows."""
        if mixing is None or self.mixing is None:
            return self.mixing if mixing is None else mixing
        return np.asarray(mixing @ self.mixing)

    def select(self, kept: NDArray[np.bool_], diagnostics: Diagnostics) -> UpdateBatch:
        """Return the batch with only the kept rows: how screening removes clients, who stay in `client_ids`.

        Raises:
            InvalidBatchError: nobody is kept.

        >>> batch = UpdateBatch.from_rows(np.array([[1], [9]], dtype=np.int8))
        >>> kept = np.array([True, False])
        >>> batch.select(kept, Diagnostics("outlier", kept)).origin.tolist()
        [[1.0, 0.0]]
        """
        weights = np.eye(self.n)[kept]
        if self.members is None:
            return self.with_rows(self.rows[kept], diagnostics, weights)
        return self._with_members(self.members[kept], diagnostics, weights)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
