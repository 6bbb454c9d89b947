"""What a pre-aggregator is: rows in, rows out, and what it did to every row."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from byzantiny.updates import UpdateBatch
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
