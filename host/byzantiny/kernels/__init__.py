"""The hot loops over int8 codes: arrays in, arrays out; C when its library loads, NumPy otherwise, bit-identical.

One module per family (`columns`, `counts`, `geometry`, `rows`, `floats`) decides which of the two runs: `bindings` calls the C of
`csrc`, `reference` is NumPy.
"""

from __future__ import annotations

from byzantiny.kernels import native
from byzantiny.kernels.columns import (
    column_sum,
    median,
    median_counts,
    nearest_sum,
    nearest_to_median_sum,
    put_row,
    sign_sum,
    squared_norms,
    to_tiles,
    trimmed_sum,
)
from byzantiny.kernels.floats import (
    float_column_sum,
    float_nearest_sum,
    float_row_sum,
    float_squared_distances,
    float_squared_distances_to,
    float_weighted_sum,
)
from byzantiny.kernels.geometry import (
    center_distances,
    gram,
    inner_products,
    scaled_weighted_sum,
    subset_mean_blocks,
    subset_means,
    weighted_sum,
)
from byzantiny.kernels.native import Backend, KernelError
from byzantiny.kernels.nearest import choose_by_krum, nearest_members, smallest_sums
from byzantiny.kernels.rows import scale_rows
from byzantiny.kernels.runs import weighted_runs
from byzantiny.kernels.tiles import empty_tiles, from_tiles


def backend() -> Backend:
    """Return which kernels run in this process, and why.

    Raises:
        KernelError: a stale library, or an override this machine cannot follow.

    >>> backend().variant in ("numpy", "generic", "v2", "v3", "v4", "icelake")
    True
    """
    return native.select()[0]


__all__ = [
    "Backend",
    "KernelError",
    "backend",
    "center_distances",
    "choose_by_krum",
    "column_sum",
    "empty_tiles",
    "float_column_sum",
    "float_nearest_sum",
    "float_row_sum",
    "float_squared_distances",
    "float_squared_distances_to",
    "float_weighted_sum",
    "from_tiles",
    "gram",
    "inner_products",
    "median",
    "median_counts",
    "nearest_members",
    "nearest_sum",
    "nearest_to_median_sum",
    "put_row",
    "scale_rows",
    "scaled_weighted_sum",
    "sign_sum",
    "smallest_sums",
    "squared_norms",
    "subset_mean_blocks",
    "subset_means",
    "to_tiles",
    "trimmed_sum",
    "weighted_runs",
    "weighted_sum",
]
