"""What a pre-aggregator is: rows in, rows out, and what it did to every row."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from byzantiny.updates import AnyBatch, Diagnostics, UpdateBatch
from byzantiny.updates.rules import RuleInfo, State
from byzantiny_models.networks import Layout


class PreAggregator(Protocol):
    """A frozen dataclass like an aggregator; it passes on what it made with `UpdateBatch.with_rows`."""

    name: ClassVar[str]
    info: ClassVar[RuleInfo]

    @property
    def min_clients(self) -> int:
        """The fewest rows the rule accepts."""
        ...

    def rows_out(self, n: int) -> int:
        """Return how many rows it passes on when given n."""
        ...

    def init(self, layout: Layout) -> State:
        """Return the state before the first round; None for a rule that keeps none."""
        ...

    def apply(self, batch: UpdateBatch, state: State, rng: np.random.Generator) -> tuple[UpdateBatch, State]:
        """Return the batch it passes on, its diagnostics last in the trace, and the next state.

        Raises:
            AggregationError: fewer rows than `min_clients`, or anything else that would break the rule's promise.
        """
        ...


@runtime_checkable
class RowWise(Protocol):
    """A pre-aggregator that makes each row of that row, the grid and its state alone: it can be given a round in parts.

    Its card says `streams="rows"`, and its `apply` is `apply_row_wise`. What it carries on may depend on all rows, but
    only through their diagnostics.
    """

    def part(self, batch: UpdateBatch, state: State) -> tuple[NDArray[np.int8], Diagnostics]:
        """Return as many rows of codes as came, and their diagnostics without details.

        Raises:
            AggregationError: rows it cannot do this to.
        """
        ...

    def whole(self, diagnostics: Diagnostics, batch: AnyBatch, state: State) -> tuple[Diagnostics, State]:
        """Return the diagnostics of all rows with their details, and the next state; of `batch` n and the grid are read.

        Raises:
            AggregationError: fewer rows than `min_clients`.
        """
        ...


def apply_row_wise(rule: RowWise, batch: UpdateBatch, state: State, checked: bool = False) -> tuple[UpdateBatch, State]:
    """Return what a row-wise rule makes of a batch: the batch as the one part of a whole; `checked` as of the batch."""
    rows, diagnostics = rule.part(batch, state)
    diagnostics, state = rule.whole(diagnostics, batch, state)
    return batch.with_rows(rows, diagnostics, checked=checked or rows is batch.stored), state
