"""What a rule returns: the aggregate, exact or float, and what the rule did to every client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from byzantiny.updates.errors import AggregationError
from byzantiny_models.quantization import div_half_away

MAX_STEP = 1 << 62
"""A server step stays below this magnitude, so that int64 never wraps."""


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What one rule did to each of the rows it saw; an array it leaves out is a thing it does not do.

    `kept`: the row took part. `weight`: the row's factor in the result, where the rule is a weighted sum.
    `score`: what the rule judged by. `clipped`: the factor a row was scaled by, 1 for a row left alone.
    `reasons`: why a row was removed or changed, "" for no reason.
    """

    rule: str
    kept: NDArray[np.bool_]
    weight: NDArray[np.float64] | None = None
    score: NDArray[np.float64] | None = None
    clipped: NDArray[np.float64] | None = None
    reasons: tuple[str, ...] | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    ran: bool = True

    def __post_init__(self) -> None:
        n = len(self.kept)
        for value in (self.kept, self.weight, self.score, self.clipped, self.reasons):
            if value is None:
                continue
            if len(value) != n:
                name = next(f.name for f in fields(self) if getattr(self, f.name) is value)
                raise AggregationError(
                    f"diagnostics of {self.rule}: {len(value)} entries of `{name}` for {n} rows; give one per row"
                )
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def n(self) -> int:
        """The number of rows the rule saw."""
        return len(self.kept)

    def for_clients(self, mixing: NDArray[np.float64] | None) -> Diagnostics:
        """Return the same diagnostics by client, given the (rows, clients) weights of the rows; None: rows are clients.

        A client is kept if a kept row holds some of it; its weight is `mixing^T weight`; its score and clip
        factor are the means over its rows, weighted by its share in them; a client in no row has score and factor nan.

        >>> rows = Diagnostics("mean", np.array([True, True]), weight=np.array([0.5, 0.5]))
        >>> rows.for_clients(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])).weight.tolist()
        [0.25, 0.25, 0.5]
        """
        if mixing is None:
            return self
        held = mixing != 0
        share = np.abs(mixing)
        total = share.sum(axis=0)

        def average(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            if values is None:
                return None
            mean: NDArray[np.float64] = np.full(len(total), np.nan)
            np.divide(share.T @ values, total, out=mean, where=total > 0)
            return mean

        return Diagnostics(
            rule=self.rule,
            kept=(held & self.kept[:, None]).any(axis=0),
            weight=None if self.weight is None else mixing.T @ self.weight,
            score=average(self.score),
            clipped=average(self.clipped),
            reasons=None if self.reasons is None else _join_reasons(self.reasons, held),
            details=self.details,
            ran=self.ran,
        )

    @staticmethod
    def joined(parts: Sequence[Diagnostics], order: NDArray[np.int64]) -> Diagnostics:
        """Return the diagnostics of the parts of a round as one: row i is row `order[i]` of the parts laid end to end.

        The details are left out: how those of a whole follow from those of parts only the rule knows.

        Raises:
            AggregationError: parts of several rules, or of which some have what others lack.

        >>> parts = [Diagnostics("clip", np.array([True]), score=np.array([float(i)])) for i in range(3)]
        >>> Diagnostics.joined(parts, np.array([2, 0, 1])).score.tolist()
        [2.0, 0.0, 1.0]
        """
        first = parts[0]
        for name in ("weight", "score", "clipped", "reasons"):
            have = sum(getattr(part, name) is not None for part in parts)
            if have not in (0, len(parts)) or any(part.rule != first.rule for part in parts):
                raise AggregationError(
                    f"parts of {', '.join(sorted({part.rule for part in parts}))}, {have} of {len(parts)} with `{name}`: "
                    "only parts that one rule made of one round can be joined"
                )
        reasons = [reason for part in parts for reason in part.reasons or ()]
        return Diagnostics(
            first.rule,
            kept=np.concatenate([part.kept for part in parts])[order],
            weight=_joined([part.weight for part in parts], order),
            score=_joined([part.score for part in parts], order),
            clipped=_joined([part.clipped for part in parts], order),
            reasons=None if first.reasons is None else tuple(reasons[i] for i in order.tolist()),
        )

    def records(self, client_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return one JSON-ready record per client.

        >>> Diagnostics("median", np.array([True])).records(["dev-01"])
        [{'client_id': 'dev-01', 'rule': 'median', 'kept': True}]
        """
        present = [f.name for f in fields(self) if isinstance(getattr(self, f.name), (np.ndarray, tuple))]
        return [
            {"client_id": client_id, "rule": self.rule} | {name: _plain(getattr(self, name)[i]) for name in present}
            for i, client_id in enumerate(client_ids)
        ]


def all_kept(
    rule: str,
    n: int,
    *,
    weight: NDArray[np.float64] | None = None,
    score: NDArray[np.float64] | None = None,
    clipped: NDArray[np.float64] | None = None,
    reasons: tuple[str, ...] | None = None,
    **details: SupportsFloat,
) -> Diagnostics:
    """Return the diagnostics of a rule that leaves none of its n rows out; the details become floats.

    >>> said = all_kept("trimmed-mean", 3, values_kept=1)
    >>> said.kept.tolist(), said.details
    ([True, True, True], {'values_kept': 1.0})
    """
    numbers = {name: float(value) for name, value in details.items()}
    return Diagnostics(rule, np.ones(n, np.bool_), weight, score, clipped, reasons, numbers)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """An exact aggregate in grid steps: `numerator / denominator`, int64 (d,) over an int64 scalar or (d,).

    >>> Aggregate(np.array([5, -5]), np.int64(2), Diagnostics("median", np.array([True, True]))).values.tolist()
    [2.5, -2.5]
    """

    numerator: NDArray[np.int64]
    denominator: np.int64 | NDArray[np.int64]
    diagnostics: Diagnostics

    def __post_init__(self) -> None:
        # A scalar is asked directly: NumPy's reductions cost more than the whole median of a small round.
        scalar = isinstance(self.denominator, np.int64)
        numerator, denominator = self.numerator, self.denominator if scalar else np.asarray(self.denominator)
        if numerator.dtype != np.int64 or denominator.dtype != np.int64:
            raise AggregationError(
                f"aggregate of {numerator.dtype} over {denominator.dtype}: both must be int64; "
                "a float rule returns a FloatAggregate"
            )
        shaped = scalar or denominator.shape in ((), numerator.shape)
        if not shaped or not (denominator > 0 if scalar else np.all(denominator > 0)):
            raise AggregationError(
                f"denominator of shape {denominator.shape}: must be positive, a scalar or one per coordinate"
            )
        _freeze(numerator, denominator)

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return len(self.numerator)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The aggregate as float64 (d,), in grid steps: derived, never what the server steps with."""
        values: NDArray[np.float64] = self.numerator / self.denominator
        values.setflags(write=False)
        return values

    def step(self, shift: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return `div_half_away(numerator * 2^shift, denominator)`, int64 (d,): the step in master units.

        Raises:
            AggregationError: a numerator so large that the product would leave int64.

        >>> one = Diagnostics("mean", np.array([True]))
        >>> Aggregate(np.array([5, -5, 1]), np.int64(2), one).step(np.array([0, 0, 3])).tolist()
        [3, -3, 4]
        """
        _refuse_overflow(self.numerator, shift)
        return np.asarray(div_half_away(self.numerator << shift, self.denominator), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class FloatAggregate:
    """A float rule's aggregate: float64 (d,), in grid steps, from sums in a fixed order."""

    values: NDArray[np.float64]
    diagnostics: Diagnostics

    def __post_init__(self) -> None:
        if self.values.dtype != np.float64 or not np.isfinite(self.values).all():
            raise AggregationError(
                f"aggregate of {self.diagnostics.rule} is {self.values.dtype} or not finite; it must be finite float64"
            )
        _freeze(self.values)

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return len(self.values)

    def step(self, shift: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return `round_half_away(values * 2^shift)`, int64 (d,): the step in master units.

        >>> one = Diagnostics("geometric-median", np.array([True]))
        >>> FloatAggregate(np.array([0.5, -0.5, 0.3]), one).step(np.array([0, 0, 1])).tolist()
        [1, -1, 1]
        """
        _refuse_overflow(self.values, shift)
        return round_half_away(_scaled(self.values, shift)).astype(np.int64)


AnyAggregate = Aggregate | FloatAggregate


def round_half_away(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x rounded to the nearest integer, halves away from zero.

    Not `trunc(x + 0.5)`: that rounds 0.49999999999999994 up.

    >>> round_half_away(np.array([0.5, -0.5, 2.5, 0.49999999999999994])).tolist()
    [1.0, -1.0, 3.0, 0.0]
    """
    whole = np.trunc(x)
    return np.asarray(whole + np.copysign(np.abs(x - whole) >= 0.5, x), dtype=np.float64)


def _scaled(values: NDArray[np.float64], shift: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `values * 2^shift`, exactly: ldexp takes 4 ns a number, a look into a table of powers and a product one."""
    low, high = int(shift.min(initial=0)), int(shift.max(initial=0))
    if high - low > 63 or low < -63 or high > 63:
        return np.asarray(np.ldexp(values, shift))
    return np.asarray(values * np.ldexp(1.0, np.arange(low, high + 1))[shift - low])


def _refuse_overflow(values: NDArray[Any], shift: NDArray[np.int64]) -> None:
    # First from the extremes alone, which needs no array; only a number near the limit is looked for coordinate by coordinate.
    extremes = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    if np.ldexp(extremes, int(shift.max(initial=0))) < MAX_STEP:
        return
    largest = float(np.max(np.ldexp(np.abs(values.astype(np.float64)), shift), initial=0.0))
    if largest >= MAX_STEP:
        raise AggregationError(f"a server step of {largest:.3g} leaves the limit 2^62; lower the shift or the weights")


def _freeze(*arrays: object) -> None:
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)


def _join_reasons(reasons: tuple[str, ...], held: NDArray[np.bool_]) -> tuple[str, ...]:
    columns = ((reasons[r] for r in np.flatnonzero(column)) for column in held.T)
    return tuple("; ".join(dict.fromkeys(filter(None, column))) for column in columns)


def _joined(parts: Sequence[NDArray[np.float64] | None], order: NDArray[np.int64]) -> NDArray[np.float64] | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present)[order] if present else None


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
