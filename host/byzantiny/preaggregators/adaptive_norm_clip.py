"""Norm clipping with a bound that follows a quantile of the norms, round by round, in geometric steps.

Andrew, Thakkar, McMahan, Ramaswamy. Differentially private learning with adaptive clipping.
NeurIPS 2021, arXiv 1905.03871.
Differs from the paper: no noise; the share of updates below the bound is counted by the coordinator on norms it
measured, where the paper's clients report a bit each; the bound is a rung of a ladder of 64 to the octave, so that
its whole path is integers and the same on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.preaggregators.base import apply_row_wise
from byzantiny.preaggregators.norm_clip import clip_to, with_bound
from byzantiny.updates import AnyBatch, Diagnostics, PipelineError, UpdateBatch
from byzantiny.updates.rules import RuleInfo, State, require_clients, require_f, require_real
from byzantiny_models.networks import Layout

RUNGS = 64
"""Rungs to the octave: a rung is 1.1 %."""

HIGHEST = 40 * RUNGS
"""The highest rung, in steps of e_min: no norm of int8 rows reaches 2^40."""

_RUNGS_PER_NAT = Fraction(RUNGS * 10**15, 693147180559945)
"""64 / ln 2, fixed: the paper's factor is a power of e."""


@dataclass(frozen=True, slots=True)
class AdaptiveNormClip:
    """Clip to C as `norm-clip` does, then `C <- C exp(-eta (b - gamma))`, b the share of norms of at most C.

    C tends to the gamma-quantile of the norms. What is tracked is its rung, `C = floor(2^(rung / 64))`, which moves by
    `round(eta (gamma - b) 64 / ln 2)` a round: at most by eta, and not at all while b is so near to gamma that this
    rounds to 0 (the hysteresis). The rung is stored in real units, so that a change of the grid leaves C where it is.
    The first bound is `bound` grid steps, 16 ceil(sqrt(d)) where it is not given.

    f liars add at most f / n to b or take it away, so the bound comes to rest between the honest quantiles of
    `(gamma n - f) / (n - f)` and `gamma n / (n - f)`; with `f` declared, both must exist.

    >>> rule = AdaptiveNormClip(bound=20, eta=1.0)
    >>> batch = UpdateBatch.from_rows(np.array([[3, 4], [30, -40], [6, 8]], dtype=np.int8))
    >>> clipped, state = rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(0))
    >>> clipped.rows.tolist(), clipped.trace[-1].details["share_below"] > 0.6
    ([[3, 4], [12, -16], [6, 8]], True)
    >>> again, _ = rule.apply(batch, state, rng=np.random.default_rng(0))
    >>> again.trace[-1].details["bound"]
    17.0
    """

    gamma: float = 0.5
    eta: float = 0.2
    bound: int | None = None
    f: int | None = None

    name: ClassVar[str] = "adaptive-norm-clip"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="adaptive-norm-clip",
        formula="x_i * min(1, C / ||x_i||); C <- C exp(-eta (share(||x_i|| <= C) - gamma))",
        limit="n >= 1; f < n min(gamma, 1 - gamma) with f declared; int8 rows",
        breakdown="0 alone; the bound: min(gamma, 1 - gamma)",
        cost="O(n d)",
        streams="rows",
        paper="Andrew et al., NeurIPS 2021, arXiv 1905.03871",
        keeps=frozenset({"exact", "permutation", "negation"}),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        require_real(self.name, "gamma", self.gamma, "it is a quantile, between 0 and 1")
        require_real(self.name, "eta", self.eta, "it is a rate, above 0 and at most 1")
        if not 0 < self.gamma < 1:
            raise PipelineError(f"{self.name}: gamma is {self.gamma!r}; it is a quantile, between 0 and 1")
        if not 0 < self.eta <= 1:
            raise PipelineError(f"{self.name}: eta is {self.eta!r}; it is a rate, above 0 and at most 1")
        if self.bound is not None and (
            not isinstance(self.bound, int) or isinstance(self.bound, bool) or not 1 <= self.bound < 1 << 40
        ):
            raise PipelineError(f"{self.name}: bound is {self.bound!r}; it is in grid steps, an integer from 1 to 2^40")

    @property
    def min_clients(self) -> int:
        """The least n with `f < n min(gamma, 1 - gamma)`; one if no f is declared."""
        share = min(Fraction(self.gamma), 1 - Fraction(self.gamma))
        return math.floor((self.f or 0) / share) + 1

    def rows_out(self, n: int) -> int:
        """As many as came in."""
        return n

    def init(self, layout: Layout) -> State:  # noqa: ARG002
        """Return that there is no rung yet: it depends on the grid of the first round."""
        return {"rung": None}

    def apply(self, batch: UpdateBatch, state: State, rng: np.random.Generator) -> tuple[UpdateBatch, State]:  # noqa: ARG002
        """Return the rows clipped to the bound that past rounds gave, and the rung for the next."""
        return apply_row_wise(self, batch, state, checked=True)  # codes only become smaller

    def part(self, batch: UpdateBatch, state: State) -> tuple[NDArray[np.int8], Diagnostics]:
        """Return some of a round's rows, clipped."""
        return clip_to(self.name, batch, _bound(self._rung(batch, state)))

    def whole(self, diagnostics: Diagnostics, batch: AnyBatch, state: State) -> tuple[Diagnostics, State]:
        """Return the diagnostics with the share of rows that were not clipped, and the rung for the next round."""
        because = f"f = {self.f or 0} needs f < n min(gamma, 1 - gamma), gamma = {self.gamma:g}"
        require_clients(self.name, batch.n, self.min_clients, because)
        rung = self._rung(batch, state)
        diagnostics = with_bound(diagnostics, _bound(rung))
        below = Fraction(batch.n - int(diagnostics.details["clipped_rows"]), batch.n)
        move = _nearest(Fraction(self.eta) * (Fraction(self.gamma) - below) * _RUNGS_PER_NAT)
        following = min(max(rung + move, 0), HIGHEST) + _finest(batch)
        return with_bound(diagnostics, _bound(rung), share_below=float(below)), {"rung": following}

    def _rung(self, batch: AnyBatch, state: State) -> int:
        """The rung of this round, on its grid."""
        return self._first(batch.d) if state["rung"] is None else min(max(state["rung"] - _finest(batch), 0), HIGHEST)

    def _first(self, d: int) -> int:
        """The highest rung whose bound is at most the first one."""
        first = 16 * (math.isqrt(d - 1) + 1) if self.bound is None else self.bound
        low, high = 0, HIGHEST
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _bound(middle) <= first else (low, middle - 1)
        return low


def _finest(batch: AnyBatch) -> int:
    """The rung of one step of e_min in real units."""
    return RUNGS * min(batch.layout.exponents(batch.shifts))


def _bound(rung: int) -> int:
    """Return floor(2^(rung / 64)): the floors of six square roots one after the other are the floor of the 64th."""
    power = 1 << rung
    for _ in range(6):
        power = math.isqrt(power)
    return power


def _nearest(x: Fraction) -> int:
    """Return x rounded, halves away from zero."""
    whole = math.floor(abs(x) + Fraction(1, 2))
    return whole if x >= 0 else -whole
