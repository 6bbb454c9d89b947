"""Centered clipping: steps from the last aggregate towards the rows, each row's pull cut to a length.

Karimireddy, He, Jaggi. Learning from history for Byzantine robust optimization. ICML 2021, arXiv 2012.10333.
Differs from the paper: nothing in the rule; the last aggregate is carried as explicit state, together with the grid it
was measured on, so that it keeps its meaning when the coordinator changes a shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import kappas
from byzantiny.aggregators.median import Median
from byzantiny.updates import (
    AggregationError,
    AnyAggregate,
    FloatAggregate,
    PipelineError,
    Steps,
    UpdateBatch,
    all_kept,
)
from byzantiny.updates.rules import (
    Kappa,
    RuleInfo,
    State,
    require_clients,
    require_count,
    require_exponent,
    require_f,
)
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class CenteredClipping:
    """Return v after `L` steps `v <- v + sum_i (x_i - v) min(1, tau / ||x_i - v||) / n`; tau in steps of e_min.

    `start = "previous"`: v begins at the last round's aggregate, the state, zero before the first; "median": at the
    coordinate-wise median, without state. No row moves v by more than `L tau / n`. With `f` declared, n >= 2f + 1 is
    required; the paper's proof holds up to f / n = 0.1. With `finest` given, `tau` counts steps of 2^finest and keeps its
    real length on any grid; an experiment gives that of its first grid.

    >>> batch = UpdateBatch.from_rows(np.array([[3, 4], [24, -32]], dtype=np.int8))
    >>> rule = CenteredClipping(tau=5.0)
    >>> aggregate, state = rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(0))
    >>> aggregate.values.tolist(), aggregate.diagnostics.clipped.tolist(), state["momentum"].tolist(), state["shifts"]
    ([3.0, 0.0], [1.0, 0.125], [3.0, 0.0], [0])
    """

    tau: float
    L: int = 1
    start: Literal["previous", "median"] = "previous"
    f: int | None = None
    finest: int | None = None

    name: ClassVar[str] = "centered-clipping"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="centered-clipping",
        formula="L times v <- v + sum_i (x_i - v) min(1, tau / ||x_i - v||) / n",
        limit="n >= 1; n >= 2f + 1 with f declared",
        breakdown="0.1 by the paper's proof; a row moves v by at most L tau / n",
        cost="O(L n d)",
        paper="Karimireddy et al., ICML 2021, arXiv 2012.10333",
        keeps=frozenset({"permutation", "negation"}),
        kappa=Kappa("none: tau is a length of its own", kappas.OURS, kappas.unbounded),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        require_exponent(self.name, self.finest)
        require_count(self.name, "L", self.L, 1)
        real = isinstance(self.tau, (int, float)) and not isinstance(self.tau, bool)
        if not real or not 0 < self.tau < math.inf or self.start not in ("previous", "median"):
            raise PipelineError(
                f"centered-clipping: tau {self.tau!r}, start {self.start!r}; "
                "need a finite tau > 0 in grid steps, start previous or median"
            )

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def init(self, layout: Layout) -> State:
        """Return zeros as the aggregate before the first round; None if it starts at the median."""
        return {"momentum": np.zeros(layout.d), "shifts": []} if self.start == "previous" else None

    def apply(self, batch: UpdateBatch, state: State, rng: np.random.Generator) -> tuple[AnyAggregate, State]:
        """Return v and the state that holds it; scores are distances to v before the last step."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        v = Median().apply(batch, None, rng)[0].values if self.start == "median" else _carried(state, batch)
        tau = self.tau
        if self.finest is not None:
            tau = math.ldexp(tau, self.finest - min(batch.layout.exponents(batch.shifts)))
        steps = Steps(batch)
        for _ in range(self.L):
            lengths = np.sqrt(steps.distances_to(v))
            factors = tau / np.maximum(tau, lengths)
            sums, total = steps.weighted_sum(factors)
            sums -= total * v
            sums /= batch.n
            sums += v
            v = sums
        diagnostics = all_kept(
            self.name,
            batch.n,
            weight=factors / batch.n,
            score=lengths,
            clipped=factors,
            clipped_rows=np.count_nonzero(factors < 1),
        )
        following = {"momentum": v.copy(), "shifts": list(batch.shifts)} if self.start == "previous" else state
        return FloatAggregate(v, diagnostics), following


def _carried(state: Any, batch: UpdateBatch) -> NDArray[np.float64]:
    """Return the last aggregate in codes of this round's grid: a change of a shift moves it by a power of two."""
    momentum: NDArray[np.float64] = state["momentum"]
    if momentum.shape != (batch.d,):
        raise AggregationError(
            f"centered-clipping carries {momentum.shape} numbers for {batch.d} coordinates; start from `init`"
        )
    if not state["shifts"] or tuple(state["shifts"]) == batch.shifts:
        return momentum
    change = np.array(state["shifts"], dtype=np.int64) - np.array(batch.shifts, dtype=np.int64)
    return np.asarray(np.ldexp(momentum, np.repeat(change, [t.elements for t in batch.layout.tensors])))
