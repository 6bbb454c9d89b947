"""What a screen is: it removes or down-weights clients, and says why."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from byzantiny.updates import UpdateBatch
from byzantiny.updates.rules import RuleInfo, State
from byzantiny_models.networks import Layout


class Screen(Protocol):
    """A frozen dataclass like an aggregator; it removes rows with `UpdateBatch.select`, never mixes them.

    A removed client stays in `client_ids` and has its reason in the trace.
    """

    name: ClassVar[str]
    info: ClassVar[RuleInfo]

    @property
    def min_clients(self) -> int:
        """The fewest rows the screen accepts."""
        ...

    def rows_out(self, n: int) -> int:
        """Return how many rows are sure to be left of n."""
        ...

    def init(self, layout: Layout) -> State:
        """Return the state before the first round; None for a screen that keeps none."""
        ...

    def apply(self, batch: UpdateBatch, state: State, rng: np.random.Generator) -> tuple[UpdateBatch, State]:
        """Return the rows that stay, the screen's diagnostics last in the trace, and the next state.

        Raises:
            AggregationError: fewer rows than `min_clients`, or nobody left.
        """
        ...
