"""Bulyan: rows chosen one after the other by Krum, then by coordinate the mean of the values around their median.

El Mhamdi, Guerraoui, Rouault. The hidden vulnerability of distributed learning in Byzantium. ICML 2018,
arXiv 1802.07927.
Differs from the paper: nothing; it leaves open what Krum means once fewer than f + 3 rows are left (here one
neighbour, as in Flower), and ties (here the lowest index; of two values as near to the median the lower).
Peers: Flower's first Bulyan iterates as the paper does, its new one and CRYPTO-KU's take the theta best scores at
once, FLPoison's sets beta = theta, so that its second phase does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.updates import Aggregate, AnyAggregate, Diagnostics, FloatAggregate, UpdateBatch, squared_distances
from byzantiny.updates.rules import Bound, Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Bulyan:
    """Return, by coordinate, the mean of the `beta` values nearest to the median of `theta` rows chosen by Krum.

    `theta = n - 2f`: that many times, the row of the lowest Krum score among the r rows left (sum of squared distances
    to its `max(1, r - f - 2)` nearest) is moved to the selection. `beta = theta - 2f`. Exact for int8 rows: integers
    over beta, distances to the median compared doubled. Where one neighbour is left, rows nearest to each other tie, and
    the lowest index goes first: the order of the ids can matter.

    >>> rows = [[10, -3], [12, -5], [9, -4], [11, -2], [13, -6], [12, -4], [-38, 63]]
    >>> batch = UpdateBatch.from_rows(np.array(rows, dtype=np.int8))
    >>> aggregate, _ = Bulyan(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.diagnostics.kept.tolist()
    ([33, -13], 3, [True, True, True, True, False, True, False])
    """

    f: int

    name: ClassVar[str] = "bulyan"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="bulyan",
        formula="mean of the n - 4f values nearest to the median of n - 2f rows chosen by Krum, per coordinate",
        limit="n >= 4f + 3",
        breakdown="f / n as declared, below 1/4",
        cost="O(n^2 d + n^3)",
        paper="El Mhamdi et al., ICML 2018, arXiv 1802.07927",
        keeps=frozenset({"exact", "identity", "translation", "scale", "mean"}),
        hull_steps=0,
        hull_spread=Bound("f / (n - 4f)", lambda n, f: f / (n - 4 * f)),
        kappa=Kappa(
            "(sqrt(k) + sqrt((n - f) / (n - 4f) (1 + k)))^2, k the median's of n - 2f", kappas.OURS, kappas.bulyan
        ),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`4f + 3`."""
        return 4 * self.f + 3

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the aggregate; a row's score is the one it was chosen by, or the last it had."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 4f + 3")
        theta = batch.n - 2 * self.f
        beta = theta - 2 * self.f
        kept, scores = kernels.choose_by_krum(squared_distances(batch), self.f, theta)
        diagnostics = Diagnostics(
            self.name,
            kept=kept,
            score=scores.astype(np.float64),
            details={"theta": float(theta), "beta": float(beta)},
        )
        if not batch.exact:
            return FloatAggregate(kernels.float_nearest_sum(batch.rows[kept], 2 * self.f) / beta, diagnostics), state
        tiles = np.ascontiguousarray(batch.tiles[:, kept])
        total = kernels.nearest_to_median_sum(tiles, batch.d, 2 * self.f)
        return Aggregate(total, np.int64(beta), diagnostics), state
