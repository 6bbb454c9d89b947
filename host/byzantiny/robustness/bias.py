"""The max-bias curve of a defence, and where a sign flip, or anything at all, turns it around.

Huber. Robust estimation of a location parameter. Ann. Math. Statist. 35(1), 1964 (the maximal bias; for the median of
normal values it is PHI^-1(1 / (2 (1 - eps))) deviations).
Differs from the paper: a cohort is finite and on a grid, so the bias is measured from the honest mean of one draw, holds
the error that is there without liars, and is found by search where no formula gives it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.robustness.defences import Defence, Scale, aggregate
from byzantiny.robustness.errors import require_between
from byzantiny.robustness.honest import Cohort, Model, draw_clients, honest_part
from byzantiny.robustness.lies import lie
from byzantiny.robustness.search import AGAINST, BIAS, Worst, shape_of, worst_lies
from byzantiny.updates import AggregationError
from byzantiny_models.rng import Stream, rng_for

FLIPS = tuple(2.0**k for k in range(-4, 9))
"""The scales of the sign flip that are tried, up to saturation of any grid."""


@dataclass(frozen=True, slots=True)
class BiasPoint:
    """One f of a curve. Lengths are in honest standard deviations per coordinate, `||shift|| / (spread sqrt(d))`.

    `bias`: the worst found; `exact`: nothing worse exists. `flip` and `against`: the least cosine to the honest mean
    under sign flips of any scale, and under anything. `refused`: why the rule gives no answer; then all else is nan.
    """

    f: int
    bias: float
    attack: str
    exact: bool
    flip: float
    against: float
    refused: str = ""


@dataclass(frozen=True)
class BiasCurve:
    """A defence from f = 0 on, until it refuses."""

    defence: str
    n: int
    points: tuple[BiasPoint, ...]

    @property
    def sign_flip_breakdown(self) -> float | None:
        """The smallest f / n with a negative inner product under a sign flip; None: at no f that the rule accepts."""
        return self._first(lambda point: point.flip)

    @property
    def any_breakdown(self) -> float | None:
        """The same under the worst lies that were found."""
        return self._first(lambda point: min(point.flip, point.against))

    @property
    def limit(self) -> int:
        """The largest f that the defence accepts."""
        return max((point.f for point in self.points if not point.refused), default=-1)

    def _first(self, cosine: Callable[[BiasPoint], float]) -> float | None:
        return next((point.f / self.n for point in self.points if not point.refused and cosine(point) < 0), None)

    def record(self) -> dict[str, Any]:
        """Return the curve as plain data, for JSON."""
        return {
            "defence": self.defence,
            "n": self.n,
            "sign_flip_breakdown": self.sign_flip_breakdown,
            "any_breakdown": self.any_breakdown,
            "points": [_plain(point, self.n) for point in self.points],
        }


def _plain(point: BiasPoint, n: int) -> dict[str, Any]:
    numbers = {name: getattr(point, name) for name in ("bias", "flip", "against")}
    return {
        "f": point.f,
        "f_over_n": point.f / n,
        **{name: None if math.isnan(value) else round(value, 6) for name, value in numbers.items()},
        "attack": point.attack,
        "exact": point.exact,
        "refused": point.refused,
    }


def bias_curve(
    defence: Defence,
    model: Model,
    *,
    evaluations: int = 300,
    f_step: int = 1,
    on_point: Callable[[BiasPoint], None] | None = None,
) -> BiasCurve:
    """Return the curve of a defence that is told the true f, from f = 0 to below n / 2.

    It ends at the first f that the defence refuses.

    Raises:
        RobustnessError: a number out of range. AggregationError: a defence that does not work even for f = 0.

    >>> from byzantiny.robustness.defences import parse_defence
    >>> curve = bias_curve(parse_defence("trimmed-mean"), Model(n=7, d=8))
    >>> [point.f for point in curve.points], curve.points[3].exact
    ([0, 1, 2, 3], True)
    """
    require_between("evaluations", evaluations, 0, 1_000_000)
    require_between("f-step", f_step, 1, model.n)
    clients, points = draw_clients(model), []
    for f in range(0, (model.n + 1) // 2, f_step):
        point = _point(defence, model, clients, f, evaluations)
        if point.refused and f == 0:
            raise AggregationError(point.refused)
        points.append(point)
        if on_point is not None:
            on_point(point)
        if point.refused:
            break
    return BiasCurve(defence.name, model.n, tuple(points))


def _point(defence: Defence, model: Model, clients: Cohort, f: int, evaluations: int) -> BiasPoint:
    honest = honest_part(clients, f)
    try:
        pipeline = defence.build(Scale(model.n, f, model.d, model.spread))

        def apply(lies: NDArray[np.int8]) -> NDArray[np.float64]:
            return aggregate(pipeline, np.concatenate([lies, honest.codes]), model.seed)

        shape = shape_of(pipeline)
        worst, against = (
            worst_lies(apply, honest, f, aim, shape, rng_for(model.seed, Stream.ATTACK, round_num=f), evaluations)
            for aim in (BIAS, AGAINST)
        )
        rng = rng_for(model.seed, Stream.ATTACK, round_num=f)
        flip = min(_cosine(apply(lie("sign-flip", honest, model.n, f, rng, scale)), honest) for scale in FLIPS)
    except AggregationError as error:
        return BiasPoint(f, math.nan, "", exact=False, flip=math.nan, against=math.nan, refused=str(error))
    return _answer(f, worst, against, flip, honest)


def _answer(f: int, worst: Worst, against: Worst, flip: float, honest: Cohort) -> BiasPoint:
    bias = math.sqrt(worst.gain) / honest.length
    return BiasPoint(f, bias, worst.attack, worst.exact, flip, _cosine(against.values, honest))


def _cosine(values: NDArray[np.float64], honest: Cohort) -> float:
    """The cosine to the honest mean, 0 for a step that has no direction."""
    length = float(np.sqrt((values * values).sum()) * np.sqrt((honest.mean * honest.mean).sum()))
    return float((values * honest.mean).sum()) / length if length else 0.0
