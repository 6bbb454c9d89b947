"""An update: a client's change of the model as int8 codes on the grid that the coordinator announced.

Kin: FedPAQ (A. Reisizadeh et al., AISTATS 2020, arXiv 1909.13014). What differs: one power-of-two step per tensor, the
same for every client (a private scale would be the attacker's amplifier), saturation, and an integer L2 clip.
Normative: SPEC 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Layout
from byzantiny_models.quantization import isqrt_ceil, rounding_shift, saturate, stochastic_shift
from byzantiny_models.rng import Key, step_noise

MAX_L2_BOUND = 1 << 20
"""The L2 bound lies below: `B << 12` fits u32 on the device."""


def encode(
    layout: Layout, start: ArrayLike, local: ArrayLike, shifts: Sequence[int], l2_bound: int, key_codes: Key
) -> NDArray[np.int8]:
    """Return a client's update: the codes of `local - start` on the announced grid, int8 (d,).

    `D = local - start`, saturated to +-127 * 2^s per tensor; `N = sum 4^(e_t - e_min) nearest(D)^2`, nearest(D) =
    `(D + 2^(s-1)) >> s`; if `l2_bound` B > 0 and N > B^2: `c = (B << 12) // isqrt_ceil(N)`, `D = trunc(D c / 4096)`;
    codes = SR(D, s) with the noise of step 0 under `key_codes`. B counts steps of 2^e_min.

    Raises:
        LayoutError: shifts (0 .. 12 each) or models that do not fit the layout.
        InvalidValueError: l2_bound outside 0 .. 2^20 - 1.

    Source: SPEC 3 ("Device-side clip").

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    >>> encode(layout, [0, 0, 0], [64, -32, 9000], (5,), 0, (1, 2)).tolist()
    [2, -1, 127]
    >>> encode(layout, [0, 0, 0], [30, -40, 0], (0,), 25, (1, 2)).tolist()
    [15, -20, 0]
    """
    delta = clipped_change(layout, start, local, shifts, l2_bound)
    k0, k1 = key_codes
    noise = step_noise(0, k0, k1, layout.d)
    codes = np.empty(layout.d, dtype=np.int8)
    for where, shift in zip(layout.slices, shifts, strict=True):
        codes[where] = saturate(stochastic_shift(delta[where], shift, noise[where]), 127)
    return codes


def clipped_change(
    layout: Layout, start: ArrayLike, local: ArrayLike, shifts: Sequence[int], l2_bound: int
) -> NDArray[np.int64]:
    """Return what `encode` rounds: the change, saturated and clipped to the L2 bound, int64 (d,) in units of the masters.

    Raises:
        As `encode`.

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    >>> clipped_change(layout, [0, 0, 0], [30, -40, 9000], (5,), 0).tolist()
    [30, -40, 4064]
    """
    if not 0 <= l2_bound < MAX_L2_BOUND:
        raise InvalidValueError(f"l2_bound {l2_bound} is outside 0 .. {MAX_L2_BOUND - 1}; choose a smaller one")
    exponents = layout.exponents(shifts)
    delta = layout.check(local).astype(np.int64) - layout.check(start)
    norm = 0
    for where, shift, exponent in zip(layout.slices, shifts, exponents, strict=True):
        delta[where] = saturate(delta[where], 127 << shift)
        nearest = rounding_shift(delta[where], shift)
        norm += int(nearest @ nearest) << 2 * (exponent - min(exponents))
    if l2_bound and norm > l2_bound**2:
        c = (l2_bound << 12) // isqrt_ceil(norm)
        delta = np.sign(delta) * (np.abs(delta) * c >> 12)  # c < 4096, so the product stays below 2^31 in C
    return delta
