"""The updates of one round as a value: rows of int8 codes (or float64 after a pre-aggregator), frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates.aggregate import Diagnostics
from byzantiny.updates.columns import Columns, TileColumns
from byzantiny.updates.errors import InvalidBatchError
from byzantiny_models.errors import LayoutError
from byzantiny_models.networks import Layout, TensorSpec

CODE_LIMIT = 127
"""The largest magnitude of a code; -128 is not one (SPEC 3)."""

FLOAT_LIMIT = 2.0**200
"""The largest magnitude of a float row, in grid steps: squares of squared distances still fit float64, so no rule can
overflow. Stages make numbers of at most 127 of codes."""


@dataclass(frozen=True, eq=False)
class UpdateBatch:
    """One update per row, in the order of the client ids (bytewise); pure data, read-only.

    `stored` is (n, d) rows or, from an `UpdateBuffer`, (blocks, n, width) tiles; `rows` and `tiles` give either.
    After a mixing pre-aggregator rows are no longer clients: `mixing` then holds each row's weights over
    `client_ids` (None: row i is client i), and `trace` what each stage did, by client. `claimed` is how many samples
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
    checked: InitVar[bool] = False

    def __post_init__(self, checked: bool) -> None:
        if self.n == 0:
            raise InvalidBatchError("a batch of 0 rows: at least 1 is needed; the round has no updates to aggregate")
        _check_type(self.stored)
        if not checked:
            _check_values(self.stored)
        width = self.stored.size // self.n
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
        self.stored.setflags(write=False)
        if self.mixing is not None:
            self.mixing.setflags(write=False)

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
        _check_type(rows)
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
        return int(self.stored.shape[-2])

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.layout.d

    @property
    def exact(self) -> bool:
        """Whether the rows are int8 codes, so that integer rules apply."""
        return self.stored.dtype == np.int8

    @cached_property
    def rows(self) -> NDArray[Any]:
        """The (n, d) rows, read-only."""
        if self.stored.ndim == 2:
            return self.stored
        return _frozen(kernels.from_tiles(self.stored, self.d))

    @cached_property
    def tiles(self) -> NDArray[np.int8]:
        """The int8 codes as (blocks, n, width) tiles, read-only: what the kernels walk by column.

        Raises:
            InvalidBatchError: float rows, which have no tiles.
        """
        if not self.exact:
            raise InvalidBatchError(f"rows are {self.stored.dtype}: tiles hold int8 codes; use `rows`")
        return self.stored if self.stored.ndim == 3 else _frozen(kernels.to_tiles(self.stored))

    @property
    def columns(self) -> Columns:
        """What rules by coordinate ask of the codes.

        Raises:
            InvalidBatchError: float rows: they have no exact order statistics.
        """
        if not self.exact:
            raise InvalidBatchError(f"rows are {self.stored.dtype}: exact columns are of int8 codes; use `rows`")
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
        if mixing is not None and self.mixing is not None:
            mixing = mixing @ self.mixing
        return replace(
            self,
            stored=np.ascontiguousarray(rows),
            mixing=self.mixing if mixing is None else mixing,
            trace=(*self.trace, diagnostics.for_clients(self.mixing)),
            checked=checked,
        )

    def select(self, kept: NDArray[np.bool_], diagnostics: Diagnostics) -> UpdateBatch:
        """Return the batch with only the kept rows: how screening removes clients, who stay in `client_ids`.

        Raises:
            InvalidBatchError: nobody is kept.

        >>> batch = UpdateBatch.from_rows(np.array([[1], [9]], dtype=np.int8))
        >>> kept = np.array([True, False])
        >>> batch.select(kept, Diagnostics("outlier", kept)).origin.tolist()
        [[1.0, 0.0]]
        """
        return self.with_rows(self.rows[kept], diagnostics, np.eye(self.n)[kept])


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _check_type(rows: NDArray[Any]) -> None:
    if rows.dtype not in (np.int8, np.float64):
        raise InvalidBatchError(
            f"updates of type {rows.dtype}: need int8 codes, or float64 after a pre-aggregator; "
            "put real values on the grid with quantize_rows"
        )


def _check_values(stored: NDArray[Any]) -> None:
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
