"""ARC, adaptive robust clipping: the longest rows are cut to the longest norm that is left.

Allouah, Guerraoui, Gupta, Jellouli, Rizk, Stephan. Adaptive gradient clipping for robust federated learning. ICLR 2025,
arXiv 2405.14432.
Differs from the paper: int8 codes in, int8 codes out, rounded to nearest with a factor that is a fraction of 4096, as
in the norm clip (ByzFL writes the clipped floats back into the caller's int8 array, which truncates them); float rows
stay float rows. A copy is clipped, never the caller's array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.preaggregators.norm_clip import FACTOR_BITS, clip_account
from byzantiny.updates import UpdateBatch, squared_norms
from byzantiny.updates.rules import RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class ARC:
    """Clip every row to the norm of the `k + 1`-th longest, `k = floor(2 f (n - f) / n)`: `x_i min(1, C / ||x_i||)`.

    Of int8 rows, squared norms and their order are exact integers; with N above `C^2` a code becomes `round(code c /
    4096)`, `c = floor(4096 C / sqrt(N))`. Rows as long as C are left alone, so ties need no rule.

    >>> batch = UpdateBatch.from_rows(np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]))
    >>> clipped, _ = ARC(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> clipped.rows.round(8).tolist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [4.41004009, 5.04004582, 5.67005155]]
    """

    f: int

    name: ClassVar[str] = "arc"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="arc",
        formula="x_i min(1, C / ||x_i||), C the (k+1)-th largest norm, k = floor(2 f (n - f) / n)",
        limit="n >= 2f + 1",
        breakdown="that of the rule behind it, below 1/2",
        cost="O(n d)",
        paper="Allouah et al., ICLR 2025, arXiv 2405.14432",
        keeps=frozenset({"exact", "permutation", "identity", "negation"}),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def rows_out(self, n: int) -> int:
        """As many as came in."""
        return n

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[UpdateBatch, None]:  # noqa: ARG002
        """Return the clipped rows; the trace says who was clipped, by which factor, from which norm."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        squared = squared_norms(batch)
        k = 2 * self.f * (batch.n - self.f) // batch.n
        limit = np.sort(squared)[batch.n - 1 - k]
        rows, factors = _clipped(batch, squared, limit)
        beyond, bound = squared > limit, math.sqrt(limit)
        account = clip_account(self.name, squared, beyond, factors, f"{bound:.1f}")
        details = {"clipped_rows": float(np.count_nonzero(beyond)), "bound": bound}
        return batch.with_rows(rows, replace(account, details=details), checked=True), state


def _clipped(batch: UpdateBatch, squared: NDArray[Any], limit: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the rows, tiles where there were tiles, and the factor of each."""
    beyond = np.flatnonzero(squared > limit)
    if not len(beyond):
        return batch.stored, np.ones(batch.n)
    if not batch.exact:
        factors = np.ones(batch.n)
        factors[beyond] = math.sqrt(limit) / np.sqrt(squared[beyond])
        return batch.rows * factors[:, None], factors
    parts = np.full(batch.n, 1 << FACTOR_BITS, dtype=np.int32)
    parts[beyond] = [math.isqrt((int(limit) << 2 * FACTOR_BITS) // square) for square in squared[beyond].tolist()]
    return kernels.scale_rows(batch.stored, parts), parts / (1 << FACTOR_BITS)
