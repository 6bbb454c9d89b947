"""What a card claims in `keeps`, tried out: done to the rows, it must be seen in the result, exactly where that is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.testing.batches import LAYOUT, SHIFTS, batch_of, batches, generator
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.purity import has_f, once
from byzantiny.updates import Aggregate, AnyAggregate, InvalidBatchError, UpdateBatch

SPAN = 40
"""Rows in -40 .. 40: three times as much, and the vector added, stay on the grid."""

Values = NDArray[Any]
"""What is compared: fractions as Python integers over one denominator a coordinate, or float64."""


def check_properties(factory: Callable[[], Any]) -> None:
    """Check every claim that can be tried without an adversary, and that codes and float rows agree."""
    rule = factory()
    keeps = rule.info.keeps
    _check_order(rule)
    _check_float_rows(rule)
    if "identity" in keeps:
        _check_identity(rule)
    _check_equivariances(rule)
    if "scale" in keeps:
        _check_units(rule)
    if "mean" in keeps:
        _check_mean(_plain(rule))


def same(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Return whether two results are equal: as fractions where both are exact, else within a tolerance.

    >>> from byzantiny.updates import Diagnostics
    >>> one = Diagnostics("mean", np.array([True]))
    >>> third = Aggregate(np.array([1]), np.int64(3), one)
    >>> same(third, Aggregate(np.array([2]), np.int64(6), one)), same(third, Aggregate(np.array([3]), np.int64(10), one))
    (True, False)
    """
    if isinstance(a, Aggregate) and isinstance(b, Aggregate):
        left = a.numerator.astype(object) * np.asarray(b.denominator).astype(object)
        right = b.numerator.astype(object) * np.asarray(a.denominator).astype(object)
        return bool(np.all(left == right))
    x, y = _floats(a), _floats(b)
    return x.shape == y.shape and bool(np.allclose(x, y, rtol=tolerance, atol=tolerance))


def changed(result: Any, change: Callable[[Any], Any]) -> Any:
    """Return a result after what was done to its rows: fractions stay fractions.

    `change` is affine with integers, so it can be applied to a numerator over its denominator.
    """
    if not isinstance(result, Aggregate):
        return change(_floats(result))
    numerator, denominator = result.numerator.astype(object), np.asarray(result.denominator).astype(object)
    offset = change(np.zeros(result.d, dtype=object))
    moved = (change(numerator) - offset + offset * denominator).astype(np.int64)
    return Aggregate(moved, result.denominator, result.diagnostics)


def _floats(result: Any) -> NDArray[np.float64]:
    if isinstance(result, UpdateBatch):
        return result.rows.astype(np.float64)
    return np.asarray(getattr(result, "values", result), dtype=np.float64)


def _check_order(rule: Any) -> None:
    """Rows in another order: the same aggregate; of a stage, the same rows in another order."""
    claimed = rule.info.keeps & {"permutation", "permutation-up-to-ties"}
    if not claimed:
        return
    for batch in batches(rule.min_clients):
        if "permutation" not in claimed and len(np.unique(batch.rows)) <= 3:
            continue
        plain, _ = once(rule, batch)
        for order in (np.arange(batch.n)[::-1], generator(batch.n).permutation(batch.n)):
            result, _ = once(rule, batch_of(batch.rows[order], shifts=batch.shifts))
            alike = same(_sorted(result), _sorted(plain))
            hold(alike, rule.name, min(claimed), f"{batch.n} rows in another order, another result")


def _sorted(result: Any) -> Any:
    """A stage's rows in an order of their own, so that dropped ones do not matter."""
    if not isinstance(result, UpdateBatch):
        return result
    return result.rows[np.lexsort(result.rows.T)].astype(np.float64)


def _check_float_rows(rule: Any) -> None:
    for batch in batches(rule.min_clients):
        floats = batch_of(batch.rows.astype(np.float64), shifts=batch.shifts)
        try:
            result, _ = rule.apply(floats, rule.init(LAYOUT), rng=generator())
        except InvalidBatchError:
            return
        exact, _ = once(rule, batch)
        # A stage that rounds codes has floats to keep: half a step, and a factor of 2^-12, apart.
        tolerance = 0.5 + 127 / 4096 if isinstance(result, UpdateBatch) and exact.exact else 1e-9
        hold(
            same(result, exact, tolerance), rule.name, "floats", "the same numbers as float64 rows give another result"
        )


