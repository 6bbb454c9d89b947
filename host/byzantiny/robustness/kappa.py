"""(f, kappa)-robustness, declared and measured.

Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan. Fixing by mixing: a recipe for optimal Byzantine ML under
heterogeneity. AISTATS 2023, arXiv 2302.01772 (the definition; the bound for nearest-neighbour mixing).
The other constants and the proofs: docs/robustness.md. A measured value is the largest found by search over the rows
(all n of them, since S may be any n - f) and is never above a declared one; how far below it stays says how sharp the
declared one is, or how good the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation import Pipeline
from byzantiny.robustness.defences import Defence, Scale, aggregate
from byzantiny.robustness.errors import require_between
from byzantiny.updates import AggregationError, BeyondLimitError
from byzantiny_models.rng import Stream, rng_for

SPREAD = 20.0
"""The honest spread, in steps, that the parameters of a measured defence are fitted to."""

SLACK = 2.0**-8
"""An error below this part of a step is none: geometric-median smooths within 1e-3 of a step."""


@dataclass(frozen=True, eq=False)
class MeasuredKappa:
    """The largest ratio found, the rows it was found on (integers, float64 (n, d)), and how many sets of rows were tried."""

    value: float
    rows: NDArray[np.float64]
    evaluations: int


Behind: TypeAlias = Callable[[int], float | None]
"""The declared kappa of the rest of a pipeline, given how many rows reach it."""

_FREE = frozenset({"f", "idx", "trusted", "weights", "default", "perm", "tau", "theta", "tolerance"})
"""Parameters that a declared kappa holds for whatever they are, or that a fitted rule cannot do without."""


@dataclass(frozen=True, slots=True)
class KappaRow:
    """One defence: what is declared (None: nothing), what was found, or why the defence refuses n and f."""

    defence: str
    declared: float | None
    measured: float | None
    refused: str = ""

    def record(self) -> dict[str, Any]:
        """Return the row as plain data, for JSON; an infinite kappa is the word "unbounded"."""
        plain = {"declared": self.declared, "measured": self.measured}
        words = {key: "unbounded" if value is not None and math.isinf(value) else value for key, value in plain.items()}
        return {"defence": self.defence, **words, "refused": self.refused}


def kappa_row(defence: Defence, n: int, f: int, *, d: int = 2, evaluations: int = 400, seed: int = 1) -> KappaRow:
    """Return a defence's declared kappa beside the measured one.

    Raises:
        RobustnessError: a number out of range. AggregationError: a defence that cannot be built.

    >>> from byzantiny.robustness.defences import parse_defence
    >>> kappa_row(parse_defence("median"), 9, 2, evaluations=0).record()["measured"]
    1.3333333333333333
    """
    for name, value, least, most in (("n", n, 3, 16), ("f", f, 1, (n - 1) // 2), ("d", d, 1, 16)):
        require_between(name, value, least, most)
    require_between("evaluations", evaluations, 0, 1_000_000)
    try:
        pipeline = defence.build(Scale(n, f, d, SPREAD))
    except BeyondLimitError as error:
        return KappaRow(defence.name, None, None, str(error))
    # What ARC clips it would round, were the rows codes; the theory is about rows that are not rounded.
    codes = not any(stage.name == "arc" for stage in pipeline.stages)

    def apply(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return aggregate(pipeline, rows.astype(np.int8) if codes else rows, seed)

    members = subset_masks(n, f)
    if pipeline.aggregator.name == "monna":  # it trusts row f, and is judged by the sets that hold it
        members = members[members[:, f] == 1]
    rng = rng_for(seed, Stream.ATTACK)
    found = measure_kappa(apply, n, f, rng, d=d, evaluations=evaluations, members=members)
    return KappaRow(defence.name, declared_kappa(pipeline, n, f), found.value)


def declared_kappa(pipeline: Pipeline, n: int, f: int) -> float | None:
    """Return the kappa that theory gives a pipeline for n rows and f lies; None where nobody has declared one.

    It holds for a rule's default parameters, apart from f; with others nothing is declared.

    >>> from byzantiny.federation import build_pipeline
    >>> pipeline = build_pipeline([{"name": "nnm"}, {"name": "trimmed-mean"}], f_declared=4)
    >>> round(declared_kappa(pipeline, 20, 4), 4)
    2.6667
    """
    behind: Behind = partial(_of_rule, pipeline.aggregator, f)
    for stage in reversed(pipeline.stages):
        lift = LIFTS.get(stage.name, _not_declared)
        behind = partial(lift, stage, f, behind)
    return behind(n)


def _of_rule(rule: Any, f: int, n: int) -> float | None:
    """A rule with a parameter that is neither free nor the default declares nothing."""
    chosen = any(field.name not in _FREE and getattr(rule, field.name) != field.default for field in fields(rule))
    card = rule.info.kappa
    return None if card is None or chosen else float(card.of(n, f))


def _not_declared(stage: Any, f: int, behind: Behind, n: int) -> None:
    del stage, f, behind, n


def _nnm(stage: Any, f: int, behind: Behind, n: int) -> float | None:
    """Return `8 f / (n - f) (kappa + 1)`."""
    del stage
    kappa = behind(n)
    if kappa is None or not f:
        return kappa if kappa is None else 0.0
    return 8 * f / (n - f) * (kappa + 1)


def _arc(stage: Any, f: int, behind: Behind, n: int) -> float | None:
    """Return `kappa + k / (n - f - k)`, `k = floor(2 f (n - f) / n)` rows clipped; for rows that are not rounded."""
    del stage
    kappa, k = behind(n), 2 * f * (n - f) // n
    return None if kappa is None else kappa + k / (n - f - k)


def _bucketing(stage: Any, f: int, behind: Behind, n: int) -> float | None:
    """Return `(kappa_buckets (n - f) + (s - 1) f) / (n - s f)`, whatever the permutation; for s that divides n."""
    kappa = None if n % stage.s else behind(n // stage.s)
    return None if kappa is None else (kappa * (n - f) + (stage.s - 1) * f) / (n - stage.s * f)


LIFTS: Mapping[str, Callable[[Any, int, Behind, int], float | None]] = {
    "nnm": _nnm,
    "arc": _arc,
    "bucketing": _bucketing,
}
"""What a pre-aggregator makes of the kappa of what stands behind it; those left out have none to give."""


def subset_kappa(values: NDArray[np.float64], rows: NDArray[np.float64], f: int, members: NDArray[np.float64]) -> float:
    """Return `max_S ||values - mean_S||^2 / V_S` over the sets of `members`; infinite where V_S is 0 and the error is not.

    `members` is `subset_masks(n, f)`, rows are integers in float64, so that V_S is exact.

    >>> rows = np.array([[0.0], [0.0], [3.0], [9.0]])
    >>> subset_kappa(np.array([3.0]), rows, 1, subset_masks(4, 1))
    2.0
    """
    h = len(rows) - f
    sums = members @ rows
    squares = members @ (rows * rows).sum(axis=1)
    # h^2 V = h sum ||x||^2 - ||sum x||^2: integers below 2^53, nothing cancels.
    spread = h * squares - (sums * sums).sum(axis=1)
    error = h * values - sums
    off = (error * error).sum(axis=1)
    ratio = np.where(off > (h * SLACK) ** 2, np.inf, 0.0)
    np.divide(off, spread, out=ratio, where=spread > 0)
    return float(ratio.max())


def subset_masks(n: int, f: int) -> NDArray[np.float64]:
    """Return the sets of n - f among n rows as 0 and 1, float64 (sets, n).

    >>> subset_masks(3, 1).tolist()
    [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    sets = list(combinations(range(n), n - f))
    masks = np.zeros((len(sets), n))
    np.put_along_axis(masks, np.array(sets), 1.0, axis=1)
    return masks


def measure_kappa(
    apply: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    n: int,
    f: int,
    rng: np.random.Generator,
    *,
    d: int = 2,
    evaluations: int = 400,
    members: NDArray[np.float64] | None = None,
) -> MeasuredKappa:
    """Search for the rows in -127 .. 127 with the largest ratio: from two-point cohorts and random ones, by hill climbing.

    `members` restricts the sets S (a rule that trusts a row is judged by the sets that hold it); default: all.
    """
    members = subset_masks(n, f) if members is None else members
    spent = 0

    def ratio(rows: NDArray[np.float64]) -> float:
        nonlocal spent
        spent += 1
        try:
            return subset_kappa(apply(rows), rows, f, members)
        except AggregationError:
            return 0.0

    found = sorted(((ratio(rows), i, rows) for i, rows in enumerate(_starts(n, f, d, rng))), reverse=True)[:4]
    best, _, rows = found[0]
    if math.isinf(best):
        return MeasuredKappa(best, rows, spent)
    share = max(1, (evaluations - spent) // len(found))
    for value, _, start in found:
        current, here = value, start
        for _ in range(share):
            trial = _moved(here, rng)
            judged = ratio(trial)
            if judged >= current:
                current, here = judged, trial
        if current > best:
            best, rows = current, here
    return MeasuredKappa(best, rows, spent)


def _starts(n: int, f: int, d: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Cohorts at two and three points on a line, in every division, and some at random."""
    starts = []
    for low in range(1, n):
        for far in sorted({0, 1, f, n - low}):
            if far > n - low:
                continue
            for step in (1, 40):  # a step of the grid, where rules in steps are off; and many
                rows = np.zeros((n, d))
                rows[low:] = step
                rows[n - far :] = 3 * step
                starts.append(rows)
    starts += [np.rint(rng.normal(0, 20, (n, d))).clip(-127, 127) for _ in range(20)]
    starts += [rng.integers(-1, 2, (n, d)).astype(np.float64) for _ in range(20)]
    return starts


def _moved(rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """One small change: a row moved, a row put onto another, a coordinate set, or all rows shuffled in places."""
    moved, n = rows.copy(), len(rows)
    i, j = rng.integers(0, n, 2)
    kind = rng.integers(0, 5)
    if kind == 0:
        moved[i] += np.rint(rng.normal(0, 2.0 ** rng.integers(0, 6), rows.shape[1]))
    elif kind == 1:
        moved[i] = moved[j]
    elif kind == 2:
        moved[i, rng.integers(0, rows.shape[1])] = rng.integers(-127, 128)
    elif kind == 3:
        moved[i] = np.rint(moved[j] + (moved[i] - moved[j]) * rng.uniform(0, 2))
    else:
        group = (rows == rows[i]).all(axis=1)
        moved[group] += np.rint(rng.normal(0, 2.0 ** rng.integers(0, 6), rows.shape[1]))
    return np.asarray(moved.clip(-127, 127))
