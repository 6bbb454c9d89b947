"""What an aggregator is: many rows in, one aggregate out, and what it did to every row."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from byzantiny.updates import AnyAggregate, UpdateBatch
from byzantiny.updates.rules import RuleInfo, State
from byzantiny_models.networks import Layout


class Aggregator(Protocol):
    """A frozen dataclass whose fields are the rule's parameters, named as in the paper; pure, its state explicit."""

    name: ClassVar[str]
    info: ClassVar[RuleInfo]

    @property
    def min_clients(self) -> int:
        """The fewest rows the rule accepts."""
        ...

    def init(self, layout: Layout) -> State:
        """Return the state before the first round; None for a rule that keeps none."""
        ...

    def apply(self, batch: UpdateBatch, state: State, rng: np.random.Generator) -> tuple[AnyAggregate, State]:
        """Return the aggregate and the next state.

        Raises:
            AggregationError: fewer rows than `min_clients`, or anything else that would break the rule's promise.
        """
        ...
