"""The kernels of distances and subsets of rows of codes: C where a library is loaded, NumPy where none is; exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.geometry import Geometry
from byzantiny.kernels.reference import geometry as reference
from byzantiny.kernels.reference.geometry import inner_products, subset_sums

__all__ = ["gram", "inner_products", "subset_sums"]


def gram(stored: NDArray[np.int8], slices: Sequence[slice], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `sum_t weights[t] X_t X_t^T`, int64 (n, n), over slices t of the coordinates; the caller bounds the sum.

    >>> gram(np.array([[3, 4], [1, -2]], dtype=np.int8), [slice(0, 1), slice(1, 2)], np.array([1, 16])).tolist()
    [[265, -125], [-125, 65]]
    """
    return _functions().gram(stored, slices, weights)


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Geometry | None:
    return None if library is None else Geometry(library)


def _functions() -> Geometry | ModuleType:
    functions = _native(native.select()[1])
    return reference if functions is None else functions
