"""The weighted mean: FedAvg with the coordinator's weights.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas. Communication-efficient learning of deep networks from
decentralized data. AISTATS 2017, arXiv 1602.05629.
Differs from the paper: weights are the coordinator's own integers, by client id, not what a client says it has: a
client that claims a thousand samples would otherwise be a thousand clients. To show that, `self_reported` takes the
client's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.updates import (
    Aggregate,
    AnyAggregate,
    BeyondLimitError,
    Diagnostics,
    FloatAggregate,
    PipelineError,
    UpdateBatch,
)
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """Return `sum_i w_i x_i / sum_i w_i` with integer weights by client id: exact for int8 rows.

    `default` is the weight of a client that `weights` leaves out; without it such a client raises, because a client
    must neither count nor be left out by accident. With `self_reported` the weights are the sample counts in the
    clients' manifests instead: an attack surface, for experiments about it.

    Raises (from `apply`): BeyondLimitError, for a client without a weight, or if all weights are 0.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 2], [5, -2]], dtype=np.int8), client_ids=["dev-1", "dev-2"])
    >>> rule = WeightedMean(weights={"dev-1": 3, "dev-2": 1})
    >>> aggregate, _ = rule.apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.values.tolist()
    ([8, 4], 4, [2.0, 1.0])
    """

    weights: Mapping[str, int] = field(default_factory=dict)
    default: int | None = None
    self_reported: bool = False

    name: ClassVar[str] = "weighted-mean"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="weighted-mean",
        formula="sum_i w_i x_i / sum_i w_i",
        limit="n >= 1; a weight for every client; tolerates f = 0",
        breakdown="0",
        cost="O(n d)",
        paper="McMahan et al., AISTATS 2017, arXiv 1602.05629",
        keeps=frozenset({"exact", "identity", "translation", "negation", "scale", "convex"}),
        kappa=Kappa("none: the mean's, and weights move it", kappas.OURS, kappas.unbounded),
    )

    def __post_init__(self) -> None:
        given = bool(self.weights) or self.default is not None
        if not isinstance(self.weights, Mapping) or self.self_reported is not (not given):
            raise PipelineError(
                f"weighted-mean: weights {self.weights!r}, default {self.default!r}, self_reported "
                f"{self.self_reported!r}; need weights by client id or a default, or else self_reported = true"
            )
        for client_id, weight in self.weights.items():
            require_count(self.name, f"the weight of {client_id!r}", weight)
        if self.default is not None:
            require_count(self.name, "default", self.default)

    @property
    def min_clients(self) -> int:
        """One."""
        return 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the weighted mean; a client of weight 0 is not kept."""
        require_clients(self.name, batch.n, self.min_clients, "n >= 1")
        weights = [self._weight_of(client_id, batch) for client_id in batch.row_ids]
        total = sum(weights)
        if not 0 < total < 1 << 55:  # times 127 it stays below the 2^62 of the server step
            raise BeyondLimitError(f"weighted-mean: weights that sum to {total}; need 1 .. 2^55; set other weights")
        diagnostics = Diagnostics(
            self.name, kept=np.array(weights) > 0, weight=np.array([weight / total for weight in weights])
        )
        if not batch.exact:
            values = kernels.float_weighted_sum(batch.rows, np.array(weights, dtype=np.float64)) / total
            return FloatAggregate(values, diagnostics), state
        numerator = np.zeros(batch.d, dtype=np.int64)
        for row, weight in zip(batch.rows, weights, strict=True):
            numerator += row.astype(np.int64) * weight
        return Aggregate(numerator, np.int64(total), diagnostics), state

    def _weight_of(self, client_id: str, batch: UpdateBatch) -> int:
        weight = self.weights.get(client_id, self.default)
        if self.self_reported and batch.claimed is not None:
            weight = batch.claimed[batch.client_ids.index(client_id)]
        if weight is None:
            raise BeyondLimitError(
                f"weighted-mean: no weight for {client_id!r}, no default, no claim; give it one, or set `default`"
            )
        return weight
