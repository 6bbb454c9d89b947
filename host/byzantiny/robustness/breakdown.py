"""The breakdown curves of a rule's page: error against f / n under ALIE, sign flip and IPM.

The error is `||aggregate - honest mean|| / (spread sqrt(d))`, in honest standard deviations per coordinate, a mean over
independent rounds. ALIE's z and IPM's epsilon are chosen against the rule, as ByzFL's `Optimal_` attacks do, from a
short list each; the sign flip has scale 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import AGGREGATORS
from byzantiny.attacks.untargeted.alie import z_max
from byzantiny.preaggregators import PREAGGREGATORS
from byzantiny.robustness.defences import Defence, Scale, aggregate
from byzantiny.robustness.errors import require_between
from byzantiny.robustness.honest import Model, draw_clients, honest_part
from byzantiny.robustness.lies import lie
from byzantiny.updates import AggregationError
from byzantiny_models.rng import Stream, rng_for

ZS = (0.5, 1.0, 1.5, 2.0, 3.0)
EPSILONS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
ATTACKS = ("alie", "sign-flip", "ipm")

BEHIND = {
    "norm-clip": "mean",
    "adaptive-norm-clip": "mean",
    "zeroing": "mean",
    "top-coordinates": "mean",
    "arc": "mean",
    "nnm": "krum",
    "bucketing": "median",
}
"""The page of a pre-aggregator shows it before this rule, beside the rule alone."""

SMALLER = {"smea": 12, "caf": 12}
"""Rules that cannot do the usual n in time: smea tries C(n, f) subsets, caf solves an eigenproblem a step."""


@dataclass(frozen=True)
class BreakdownCurve:
    """A defence: `error[attack]` is one number a row of `liars`, nan from the f on that it refuses, and why."""

    defence: str
    model: Model
    trials: int
    liars: tuple[int, ...]
    error: Mapping[str, tuple[float, ...]]
    refused: str

    def record(self) -> dict[str, Any]:
        """Return the curve as plain data, for JSON."""
        return {
            "defence": self.defence,
            "n": self.model.n,
            "d": self.model.d,
            "spread_steps": self.model.spread,
            "signal": self.model.signal,
            "trials": self.trials,
            "seed": self.model.seed,
            "f": list(self.liars),
            "error": {
                name: [None if math.isnan(value) else round(value, 6) for value in values]
                for name, values in self.error.items()
            },
            "refused": self.refused,
        }


def breakdown_curve(
    defence: Defence, model: Model, *, trials: int = 4, on_point: Callable[[int], None] | None = None
) -> BreakdownCurve:
    """Return the curves of a defence that is told the true f, from f = 0 to below n / 2.

    Raises:
        RobustnessError: a number out of range. AggregationError: a defence that does not work even for f = 0.

    >>> from byzantiny.robustness.defences import parse_defence
    >>> curve = breakdown_curve(parse_defence("mean"), Model(n=5, d=20), trials=1)
    >>> curve.liars, curve.error["ipm"][2] > 5 * curve.error["sign-flip"][2]
    ((0, 1, 2), True)
    """
    require_between("trials", trials, 1, 100)
    liars = tuple(range((model.n + 1) // 2))
    error: dict[str, list[float]] = {name: [] for name in ATTACKS}
    refused = ""
    for f in liars:
        found = dict.fromkeys(ATTACKS, math.nan)
        if not refused:
            try:
                found = _errors(defence, model, f, trials)
            except AggregationError as reason:
                if f == 0:
                    raise
                refused = str(reason)
        for name, value in found.items():
            error[name].append(value)
        if on_point is not None:
            on_point(f)
    return BreakdownCurve(defence.name, model, trials, liars, {k: tuple(v) for k, v in error.items()}, refused)


def smaller(name: str, model: Model) -> Model:
    """Return the model with as many clients as the rule can do in time.

    >>> smaller("nnm+caf", Model()).n, smaller("krum", Model()).n
    (12, 20)
    """
    return replace(model, n=min(model.n, SMALLER.get(name.rpartition("+")[2], model.n)))


def pages() -> tuple[str, ...]:
    """Return the rules that have a picture: every aggregator and pre-aggregator of the package.

    >>> len(pages()) == len(AGGREGATORS) + len(PREAGGREGATORS)
    True
    """
    return (*AGGREGATORS, *PREAGGREGATORS)


def page_defences(rule: str) -> tuple[str, ...]:
    """Return what the picture on a rule's page shows.

    >>> page_defences("krum"), page_defences("nnm")
    (('krum',), ('krum', 'nnm+krum'))
    """
    behind = BEHIND.get(rule)
    return (rule,) if behind is None else (behind, f"{rule}+{behind}")


def _errors(defence: Defence, model: Model, f: int, trials: int) -> dict[str, float]:
    pipeline = defence.build(Scale(model.n, f, model.d, model.spread))
    total = dict.fromkeys(ATTACKS, 0.0)
    for trial in range(trials):
        honest = honest_part(draw_clients(model, trial), f)
        for name in ATTACKS:
            rng = rng_for(model.seed, Stream.ATTACK, round_num=trial)
            worst = 0.0
            for factor in _factors(name, model.n, f):
                rows = np.concatenate([lie(name, honest, model.n, f, rng, factor), honest.codes])
                worst = max(worst, _distance(aggregate(pipeline, rows, model.seed), honest.mean) / honest.length)
            total[name] += worst
    return {name: value / trials for name, value in total.items()}


def _factors(name: str, n: int, f: int) -> tuple[float, ...]:
    if f == 0 or name == "sign-flip":
        return (1.0,)
    if name == "ipm":
        return EPSILONS
    return tuple(side for z in (z_max(n, f), *ZS) for side in (z, -z))


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.sqrt(((a - b) ** 2).sum()))
