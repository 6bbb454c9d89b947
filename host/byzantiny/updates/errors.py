"""The errors of aggregation: one family, each naming the value, the limit and the remedy."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class AggregationError(ByzantinyError):
    """Aggregation cannot give the result it promises; in a live round the round closes as `no-aggregate`."""


class InvalidBatchError(AggregationError):
    """The updates are not a batch: type, range, shape, ids or layout."""


class BeyondLimitError(AggregationError):
    """A rule was asked to work beyond its breakdown point, or with fewer clients than it needs."""


class PipelineError(AggregationError):
    """A defence that cannot be built: an unknown rule, an unknown parameter, stages out of order."""
