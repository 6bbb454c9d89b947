"""Geometric median: the point with the least sum of distances to the rows, by smoothed Weiszfeld steps.

Pillutla, Kakade, Harchaoui. Robust aggregation for federated learning. IEEE TSP 2022, arXiv 1912.13445; Weiszfeld.
Sur le point pour lequel la somme des distances de n points donnes est minimum. Tohoku Math. J. 1937.
Differs from the paper: it starts at the coordinate-wise median, not at zero or at the mean, and stops by the optimality
condition, which the diagnostics report, not after a number of steps (ByzFL's three from zero give 3.79 for a centre
of 4); rows weigh the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import kappas
from byzantiny.aggregators.median import Median
from byzantiny.updates import (
    AnyAggregate,
    FloatAggregate,
    PipelineError,
    Steps,
    UpdateBatch,
    all_kept,
    common_scale,
)
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count, require_f
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class GeometricMedian:
    """Return `argmin_z sum_i ||z - x_i||`: steps `z <- sum b_i x_i / sum b`, `b_i = 1 / max(nu, ||z - x_i||)`.

    It ends when the residual `||sum_i b_i (x_i - z)|| / n`, the length of the rows' mean pull in 0 .. 1, is at most
    `tolerance`, or after `max_iterations` steps; the diagnostics hold the residual of what is returned and whether it
    converged. `nu` and lengths are in steps of e_min. With `f` declared, n >= 2f + 1 is required.

    >>> rows = [[1, 2, 3], [-1, 4, -1], [2, 2, 3], [3, 1, 3]]
    >>> batch = UpdateBatch.from_rows(np.array(rows, dtype=np.int8))
    >>> aggregate, _ = GeometricMedian().apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.values.round(6).tolist(), aggregate.diagnostics.details["residual"] <= 1e-9
    ([1.877526, 1.964942, 2.909489], True)
    """

    f: int | None = None
    nu: float = 1e-3
    tolerance: float = 1e-9
    max_iterations: int = 1000
    start: Literal["median", "zero"] = "median"

    name: ClassVar[str] = "geometric-median"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="geometric-median",
        formula="argmin_z sum_i ||z - x_i||",
        limit="n >= 1; n >= 2f + 1 with f declared",
        breakdown="floor((n-1)/2) / n",
        cost="O(n d) a step, some 10 to 100 steps",
        paper="Pillutla et al., IEEE TSP 2022, arXiv 1912.13445",
        keeps=frozenset({"permutation", "identity", "translation", "negation", "scale", "convex"}),
        kappa=Kappa(
            "4 ((n - f) / (n - 2f))^2", "Allouah et al., AISTATS 2023, arXiv 2302.01772", kappas.geometric_median
        ),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        require_count(self.name, "max_iterations", self.max_iterations)
        numbers = all(isinstance(x, (int, float)) and math.isfinite(x) for x in (self.nu, self.tolerance))
        if not numbers or self.nu <= 0 or self.tolerance < 0 or self.start not in ("median", "zero"):
            raise PipelineError(
                f"geometric-median: nu {self.nu!r}, tolerance {self.tolerance!r}, start {self.start!r}; "
                "need finite nu > 0, tolerance >= 0, start median or zero"
            )

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:
        """Return the geometric median; a row's score is its distance to it, its weight `b_i / sum b`."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        scale, steps = common_scale(batch), Steps(batch)
        z = np.zeros(batch.d) if self.start == "zero" else Median().apply(batch, None, rng)[0].values
        for iterations in range(self.max_iterations + 1):
            lengths = np.sqrt(steps.distances_to(z))
            pulls = 1 / np.maximum(self.nu, lengths)
            following, total = steps.mean(pulls)
            moved = kernels.float_squared_distances_to(following[None, :], z, scale)[0]
            residual = float(np.sqrt(moved)) * total / batch.n
            if residual <= self.tolerance or iterations == self.max_iterations:
                break
            z = following
        diagnostics = all_kept(
            self.name,
            batch.n,
            weight=pulls / total,
            score=lengths,
            residual=residual,
            iterations=iterations,
            converged=residual <= self.tolerance,
        )
        return FloatAggregate(np.array(z), diagnostics), state
