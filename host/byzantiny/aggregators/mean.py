"""The mean: no defence, and the control every defence is measured against.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas. Communication-efficient learning of deep networks from
decentralized data. AISTATS 2017, arXiv 1602.05629.
Differs from the paper: clients weigh the same, because a sample count is an attacker's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, all_kept
from byzantiny.updates.rules import RuleInfo, require_clients
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Mean:
    """Return `sum_i x_i / n`: exact integers for int8 rows, a sum in a fixed order for float rows.

    It takes no `f`: one client moves it by 254 / n steps a coordinate, as far as the wire allows.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [4, 4], [7, 9]], dtype=np.int8))
    >>> aggregate, _ = Mean().apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.values.tolist()
    ([12, 15], 3, [4.0, 5.0])
    """

    name: ClassVar[str] = "mean"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="mean",
        formula="sum_i x_i / n",
        limit="n >= 1; tolerates f = 0",
        breakdown="0",
        cost="O(n d)",
        streams="counts",
        paper="McMahan et al., AISTATS 2017, arXiv 1602.05629",
        keeps=frozenset({"exact", "permutation", "identity", "translation", "negation", "scale", "mean", "convex"}),
        kappa=kappas.NONE_WITH_LIARS,
    )

    @property
    def min_clients(self) -> int:
        """One."""
        return 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean of the rows."""
        require_clients(self.name, batch.n, self.min_clients, "n >= 1")
        diagnostics = all_kept(self.name, batch.n, weight=np.full(batch.n, 1 / batch.n))
        if batch.exact:
            return Aggregate(batch.columns.column_sum(), np.int64(batch.n), diagnostics), state
        return FloatAggregate(batch.by_columns(kernels.float_column_sum) / batch.n, diagnostics), state
