"""A round of more clients than are kept in memory: each update goes through the stages as it arrives, and is counted.

The model is the same, byte for byte: a stage that makes each row of that row alone makes the same rows of parts of a
round, and an aggregator by coordinate gets the same integers from counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from byzantiny.preaggregators import RowWise
from byzantiny.updates import CountsBuffer, Diagnostics, Layout, UpdateBatch, UpdateCounts
from byzantiny.updates.rules import State

STREAM_ABOVE: Final = 512
"""Clients up to which rows take no more memory than counts, and a fifth of the time: 512 bytes a coordinate."""


@dataclass(frozen=True, eq=False)
class StreamedRound:
    """A round's updates after the stages, counted, and what each stage did to each row, in the order of the counts."""

    counts: UpdateCounts
    rowwise: tuple[Diagnostics, ...]

    @property
    def layout(self) -> Layout:
        """The layout of the counts."""
        return self.counts.layout

    @property
    def shifts(self) -> tuple[int, ...]:
        """The grid of the counts."""
        return self.counts.shifts

    def concluded(self, stages: Sequence[RowWise], carried: Sequence[State]) -> tuple[UpdateCounts, list[State]]:
        """Return the counts with the stages' diagnostics of the whole round as their trace, and what the stages carry on.

        Raises:
            AggregationError: fewer rows than a stage needs.
        """
        trace, following = [], []
        for stage, state, diagnostics in zip(stages, carried, self.rowwise, strict=True):
            whole, state = stage.whole(diagnostics, self.counts, state)
            trace.append(whole)
            following.append(state)
        return replace(self.counts, trace=tuple(trace)), following


class RoundBuffer(Protocol):
    """Where a coordinator puts a round's updates as they come; in rows or in counts is the federation's choice."""

    @property
    def count(self) -> int:
        """The number of updates that came."""
        ...

    def put(self, client_id: str, codes: NDArray[np.int8], claimed: int | None = None) -> None:
        """Take one client's codes.

        Raises:
            InvalidBatchError: an update that validation must refuse.
        """
        ...

    def batch(self) -> UpdateBatch | StreamedRound:
        """Seal the buffer and return what `Federation.apply` takes.

        Raises:
            AggregationError: nothing came, or a stage cannot do its part.
        """
        ...


class StreamBuffer:
    """Counts updates behind the stages of a pipeline that streams; `carried` is what the stages carry into this round.

    >>> from byzantiny.preaggregators import NormClip
    >>> from byzantiny.updates import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    >>> buffer = StreamBuffer([NormClip(bound=5)], [None], layout, (4,), ["dev-1", "dev-2"])
    >>> buffer.put("dev-2", np.array([30, -40], dtype=np.int8))
    >>> buffer.put("dev-1", np.array([1, 2], dtype=np.int8))
    >>> round_ = buffer.batch()
    >>> round_.counts.columns.column_sum().tolist(), round_.rowwise[0].clipped.tolist()
    ([4, -2], [1.0, 0.099853515625])
    """

    def __init__(
        self,
        stages: Sequence[RowWise],
        carried: Sequence[State],
        layout: Layout,
        shifts: Sequence[int],
        cohort: Sequence[str],
    ) -> None:
        self._stages = tuple(zip(stages, carried, strict=True))
        self._ids: list[str] = []
        self._parts: list[list[Diagnostics]] = [[] for _ in stages]
        self._counts = CountsBuffer(layout, shifts, cohort, self._stage if stages else None)

    def put(self, client_id: str, codes: NDArray[np.int8], claimed: int | None = None) -> None:
        """As `RoundBuffer.put`."""
        self._counts.put(client_id, codes, claimed)

    @property
    def count(self) -> int:
        """The number of updates that came."""
        return self._counts.count

    def batch(self) -> StreamedRound:
        """As `RoundBuffer.batch`."""
        counts = self._counts.batch()
        order = np.array(sorted(range(len(self._ids)), key=lambda i: self._ids[i].encode()), dtype=np.int64)
        return StreamedRound(counts, tuple(Diagnostics.joined(parts, order) for parts in self._parts))

    def _stage(self, batch: UpdateBatch) -> NDArray[np.int8]:
        """Put some rows through the stages, and remember whose they were and what was done to them."""
        self._ids += batch.client_ids
        rows = batch.stored
        for place, ((stage, state), parts) in enumerate(zip(self._stages, self._parts, strict=True)):
            if place:
                batch = batch.with_rows(rows, self._parts[place - 1][-1])
            rows, diagnostics = stage.part(batch, state)
            parts.append(diagnostics)
        return rows
