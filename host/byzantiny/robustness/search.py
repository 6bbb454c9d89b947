"""The worst f rows of codes for a defence and a cohort: exact where the rule's shape allows, found by search elsewhere.

* A rule by coordinate that never falls when a value rises has its extremes where all lies are -127 or all are 127; the
  worst of each coordinate is one of the two: exact.
* A rule by coordinate of another shape: every code that all liars may share, then liar by liar every code, until none
  helps. With one liar that is every possibility: exact.
* A rule that looks at whole rows: sign flip, ALIE, saturation and mimicry; all liars at one point, along several
  directions, with a search for the distance; then hill climbing from the best of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation import Pipeline
from byzantiny.robustness.honest import Cohort
from byzantiny.robustness.lies import lie
from byzantiny.updates import CODE_LIMIT, quantize_rows

Codes: TypeAlias = NDArray[np.int8]
Apply: TypeAlias = Callable[[Codes], NDArray[np.float64]]
"""The aggregate of the lies, int8 (f, d), beside the honest codes."""

Shape: TypeAlias = Literal["monotone", "coordinate", "rows"]

MONOTONE = frozenset(
    {"mean", "median", "grouped-median", "trimmed-mean", "median-of-means", "weighted-mean", "sign-majority-vote"}
)
"""Rules by coordinate whose result never falls when a value rises; tests/robustness/test_search.py tries to refute it."""

COORDINATE = MONOTONE | {"sr-median", "meamed", "phocas", "rlr"}
"""Rules of which a coordinate depends on that coordinate alone. Bucketing before them, its draw fixed, changes neither."""

SWEEPS = 4
"""How often the liars are gone through one by one."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the liars want: `gain(values, mean)`, float64 (d,), whose sum is to be as large as can be."""

    name: str
    gain: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


BIAS = Aim("bias", lambda values, mean: (values - mean) ** 2)
"""As far from the honest mean as possible."""

AGAINST = Aim("against", lambda values, mean: -values * mean)
"""An inner product with the honest mean that is as low as possible."""


@dataclass(frozen=True, eq=False)
class Worst:
    """The worst lies: what the aggregate becomes, by which lie, whether nothing worse exists, how many were tried."""

    values: NDArray[np.float64]
    lies: Codes
    gain: float
    attack: str
    exact: bool
    evaluations: int


def shape_of(pipeline: Pipeline) -> Shape:
    """Return how far the worst case of a pipeline can be found coordinate by coordinate.

    >>> from byzantiny.federation import build_pipeline
    >>> shape_of(build_pipeline([{"name": "bucketing"}, {"name": "median"}], f_declared=1))
    'monotone'
    """
    name = pipeline.aggregator.name
    if name not in COORDINATE or any(stage.name != "bucketing" for stage in pipeline.stages):
        return "rows"
    return "monotone" if name in MONOTONE else "coordinate"


def worst_lies(
    apply: Apply, honest: Cohort, f: int, aim: Aim, shape: Shape, rng: np.random.Generator, evaluations: int = 300
) -> Worst:
    """Return the worst lies of f clients; `evaluations` bounds the hill climbing of rules that look at rows.

    Raises:
        AggregationError: the rule refuses these numbers.
    """
    search = _Search(apply, honest, f, aim)
    if f == 0:
        search.judge(np.empty((0, len(honest.mean)), dtype=np.int8), "none")
        return search.result(exact=True)
    if shape == "monotone":
        _extremes(search)
        return search.result(exact=True)
    if shape == "coordinate":
        _by_coordinate(search)
        return search.result(exact=f == 1)
    for lies, name in _families(honest, f, rng):
        search.judge(lies, name)
    _along_lines(search, rng)
    _climb(search, rng, evaluations)
    return search.result(exact=False)


