"""MoNNA: the mean of the rows nearest to one that is trusted.

Farhadkhani, Guerraoui, Gupta, Hoang, Pinot, Stephan. Robust collaborative learning with linear gradient overhead.
ICML 2023, arXiv 2209.10931.
Differs from the paper: there every node trusts its own row; a coordinator that has none of its own names a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.selection import lowest, mean_of_rows
from byzantiny.updates import AnyAggregate, BeyondLimitError, PipelineError, UpdateBatch, squared_distances_to_row
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class MoNNA:
    """Return the mean of the `n - f` rows nearest to the trusted one, itself included; ties: the lowest index.

    The trusted row is `trusted`, a client id, or, without one, row `idx` in the order of the ids. Prefer the id: a
    client that is missing from a round moves the rows behind it, and then `idx` trusts somebody else.

    Raises (from `apply`): BeyondLimitError, also where the trusted client has no row of its own.

    >>> batch = UpdateBatch.from_rows(np.array([[0, 0], [10, 0], [0, 11]], dtype=np.int8))
    >>> aggregate, _ = MoNNA(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.values.tolist(), aggregate.diagnostics.score.tolist()
    ([5.0, 0.0], [0.0, 100.0, 121.0])
    """

    f: int
    idx: int = 0
    trusted: str | None = None

    name: ClassVar[str] = "monna"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="monna",
        formula="mean of the n - f rows nearest to the trusted row",
        limit="n >= 2f + 1; the trusted row is there, and honest",
        breakdown="f / n as declared, below 1/2; 0 if the trusted client lies",
        cost="O(n d)",
        paper="Farhadkhani et al., ICML 2023, arXiv 2209.10931",
        keeps=frozenset({"exact", "identity", "translation", "negation", "scale", "mean", "convex"}),
        kappa=Kappa("4 f, for sets that hold the trusted row", kappas.OURS, kappas.monna),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)
        require_count(self.name, "idx", self.idx)
        if self.trusted is not None and not isinstance(self.trusted, str):
            raise PipelineError(f"monna: trusted is {self.trusted!r}; it is a client id, or is left out")
        if self.trusted is not None and self.idx:
            raise PipelineError(f"monna: trusted {self.trusted!r} and idx {self.idx}; name the trusted row once")

    @property
    def min_clients(self) -> int:
        """`2f + 1`, and `idx + 1`."""
        return max(2 * self.f + 1, self.idx + 1)

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean around the trusted row; the scores are squared distances to it."""
        because = f"f = {self.f} needs n >= 2f + 1, idx = {self.idx} needs n >= idx + 1"
        require_clients(self.name, batch.n, self.min_clients, because)
        row = self.idx if self.trusted is None else _row_of(self.trusted, batch)
        distances = squared_distances_to_row(batch, row)
        judged = distances.copy()
        judged[row] = -1  # ahead of rows equal to it
        return mean_of_rows(self.name, batch, lowest(judged, batch.n - self.f), distances, trusted=float(row)), state


def _row_of(client_id: str, batch: UpdateBatch) -> int:
    ids = batch.row_ids
    if client_id not in ids:
        raise BeyondLimitError(
            f"monna: the trusted client {client_id!r} has no row among {batch.n}; without it there is nothing to "
            "measure from; wait for it, or trust another"
        )
    return ids.index(client_id)
