"""Updates: the batch a rule reads, the aggregate it returns, and what every stage did to each client."""

from __future__ import annotations

from byzantiny.updates.aggregate import Aggregate, AnyAggregate, Diagnostics, FloatAggregate, all_kept, round_half_away
from byzantiny.updates.batch import UpdateBatch
from byzantiny.updates.buffer import UpdateBuffer
from byzantiny.updates.checks import CODE_LIMIT, FLOAT_LIMIT
from byzantiny.updates.columns import Columns
from byzantiny.updates.counts import AnyBatch, UpdateCounts
from byzantiny.updates.counts_buffer import CountsBuffer
from byzantiny.updates.counts_codec import decode_counts, encode_counts
from byzantiny.updates.distances import (
    squared_distances,
    squared_distances_to,
    squared_distances_to_row,
    squared_norms,
)
from byzantiny.updates.errors import AggregationError, BeyondLimitError, InvalidBatchError, PipelineError
from byzantiny.updates.norms import rescaled_bound, weighted_squared_norms
from byzantiny.updates.quantize import quantize_rows
from byzantiny.updates.steps import Steps, common_scale
from byzantiny_models.networks import Layout, TensorSpec

__all__ = [
    "CODE_LIMIT",
    "FLOAT_LIMIT",
    "Aggregate",
    "AggregationError",
    "AnyAggregate",
    "AnyBatch",
    "BeyondLimitError",
    "Columns",
    "CountsBuffer",
    "Diagnostics",
    "FloatAggregate",
    "InvalidBatchError",
    "Layout",
    "PipelineError",
    "Steps",
    "TensorSpec",
    "UpdateBatch",
    "UpdateBuffer",
    "UpdateCounts",
    "all_kept",
    "common_scale",
    "decode_counts",
    "encode_counts",
    "quantize_rows",
    "rescaled_bound",
    "round_half_away",
    "squared_distances",
    "squared_distances_to",
    "squared_distances_to_row",
    "squared_norms",
    "weighted_squared_norms",
]
