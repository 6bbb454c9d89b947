"""Rows as codes, for rules that read a code as a bin of the grid."""

from __future__ import annotations

import numpy as np

from byzantiny.updates import CODE_LIMIT, AnyBatch, Columns, InvalidBatchError, UpdateBatch


def code_columns(rule: str, batch: AnyBatch) -> Columns:
    """Return the columns of a batch's codes; float rows must hold nothing but codes.

    Raises:
        InvalidBatchError: a value between the steps, or beyond +-127: there is no bin to count it in.

    >>> code_columns("grouped-median", UpdateBatch.from_rows(np.array([[1.0], [0.5]])))
    Traceback (most recent call last):
    byzantiny.updates.errors.InvalidBatchError: grouped-median counts codes on the grid, and the rows hold 0.5, \
which is none; take out the mixing stage, or use median after it
    """
    if batch.exact:
        return batch.columns
    stray = (np.rint(batch.rows) != batch.rows) | (np.abs(batch.rows) > CODE_LIMIT)
    if stray.any():
        raise InvalidBatchError(
            f"{rule} counts codes on the grid, and the rows hold {batch.rows[stray][0]:g}, which is none; "
            "take out the mixing stage, or use median after it"
        )
    return UpdateBatch.from_rows(batch.rows.astype(np.int8), batch.layout, batch.shifts).columns