class _Search:
    """The best so far."""

    def __init__(self, apply: Apply, honest: Cohort, f: int, aim: Aim) -> None:
        self.apply, self.honest, self.f, self.aim = apply, honest, f, aim
        self.best: Worst | None = None
        self.spent = 0

    def gains(self, lies: Codes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The aggregate and what each coordinate of it gains."""
        self.spent += 1
        values = self.apply(lies)
        return values, self.aim.gain(values, self.honest.mean)

    def judge(self, lies: Codes, attack: str) -> float:
        values, gains = self.gains(lies)
        gain = float(gains.sum())
        if self.best is None or gain > self.best.gain:
            self.best = Worst(values, lies, gain, attack, exact=False, evaluations=0)
        return gain

    def result(self, *, exact: bool) -> Worst:
        assert self.best is not None
        best = self.best
        return Worst(best.values, best.lies, best.gain, best.attack, exact, self.spent)


def _extremes(search: _Search) -> None:
    d = len(search.honest.mean)
    ends = [np.full((search.f, d), code, dtype=np.int8) for code in (-CODE_LIMIT, CODE_LIMIT)]
    low, high = (search.gains(end)[1] for end in ends)
    search.judge(np.where(high > low, ends[1], ends[0]), "saturation, each coordinate to its worse side")


def _by_coordinate(search: _Search) -> None:
    """Every coordinate is searched at once: the columns of one matrix of lies are so many independent searches."""
    d = len(search.honest.mean)
    lies = np.zeros((search.f, d), dtype=np.int8)
    best = np.full(d, -np.inf)
    for code in range(-CODE_LIMIT, CODE_LIMIT + 1):
        gains = search.gains(np.full((search.f, d), code, dtype=np.int8))[1]
        lies[:, gains > best] = code
        best = np.maximum(best, gains)
    # Beyond the honest codes all places are alike to rules that count or rank; the edge is for those that sum.
    low, high = int(search.honest.codes.min()) - 2, int(search.honest.codes.max()) + 2
    near = [-CODE_LIMIT, *range(max(low, 1 - CODE_LIMIT), min(high, CODE_LIMIT - 1) + 1), CODE_LIMIT]
    for _ in range(SWEEPS if search.f > 1 else 0):
        before = best
        for liar in range(search.f):
            for code in near:
                trial = lies.copy()
                trial[liar] = code
                gains = search.gains(trial)[1]
                lies[liar, gains > best] = code
                best = np.maximum(best, gains)
        if np.array_equal(before, best):
            break
    search.judge(lies, "each coordinate's worst codes")


def _families(honest: Cohort, f: int, rng: np.random.Generator) -> Iterator[tuple[Codes, str]]:
    n = len(honest.codes) + f
    for scale in (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0):
        yield lie("sign-flip", honest, n, f, rng, scale), f"sign-flip x {scale:g}"
    for z in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
        for side in (z, -z):
            yield lie("alie", honest, n, f, rng, side), f"alie z = {side:g}"
    yield lie("saturate", honest, n, f, rng), "saturate"
    for i, row in enumerate(honest.codes):
        yield np.tile(row, (f, 1)), f"mimic {i}"


def _along_lines(search: _Search, rng: np.random.Generator) -> None:
    """All liars at one point, `mean + t u`: t on a ladder, then finer about the best rung."""
    honest = search.honest
    for name, direction in _directions(honest, rng).items():
        unit = direction / np.sqrt((direction * direction).mean())

        def at(t: float, name: str = name, unit: NDArray[np.float64] = unit) -> float:
            row = honest.mean + t * unit
            return search.judge(
                quantize_rows(np.tile(row, (search.f, 1)), rng), f"one point, {t:.3g} steps along {name}"
            )

        rungs = honest.spread * 2.0 ** np.arange(-3.0, 4.5, 0.5)
        gains = [at(float(t)) for t in rungs]
        centre, width = float(rungs[int(np.argmax(gains))]), 2.0**0.25
        top = max(gains)
        for _ in range(4):
            for t in (centre / width, centre * width):
                gain = at(t)
                if gain > top:
                    top, centre = gain, t
            width = width**0.5


def _directions(honest: Cohort, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    signs = np.copysign(1.0, honest.mean)
    return {
        "-mean": -honest.mean,
        "mean": honest.mean,
        "-sign(mean)": -signs,
        "deviation": honest.deviation * signs,
        "ones": np.ones_like(signs),
        "a client": honest.updates[0] - honest.mean,
        "a random one": rng.standard_normal(len(signs)),
    }


def _climb(search: _Search, rng: np.random.Generator, evaluations: int) -> None:
    """Small changes of the best lies; one that is no worse is kept, so that a plateau can be crossed."""
    assert search.best is not None
    here, gain, start = search.best.lies, search.best.gain, search.best.attack
    mean = search.honest.mean
    for _ in range(evaluations):
        trial = _changed(here.astype(np.float64), mean, search.honest, rng)
        codes = quantize_rows(trial, rng)
        judged = search.judge(codes, f"hill climbing from: {start}")
        if judged >= gain:
            here, gain = codes, judged


def _changed(
    lies: NDArray[np.float64], mean: NDArray[np.float64], honest: Cohort, rng: np.random.Generator
) -> NDArray[np.float64]:
    f, d = lies.shape
    liar, kind = int(rng.integers(f)), int(rng.integers(5))
    factor = float(np.exp(rng.normal(0, 0.1)))
    if kind == 0:  # all farther or nearer
        return np.asarray(mean + factor * (lies - mean))
    if kind == 1:  # one of them
        lies[liar] = mean + factor * (lies[liar] - mean)
    elif kind == 2:  # all onto one
        lies[:] = lies[liar]
    elif kind == 3:  # all turned towards a client
        away = honest.codes[int(rng.integers(len(honest.codes)))] - mean
        lies += rng.normal(0, 0.2) * away
    else:  # some coordinates of all
        chosen = rng.random(d) < max(0.1, 1 / d)
        lies[:, chosen] += rng.normal(0, honest.spread, int(chosen.sum()))
    return lies
