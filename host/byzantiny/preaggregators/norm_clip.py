"""Norm clipping: the coordinator's own bound on the length of an update, in integers.

Sun, Kairouz, Suresh, McMahan. Can you really backdoor federated learning? 2019, arXiv 1911.07963.
Differs from the paper: int8 codes in, int8 codes out, the factor a fraction of 4096 as on the device (SPEC 3);
no noise is added. The norm is measured here: a length the device reports is an attacker's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.preaggregators.base import apply_row_wise
from byzantiny.updates import (
    AnyBatch,
    Diagnostics,
    PipelineError,
    UpdateBatch,
    all_kept,
    rescaled_bound,
    weighted_squared_norms,
)
from byzantiny.updates.rules import RuleInfo, require_clients, require_exponent
from byzantiny_models.networks import Layout
from byzantiny_models.quantization import isqrt_ceil

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
        streams="rows",
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
        return apply_row_wise(self, batch, state, checked=True)  # codes only become smaller

    def part(self, batch: UpdateBatch, state: None) -> tuple[NDArray[np.int8], Diagnostics]:  # noqa: ARG002
        """Return some of a round's rows, clipped."""
        return clip_to(self.name, batch, self._bound(batch))

    def whole(self, diagnostics: Diagnostics, batch: AnyBatch, state: None) -> tuple[Diagnostics, None]:
        """Return the diagnostics with the number of rows that were clipped, and the bound."""
        require_clients(self.name, batch.n, self.min_clients, "n >= 1")
        return with_bound(diagnostics, self._bound(batch)), state

    def _bound(self, batch: AnyBatch) -> int:
        """The bound in steps of this round's grid."""
        if self.finest is None:
            return self.bound
        return rescaled_bound(self.bound, self.finest, min(batch.layout.exponents(batch.shifts)))


def clip_to(rule: str, batch: UpdateBatch, bound: int) -> tuple[NDArray[np.int8], Diagnostics]:
    """Return the codes scaled down to a bound in steps of e_min, and the diagnostics of the rule that asks.

    Tiles stay tiles, which the next stage walks as they are.
    """
    squared = weighted_squared_norms(batch)
    factors = np.full(batch.n, 1 << FACTOR_BITS, dtype=np.int32)
    beyond = np.flatnonzero(squared > bound**2)
    for i in beyond:
        factors[i] = (bound << FACTOR_BITS) // isqrt_ceil(int(squared[i]))
    codes: NDArray[np.int8] = kernels.scale_rows(batch.stored, factors) if len(beyond) else batch.stored
    return codes, clip_account(rule, squared, squared > bound**2, factors / (1 << FACTOR_BITS), str(bound))


def clip_account(
    rule: str, squared: NDArray[Any], beyond: NDArray[np.bool_], factors: NDArray[np.float64], limit: str
) -> Diagnostics:
    """Return the diagnostics of a rule that shortens the rows beyond a limit: norms, factors, a reason for each of them."""
    norms = np.sqrt(squared.astype(np.float64))
    reasons = tuple(f"norm {norm:.1f} above {limit}" if far else "" for norm, far in zip(norms, beyond, strict=True))
    return all_kept(rule, len(norms), score=norms, clipped=factors, reasons=reasons)


def with_bound(diagnostics: Diagnostics, bound: int, **details: float) -> Diagnostics:
    """Return the diagnostics of `clip_to` with their details; a row was clipped if its factor is below 1.

    That is exact: above the bound, `isqrt_ceil(N) >= bound + 1`, so that the factor is below 4096 / 4096.
    """
    clipped = 0 if diagnostics.clipped is None else np.count_nonzero(diagnostics.clipped < 1)
    return replace(diagnostics, details={"clipped_rows": float(clipped), "bound": float(bound)} | details)
