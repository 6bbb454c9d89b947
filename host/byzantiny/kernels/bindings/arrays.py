"""What every binding checks before it hands an address to C."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.native import KernelError


def codes_shape(stored: NDArray[Any]) -> tuple[int, int, int]:
    """Return (blocks, n, width) of tiles, or of (n, d) rows as one block of width d.

    Raises:
        KernelError: anything else than contiguous int8.
    """
    if stored.dtype != np.int8 or not stored.flags.c_contiguous:
        raise KernelError(f"codes of {stored.dtype}, contiguous {stored.flags.c_contiguous}: need contiguous int8")
    blocks, n, width = stored.shape if stored.ndim == 3 else (1, *stored.shape)
    return blocks, n, width
