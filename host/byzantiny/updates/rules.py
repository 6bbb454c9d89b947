"""What every rule of a pipeline has in common: its card for `byzantiny list`, its limits, its way into a zoo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from byzantiny.updates.errors import BeyondLimitError, PipelineError

State: TypeAlias = Any
"""What a rule carries from round to round: None, numbers, strings, bytes, NumPy arrays, and lists and dicts of them."""


PROPERTIES: Mapping[str, str] = {
    "exact": "of int8 rows it makes integers: an exact fraction, or, before the aggregator, codes",
    "permutation": "the order of the rows does not matter",
    "permutation-up-to-ties": "the order of the rows matters only where it settles a tie between rows",
    "identity": "equal rows give that row",
    "translation": "a vector added to every row is added to the result",
    "negation": "negated rows give the negated result",
    "scale": "rows times a positive factor give the result times that factor",
    "mean": "with f = 0, and the other parameters at their defaults, it is the mean",
    "convex": "the aggregate is the mean of the rows with the weights of the diagnostics, none of them negative (nearly, if "
    "they say that it has not converged)",
}
"""What a card may claim; `byzantiny.testing` tests what it claims. The result of a pre-aggregator is its rows."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that depends on n and f, and how it is written.

    >>> bound = Bound("f / (n - f)", lambda n, f: f / (n - f))
    >>> bound.formula, bound.of(10, 2)
    ('f / (n - f)', 0.25)
    """

    formula: str
    of: Callable[[int, int], float]


STREAMS: Mapping[str, str] = {
    "no": "it needs all rows at once",
    "rows": "each row by itself: parts of a round, one after the other",
    "counts": "how many clients sent each code, coordinate by coordinate",
}
"""What a rule can be given where a round has more clients than are kept in memory; `docs/streaming.md`."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """A rule's declared (f, kappa)-robustness: `||F - mean_S||^2 <= kappa V_S` for every set S of n - f rows.

    `of(n, f)` is kappa with the rule's default parameters, infinite where no multiple of V_S bounds it; V_S is the
    rows' mean squared distance to mean_S. `source` is who proved it.

    Source: Allouah et al., AISTATS 2023, arXiv 2302.01772, definition 2.
    """

    formula: str
    source: str
    of: Callable[[int, int], float]


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """The card of a rule: what it computes, how far it may be trusted, what it costs, who published it.

    `keeps` are names of PROPERTIES. While at most `f` rows lie, a coordinate of the aggregate may lie outside the
    honest values by `hull_steps` grid steps and `hull_spread` times their range (largest less smallest); `hull_steps` is
    None where they do not bound it. `kappa`: its declared robustness coefficient; None: nobody has declared one.
    `streams`: a name of STREAMS.

    Raises:
        PipelineError: `keeps` names no property, `streams` no way to stream.
    """

    name: str
    formula: str
    limit: str
    breakdown: str
    cost: str
    paper: str
    keeps: frozenset[str] = frozenset({"permutation", "identity"})
    hull_steps: float | None = None
    hull_spread: Bound | None = None
    kappa: Kappa | None = None
    streams: str = "no"

    def __post_init__(self) -> None:
        if self.streams not in STREAMS:
            raise PipelineError(f"{self.name}: its card says it streams {self.streams!r}; known: {', '.join(STREAMS)}")
        if not self.keeps <= PROPERTIES.keys():
            raise PipelineError(
                f"{self.name}: its card claims {sorted(self.keeps - PROPERTIES.keys())}; "
                f"known properties: {', '.join(PROPERTIES)}"
            )


def require_clients(rule: str, n: int, least: int, because: str) -> None:
    """Raise unless n rows are at least what the rule needs.

    Raises:
        BeyondLimitError: n < least. Nothing is clamped, no other rule takes over.

    >>> require_clients("median", 4, 5, "f = 2 needs n >= 2f + 1")
    Traceback (most recent call last):
    byzantiny.updates.errors.BeyondLimitError: median of 4 rows: f = 2 needs n >= 2f + 1, that is 5; raise the quorum
    """
    if n < least:
        raise BeyondLimitError(f"{rule} of {n} rows: {because}, that is {least}; raise the quorum")


def require_f(rule: str, f: int | None) -> None:
    """Raise unless f is a count of clients, or None for undeclared.

    Raises:
        PipelineError: not an integer, or negative.
    """
    if f is not None and (not isinstance(f, int) or isinstance(f, bool) or f < 0):
        raise PipelineError(f"{rule}: f is {f!r}; it is a count of clients, an integer from 0")


def require_count(rule: str, name: str, value: object, least: int = 0) -> None:
    """Raise unless a parameter is an integer from `least`.

    Raises:
        PipelineError: anything else.

    >>> require_count("krum", "f", -1)
    Traceback (most recent call last):
    byzantiny.updates.errors.PipelineError: krum: f is -1; it is an integer from 0
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PipelineError(f"{rule}: {name} is {value!r}; it is an integer from {least}")


def require_exponent(rule: str, finest: int | None) -> None:
    """Raise unless `finest` is the exponent of a grid's step, or None for that of the batch.

    Raises:
        PipelineError: not an integer, or outside -64 .. 64, where no step is.
    """
    if finest is not None and (not isinstance(finest, int) or isinstance(finest, bool) or abs(finest) > 64):
        raise PipelineError(f"{rule}: finest is {finest!r}; it is e of a step of 2^e, an integer in -64 .. 64")


def require_real(rule: str, name: str, value: object, meaning: str) -> None:
    """Raise unless a parameter is a finite number; `meaning` says which ones are allowed.

    Raises:
        PipelineError: anything else.

    >>> require_real("zeroing", "z", "3", "it multiplies the median norm, a number from 1")
    Traceback (most recent call last):
    byzantiny.updates.errors.PipelineError: zeroing: z is '3'; it multiplies the median norm, a number from 1
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise PipelineError(f"{rule}: {name} is {value!r}; {meaning}")


def require_permutation(rule: str, name: str, value: object) -> None:
    """Raise unless a parameter is None or holds 0 .. k - 1 once each.

    Raises:
        PipelineError: anything else.

    >>> require_permutation("bucketing", "permutation", [1, 1])
    Traceback (most recent call last):
    byzantiny.updates.errors.PipelineError: bucketing: permutation is [1, 1]; it holds 0 .. 1 once each, or is left out
    """
    if value is None:
        return
    entries = list(value) if isinstance(value, (list, tuple)) else []
    if not entries or not all(isinstance(i, int) and not isinstance(i, bool) for i in entries):
        raise PipelineError(f"{rule}: {name} is {value!r}; it is a list of integers, or is left out")
    if sorted(entries) != list(range(len(entries))):
        raise PipelineError(f"{rule}: {name} is {value!r}; it holds 0 .. {len(entries) - 1} once each, or is left out")


def load_zoo(builtin: Mapping[str, Any], group: str) -> dict[str, Callable[..., Any]]:
    """Return the built-in rules and those that installed packages offer under an entry-point group.

    Raises:
        PipelineError: a package offers a name that is taken; nothing is overridden in silence.
    """
    zoo: dict[str, Callable[..., Any]] = dict(builtin)
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in zoo:
            raise PipelineError(
                f"entry point {point.value!r} of {group} is named {point.name!r}, which is taken; rename or remove it"
            )
        zoo[point.name] = point.load()
    return zoo
