"""The batches that rules are tried on, and how results are compared byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation import ServerState
from byzantiny.updates import (
    Aggregate,
    AnyAggregate,
    Diagnostics,
    FloatAggregate,
    Layout,
    TensorSpec,
    UpdateBatch,
    UpdateBuffer,
)

LAYOUT = Layout((TensorSpec("kernel", (5, 13), "int16", 14), TensorSpec("bias", (5,), "int32", 12)))
"""70 coordinates, two formats: one block of columns and a bit."""

SHIFTS = (5, 3)
"""Both tensors in steps of 2^-9."""

COARSE_BIAS = (5, 5)
"""A bias in steps of 2^-7: a code of it counts fourfold in a length."""


def generator(seed: int = 7) -> np.random.Generator:
    """Return the generator that every check starts from."""
    return np.random.default_rng(seed)


def batch_of(rows: NDArray[Any], layout: Layout = LAYOUT, shifts: Sequence[int] = SHIFTS) -> UpdateBatch:
    """Return a batch of (n, d) rows; numbers other than float64 become codes."""
    rows = np.asarray(rows)
    return UpdateBatch.from_rows(rows if rows.dtype == np.float64 else rows.astype(np.int8), layout, shifts)


def buffered(batch: UpdateBatch) -> UpdateBatch:
    """Return the same updates as a round stores them: in tiles, put in backwards."""
    buffer = UpdateBuffer(batch.layout, batch.shifts, batch.client_ids)
    for client_id, row in list(zip(batch.client_ids, batch.rows, strict=True))[::-1]:
        buffer.put(client_id, row)
    return buffer.batch()


def batches(least: int) -> Iterator[UpdateBatch]:
    """Yield batches of `least` rows and more: any codes, codes full of ties, and with a coarser tensor."""
    rng = generator()
    for n in (least, least + 1, least + 8):
        yield batch_of(rng.integers(-127, 128, (n, LAYOUT.d)))
        yield batch_of(rng.choice(np.array([-127, 0, 127]), (n, LAYOUT.d)))
        yield batch_of(rng.integers(-127, 128, (n, LAYOUT.d)), shifts=COARSE_BIAS)


def stored(state: Any) -> bytes:
    """Return a stage's state as the ledger stores it. Raises AggregationError for what it cannot store."""
    return ServerState(0, np.zeros(1, dtype=np.int32), (state,)).to_bytes()


def restored(blob: bytes) -> Any:
    """Return the state that `stored` wrote."""
    return ServerState.from_bytes(blob).stages[0]


def content(result: AnyAggregate | UpdateBatch | Diagnostics) -> tuple[Any, ...]:
    """Return all that a result says as a value that equals another one only byte by byte."""
    if isinstance(result, Diagnostics):
        return tuple(_bytes(getattr(result, field.name)) for field in fields(result))
    if isinstance(result, UpdateBatch):
        trace = tuple(map(content, result.trace))
        return (_bytes(result.rows), _bytes(result.origin), result.client_ids, result.shifts, trace, result.claimed)
    if isinstance(result, Aggregate):
        return (_bytes(result.numerator), _bytes(np.asarray(result.denominator)), content(result.diagnostics))
    if isinstance(result, FloatAggregate):
        return (_bytes(result.values), content(result.diagnostics))
    return (_bytes(result),)


def _bytes(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value
