"""What a card says of streaming: from counts, or from parts of a round, a rule makes what it makes of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from byzantiny.federation.streaming import StreamBuffer
from byzantiny.preaggregators import RowWise
from byzantiny.testing.batches import LAYOUT, batch_of, batches, content, generator, stored
from byzantiny.testing.promises import hold
from byzantiny.updates import AggregationError, UpdateBatch, UpdateCounts

_MORE_THAN_A_PART = 67
"""Rows that do not come in one part."""


def check_streaming(rule: Any) -> None:
    """Check that a rule streams as its card says, or refuses counts if it says that it does not."""
    row_wise = isinstance(rule, RowWise)
    hold(row_wise == (rule.info.streams == "rows"), rule.name, "streaming", f"the card says {rule.info.streams!r}")
    for batch in _batches(rule.min_clients):
        if row_wise:
            _check_parts(rule, batch)
        else:
            _check_counts(rule, batch)


def _check_counts(rule: Any, batch: UpdateBatch) -> None:
    state = rule.init(LAYOUT)
    try:
        counted, following = rule.apply(UpdateCounts.of(batch), state, rng=generator())
    except AggregationError as error:
        hold(rule.info.streams == "no", rule.name, "streaming", f"it refuses counts: {error}")
        return
    hold(rule.info.streams == "counts", rule.name, "streaming", "the card says no, and it aggregates counts")
    expected, next_expected = rule.apply(batch, state, rng=generator())
    hold(content(counted) == content(expected), rule.name, "streaming", "another aggregate or account from counts")
    hold(stored(following) == stored(next_expected), rule.name, "streaming", "another state from counts")


def _check_parts(rule: Any, batch: UpdateBatch) -> None:
    state = rule.init(LAYOUT)
    expected, next_expected = rule.apply(batch, state, rng=generator())
    buffer = StreamBuffer([rule], [state], LAYOUT, batch.shifts, batch.client_ids)
    for i in generator().permutation(batch.n).tolist():
        buffer.put(batch.client_ids[i], batch.rows[i])
    counts, (following,) = buffer.batch().concluded([rule], [state])
    same_rows = np.array_equal(counts.table, UpdateCounts.of(expected).table)
    hold(same_rows, rule.name, "streaming", "other rows of parts of a round")
    same_account = content(counts.trace[-1]) == content(expected.trace[-1])
    hold(same_account, rule.name, "streaming", "another account of parts of a round")
    hold(stored(following) == stored(next_expected), rule.name, "streaming", "another state of parts of a round")


def _batches(least: int) -> Iterator[UpdateBatch]:
    yield from batches(least)
    lengths = generator().integers(0, 7, (_MORE_THAN_A_PART + least, 1))
    yield batch_of(generator().integers(-127, 128, (len(lengths), LAYOUT.d)) >> lengths)
