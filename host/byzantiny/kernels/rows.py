"""The kernels that change rows of codes: C where a library is loaded, NumPy where none is, the same integers."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels import native
from byzantiny.kernels.bindings.rows import Rows
from byzantiny.kernels.reference import rows as reference


def scale_rows(stored: NDArray[np.int8], factors: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return rows or tiles with client i's codes times `factors[i] / 4096`, rounded half away from zero.

    `factors` are in 0 .. 4096; 4096 leaves a row as it is.

    Raises:
        KernelError: another number of factors than rows, or one outside 0 .. 4096.

    >>> scale_rows(np.array([[3, -3], [101, -101]], dtype=np.int8), np.array([4096, 2048])).tolist()
    [[3, -3], [51, -51]]
    """
    if factors.shape != (stored.shape[-2],) or factors.min() < 0 or factors.max() > 4096:
        raise native.KernelError(
            f"factors of shape {factors.shape} for {stored.shape[-2]} rows: give each row one of 0 .. 4096"
        )
    return _functions().scale_rows(stored, factors)


@lru_cache(maxsize=1)
def _native(library: native.Library | None) -> Rows | None:
    return None if library is None else Rows(library)


def _functions() -> Rows | ModuleType:
    functions = _native(native.select()[1])
    return reference if functions is None else functions
