"""Norm clipping: the coordinator's own bound on the length of an update, in integers.

Sun, Kairouz, Suresh, McMahan. Can you really backdoor federated learning? 2019, arXiv 1911.07963.
Differs from the paper: int8 codes in, int8 codes out, the factor a fraction of 4096 as on the device (SPEC 3);
no noise is added. The norm is measured here: a length the device reports is an attacker's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.updates import Diagnostics, PipelineError, UpdateBatch, rescaled_bound, weighted_squared_norms
from byzantiny.updates.rules import RuleInfo, require_clients, require_exponent
from byzantiny_models.networks import Layout
from byzantiny_models.quantization import div_half_away, isqrt_ceil

FACTOR_BITS = 12
"""Fractional bits of the clip factor, as on the device."""


@dataclass(frozen=True, slots=True)
class NormClip:
    """Scale every row longer than `bound` down to it: `x * min(1, bound / ||x||)`, rounded half away from zero.

    With N the squared norm in steps of e_min: if `N > bound^2`, `c = (bound << 12) // isqrt_ceil(N)` and every code
    becomes `round(code * c / 4096)`. A clipped row's norm is at most `bound` plus what the rounding adds: half a
    code in each coordinate. With `finest` given, `bound` counts steps of 2^finest and keeps its real length on any grid:
    on this one it is `ceil(bound 2^(finest - e_min))` steps. An experiment gives that of its first grid.

    >>> batch = UpdateBatch.from_rows(np.array([[3, 4], [30, -40]], dtype=np.int8))
    >>> clipped, _ = NormClip(bound=5).apply(batch, None, rng=np.random.default_rng(0))
    >>> clipped.rows.tolist(), clipped.trace[-1].clipped.tolist()
    ([[3, 4], [3, -4]], [1.0, 0.099853515625])
    """

    bound: int
    finest: int | None = None

    name: ClassVar[str] = "norm-clip"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="norm-clip",
        formula="x_i * min(1, bound / ||x_i||)",
        limit="n >= 1; int8 rows",
        breakdown="0 alone; bounds what one client adds to a sum",
        cost="O(n d)",
        paper="Sun et al., 2019, arXiv 1911.07963",
        keeps=frozenset({"exact", "permutation", "negation"}),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.bound, int) or isinstance(self.bound, bool) or self.bound < 1:
            raise PipelineError(f"norm-clip: bound is {self.bound!r}; it is in grid steps, an integer from 1")
        require_exponent(self.name, self.finest)

    @property
    def min_clients(self) -> int:
        """One."""
        return 1

    def rows_out(self, n: int) -> int:
        """As many as came in."""
        return n

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:  # noqa: ARG002
        """Return the clipped rows; the trace says who was clipped, by which factor, from which norm."""
        require_clients(self.name, batch.n, self.min_clients, "n >= 1")
        bound = self.bound
        if self.finest is not None:
            bound = rescaled_bound(bound, self.finest, min(batch.layout.exponents(batch.shifts)))
        rows, diagnostics = clip_to(self.name, batch, bound, weighted_squared_norms(batch))
        return batch.with_rows(rows, diagnostics), state


def clip_to(
    rule: str, batch: UpdateBatch, bound: int, squared: NDArray[np.int64], **details: float
) -> tuple[NDArray[np.int8], Diagnostics]:
    """Return the rows scaled down to a bound, given their squared norms, and the diagnostics of the rule that asks."""
    factors = np.full(batch.n, 1 << FACTOR_BITS, dtype=np.int64)
    rows = batch.rows
    beyond = np.flatnonzero(squared > bound**2)
    if len(beyond):
        rows = rows.copy()
    for i in beyond:
        factors[i] = (bound << FACTOR_BITS) // isqrt_ceil(int(squared[i]))
        # int64 said aloud: NumPy 1 would take int8 times a small scalar for int8 or int16
        rows[i] = div_half_away(rows[i].astype(np.int64) * factors[i], 1 << FACTOR_BITS)
    norms = np.sqrt(squared.astype(np.float64))
    diagnostics = Diagnostics(
        rule,
        kept=np.ones(batch.n, np.bool_),
        score=norms,
        clipped=factors / (1 << FACTOR_BITS),
        reasons=tuple(
            f"norm {norm:.1f} above {bound}" if square > bound**2 else ""
            for norm, square in zip(norms, squared, strict=True)
        ),
        details={"clipped_rows": float(len(beyond)), "bound": float(bound)} | details,
    )
    return rows, diagnostics
