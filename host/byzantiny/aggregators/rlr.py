"""Robust learning rate (RLR): step against the mean where too few clients agree on a sign.

Ozdayi, Kantarcioglu, Gel. Defending against backdoors in federated learning with robust learning rate.
AAAI 2021, arXiv 2007.03767.
Differs from the paper: the server's learning rate is 1 (the server step applies it); the mean is unweighted and exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import float_votes
from byzantiny.updates import Aggregate, AnyAggregate, AnyBatch, FloatAggregate, PipelineError, all_kept
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_f
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class RLR:
    """Return the mean per coordinate, negated where `|sum_i sign(x_i)| < theta`.

    A defence against backdoors: it does not bound the length of the step, so put a clip before it. With `f` declared,
    `f < theta <= n - 2f` is required: f liars alone then reach no threshold, and cannot turn a coordinate on whose
    sign all honest clients agree.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[9, -1], [3, 4], [6, 0]], dtype=np.int8))
    >>> aggregate, _ = RLR(theta=2).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator)
    ([18, -3], 3)
    """

    theta: int
    f: int | None = None

    name: ClassVar[str] = "rlr"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="rlr",
        formula="mean(x) where |sum_i sign(x_i)| >= theta, -mean(x) elsewhere",
        limit="n >= theta; with f declared f < theta <= n - 2f",
        breakdown="0: the length of the step is the mean's",
        cost="O(n d)",
        streams="counts",
        paper="Ozdayi et al., AAAI 2021, arXiv 2007.03767",
        keeps=frozenset({"exact", "permutation", "identity", "negation", "scale"}),
        kappa=Kappa("none: the length of the step is the mean's", kappas.OURS, kappas.unbounded),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        if not isinstance(self.theta, int) or isinstance(self.theta, bool) or self.theta <= (self.f or 0):
            raise PipelineError(
                f"rlr: theta is {self.theta!r}; it is a count of clients above f = {self.f or 0}, so that the liars "
                "alone do not reach it"
            )

    @property
    def min_clients(self) -> int:
        """`theta + 2f`."""
        return self.theta + 2 * (self.f or 0)

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean with the sign of the learning rate; the details count the coordinates that were turned."""
        because = f"theta = {self.theta}, f = {self.f or 0} needs n >= theta + 2f"
        require_clients(self.name, batch.n, self.min_clients, because)
        votes = batch.columns.sign_sum() if batch.exact else float_votes(batch)
        rate = np.where(np.abs(votes) >= self.theta, 1, -1)
        diagnostics = all_kept(self.name, batch.n, turned_coordinates=np.count_nonzero(rate < 0))
        if batch.exact:
            return Aggregate(rate * batch.columns.column_sum(), np.int64(batch.n), diagnostics), state
        return FloatAggregate(rate * batch.by_columns(kernels.float_column_sum) / batch.n, diagnostics), state
