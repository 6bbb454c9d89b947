"""Zeroing: take out updates whose norm is beyond a multiple of the median norm.

TensorFlow Federated, `tff.aggregators.zeroing_factory`, with the threshold of its `robust_aggregator` in mind: a
multiple of a robust quantile of the norms.
Differs from it: the row is dropped, so that rules which count rows count those that are left (TFF puts zeros in its
place, which pulls a mean to zero and votes for zero in a median); the quantile is this round's median, not an estimate
over rounds; the norm is L2, measured by the coordinator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from byzantiny.updates import Diagnostics, PipelineError, UpdateBatch, weighted_squared_norms
from byzantiny.updates.rules import RuleInfo, require_clients, require_f, require_real
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Zeroing:
    """Drop every row with `||x_i|| > z * median_j ||x_j||`, compared exactly; the median is the lower one for even n.

    At least the (n + 1) // 2 rows up to the median stay. With `f` declared, n >= 2f + 1 is required: then the median
    norm lies among the honest norms. It takes out what is long, not what lies: f liars with norms like the
    honest ones stay.

    >>> batch = UpdateBatch.from_rows(np.array([[3, 4], [6, 8], [127, 127]], dtype=np.int8))
    >>> left, _ = Zeroing(z=3, f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> left.row_ids, left.trace[-1].reasons[2]
    (('c00000', 'c00001'), 'norm 179.6 above 3 times the median norm 10.0')
    """

    z: float = 3.0
    f: int | None = None

    name: ClassVar[str] = "zeroing"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="zeroing",
        formula="drop x_i where ||x_i|| > z * median_j ||x_j||",
        limit="n >= 1; n >= 2f + 1 with f declared; int8 rows",
        breakdown="0 alone; the threshold: floor((n-1)/2) / n",
        cost="O(n d)",
        paper="TensorFlow Federated, tff.aggregators.zeroing_factory",
        keeps=frozenset({"exact", "permutation", "identity", "negation", "scale"}),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        meaning = "it multiplies the median norm, a number from 1"
        require_real(self.name, "z", self.z, meaning)
        if self.z < 1:
            raise PipelineError(f"zeroing: z is {self.z!r}; {meaning}")

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def rows_out(self, n: int) -> int:
        """The rows up to the median norm are sure to be left."""
        return (n + 1) // 2

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:  # noqa: ARG002
        """Return the rows that are left; the trace says who went, with which norm."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        squared = weighted_squared_norms(batch)
        middle = int(np.sort(squared)[(batch.n - 1) // 2])
        z = Fraction(self.z)
        # Python integers: z is any float, and its numerator squared leaves int64.
        limit = z.numerator**2 * middle // z.denominator**2
        kept = np.array([norm <= limit for norm in squared.tolist()], dtype=np.bool_)
        norms = np.sqrt(squared.astype(np.float64))
        diagnostics = Diagnostics(
            self.name,
            kept=kept,
            score=norms,
            reasons=tuple(
                "" if stays else f"norm {norm:.1f} above {self.z:g} times the median norm {math.sqrt(middle):.1f}"
                for stays, norm in zip(kept, norms, strict=True)
            ),
            details={"dropped_rows": float(np.count_nonzero(~kept)), "median_norm": math.sqrt(middle)},
        )
        return (batch.with_rows(batch.rows, diagnostics) if kept.all() else batch.select(kept, diagnostics)), state