def _check_identity(rule: Any) -> None:
    rng = generator()
    for row in (
        rng.integers(-127, 128, LAYOUT.d),
        np.full(LAYOUT.d, 127),
        np.full(LAYOUT.d, -127),
        np.zeros(LAYOUT.d, int),
    ):
        for n in (rule.min_clients, rule.min_clients + 3):
            result, _ = once(rule, batch_of(np.tile(row, (n, 1))))
            expected = np.tile(row, (result.n, 1)) if isinstance(result, UpdateBatch) else row
            hold(same(result, expected.astype(np.float64)), rule.name, "identity", f"{n} equal rows, another result")


def _check_equivariances(rule: Any) -> None:
    rng = generator()
    moved = rng.integers(-SPAN, SPAN + 1, LAYOUT.d)
    changes: dict[str, Callable[[Any], Any]] = {
        "translation": lambda x: x + moved,
        "negation": lambda x: -x,
        "scale": lambda x: 3 * x,
    }
    for n in (rule.min_clients, rule.min_clients + 1, rule.min_clients + 6):
        rows = rng.integers(-SPAN, SPAN + 1, (n, LAYOUT.d))
        rows[:, ::3] = rng.integers(-1, 2, rows[:, ::3].shape)  # columns full of ties
        plain, _ = once(rule, batch_of(rows))
        for name, change in changes.items():
            if name in rule.info.keeps:
                result, _ = once(rule, batch_of(change(rows)))
                alike = same(result, changed(plain, change))
                hold(alike, rule.name, name, f"what was done to {n} rows is not what happened to the result")


def _check_units(rule: Any) -> None:
    """One tensor twice as fine, its codes doubled: the same update, so the same result, in that tensor's codes."""
    rng = generator()
    rows = rng.integers(-63, 64, (rule.min_clients + 4, LAYOUT.d))
    plain, _ = once(rule, batch_of(rows))
    for tensor, part in enumerate(LAYOUT.slices):
        factor = np.ones(LAYOUT.d, dtype=np.int64)
        factor[part] = 2
        shifts = tuple(shift - (number == tensor) for number, shift in enumerate(SHIFTS))
        result, _ = once(rule, batch_of(rows * factor, shifts=shifts))
        alike = same(result, changed(plain, partial(np.multiply, factor)))
        hold(alike, rule.name, "units", f"tensor {tensor} on a grid half as fine, its codes doubled: another result")


def _plain(rule: Any) -> Any:
    """The rule with f = 0 and its other parameters at their defaults, where they have one."""
    defaults = {field.name: field.default for field in fields(rule) if field.init and field.default is not MISSING}
    return replace(rule, **{**defaults, "f": 0}) if has_f(rule) else rule


def _check_mean(rule: Any) -> None:
    for more in (1, 2, 6):  # of two, three and seven rows where one is enough: thirds and sevenths show rounding
        rows = generator(more).integers(-127, 128, (rule.min_clients + more, LAYOUT.d))
        result: AnyAggregate = once(rule, batch_of(rows))[0]
        if isinstance(result, Aggregate):
            exact = result.numerator.astype(object) * len(rows) == rows.sum(axis=0) * np.asarray(result.denominator)
            hold(bool(np.all(exact)), rule.name, "mean", "with f = 0 it is not the mean, exactly")
        hold(same(result, rows.mean(axis=0)), rule.name, "mean", "with f = 0 it is not the mean")


def check_result(rule: Any, result: Any, batch: UpdateBatch) -> None:
    """Check that an aggregate is one, of this batch."""
    name = rule.name
    if not hasattr(result, "diagnostics") or not hasattr(result, "values"):
        raise ContractError(name, "result", f"it returns {type(result).__name__}, no aggregate")
    hold(result.d == batch.d, name, "result", f"{result.d} coordinates of {batch.d}")
    hold(np.isfinite(result.values).all(), name, "result", "a value is not finite")
    if "exact" in rule.info.keeps and batch.exact:
        hold(isinstance(result, Aggregate), name, "exact", "a FloatAggregate of int8 rows")
