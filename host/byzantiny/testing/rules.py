"""The contract of the rules: pure, deterministic, explicit about state, failing closed, blind to who is who."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import Aggregator
from byzantiny.federation import ServerState
from byzantiny.preaggregators import PreAggregator
from byzantiny.screening import Screen
from byzantiny.updates import (
    Aggregate,
    AggregationError,
    AnyAggregate,
    Diagnostics,
    InvalidBatchError,
    Layout,
    TensorSpec,
    UpdateBatch,
)

LAYOUT = Layout((TensorSpec("kernel", (5, 13), "int16", 14), TensorSpec("bias", (5,), "int32", 12)))
"""70 coordinates, two formats: one block of columns and a bit."""

SHIFTS = (5, 3)


def check_aggregator(factory: Callable[[], Aggregator], *, permutation_invariant: bool = True) -> None:
    """Raise AssertionError unless the aggregator keeps the contract of `byzantiny.aggregators.Aggregator`.

    What the rule's card claims (`keeps`, `hull_steps`) is tested too. `permutation_invariant=False` is for rules that
    trust one row by its place.

    >>> from byzantiny.aggregators import Median
    >>> check_aggregator(lambda: Median(f=2))
    """
    rule = factory()
    _check_card(rule)
    for batch in _batches(rule):
        aggregate = _check_apply(factory, batch)
        assert aggregate.d == batch.d, f"{rule.name}: {aggregate.d} coordinates of {batch.d}"
        assert np.isfinite(aggregate.values).all(), f"{rule.name}: not finite"
        _check_diagnostics(rule.name, aggregate.diagnostics, batch.n)
        if permutation_invariant and "permutation" in rule.info.keeps:
            shuffled, _ = factory().apply(_reversed(batch), rule.init(LAYOUT), rng=_rng())
            tolerance = 0 if isinstance(aggregate, Aggregate) else 1e-9
            assert np.allclose(shuffled.values, aggregate.values, rtol=0, atol=tolerance), f"{rule.name}: order matters"
    _check_float_rows(factory)
    if "identity" in rule.info.keeps:
        _check_identical_rows(factory)
    _check_equivariances(factory)
    if "mean" in rule.info.keeps:
        _check_mean_without_liars(factory)
    if rule.info.hull_steps is not None:
        _check_honest_hull(factory)
    _check_limit(rule)


def check_preaggregator(factory: Callable[[], PreAggregator]) -> None:
    """Raise AssertionError unless the pre-aggregator keeps the contract of `byzantiny.preaggregators.PreAggregator`.

    >>> from byzantiny.preaggregators import NormClip
    >>> check_preaggregator(lambda: NormClip(bound=300))
    """
    rule = factory()
    _check_card(rule)
    for batch in _batches(rule):
        _check_stage(factory, batch)
    _check_limit(rule)


def check_screen(factory: Callable[[], Screen]) -> None:
    """Raise AssertionError unless the screen keeps its contract: rows stay whose they were, and come out unchanged."""
    rule = factory()
    _check_card(rule)
    for batch in _batches(rule):
        passed = _check_stage(factory, batch)
        places = [batch.client_ids.index(client_id) for client_id in passed.row_ids]
        assert np.array_equal(passed.rows, batch.rows[places]), f"{rule.name}: a screen changed a row"
    _check_limit(rule)


def is_frozen(value: object) -> bool:
    """Return whether a value is a frozen dataclass."""
    return bool(getattr(getattr(value, "__dataclass_params__", None), "frozen", False))


def _check_stage(factory: Callable[[], PreAggregator | Screen], batch: UpdateBatch) -> UpdateBatch:
    rule = factory()
    passed: UpdateBatch = _check_apply(factory, batch)
    assert passed.n >= rule.rows_out(batch.n), f"{rule.name}: {passed.n} rows, promised {rule.rows_out(batch.n)}"
    assert passed.client_ids == batch.client_ids, f"{rule.name}: clients must stay on record"
    assert len(passed.trace) == len(batch.trace) + 1, f"{rule.name}: the trace must grow by one entry"
    assert passed.origin.shape == (passed.n, len(batch.client_ids)), f"{rule.name}: origin {passed.origin.shape}"
    _check_diagnostics(rule.name, passed.trace[-1], len(batch.client_ids))
    return passed


def _check_card(rule: Any) -> None:
    assert is_frozen(rule), f"{rule!r}: a rule is a frozen dataclass"
    assert rule.info.name == rule.name, f"{rule.name}: its card says {rule.info.name}"
    missing = [key for key in ("formula", "limit", "breakdown", "cost", "paper") if not getattr(rule.info, key)]
    assert not missing, f"{rule.name}: its card lacks {missing}"
    assert rule.min_clients >= 1, f"{rule.name}: min_clients is {rule.min_clients}"


def _check_apply(factory: Callable[[], Any], batch: UpdateBatch) -> Any:
    """Run twice from equal inputs; return the first result."""
    before = batch.rows.copy()
    results = []
    for _ in range(2):
        rule = factory()
        state = rule.init(LAYOUT)
        stored = _stored(state)
        result, following = rule.apply(batch, state, rng=_rng())
        assert _stored(state) == stored, f"{rule.name}: it changed its state"
        results.append((_content(result), _stored(following), result))
    assert np.array_equal(batch.rows, before), f"{rule.name}: it changed its input"
    assert results[0][:2] == results[1][:2], f"{rule.name}: equal inputs, different results"
    return results[0][2]


def _stored(state: Any) -> bytes:
    return ServerState(0, np.zeros(1, dtype=np.int32), (state,)).to_bytes()


def _content(result: AnyAggregate | UpdateBatch) -> bytes:
    if isinstance(result, UpdateBatch):
        return result.rows.tobytes() + result.origin.tobytes()
    if isinstance(result, Aggregate):
        return result.numerator.tobytes() + np.asarray(result.denominator).tobytes()
    return result.values.tobytes()


def _check_diagnostics(name: str, diagnostics: Diagnostics, n: int) -> None:
    assert diagnostics.ran, f"{name}: the diagnostics do not say that it ran"
    assert diagnostics.rule == name, f"{name}: its diagnostics are of {diagnostics.rule}"
    assert diagnostics.n == n, f"{name}: diagnostics of {diagnostics.n} rows for {n}"


def _check_identical_rows(factory: Callable[[], Aggregator]) -> None:
    """The aggregate of equal rows is that row, whatever the rule removes."""
    rule = factory()
    n = rule.min_clients + 2
    row = _rng().integers(-127, 128, LAYOUT.d).astype(np.int8)
    aggregate, _ = rule.apply(_batch(np.tile(row, (n, 1))), rule.init(LAYOUT), rng=_rng())
    assert np.allclose(aggregate.values, row, rtol=0, atol=1e-9), f"{rule.name}: equal rows, another aggregate"


def _check_float_rows(factory: Callable[[], Aggregator]) -> None:
    """The same rows as float64 give the same aggregate, or are refused as rows the rule cannot read."""
    rule = factory()
    for batch in _batches(rule):
        exact = _values(factory, batch.rows)
        floats = UpdateBatch.from_rows(batch.rows.astype(np.float64), LAYOUT, SHIFTS)
        try:
            aggregate, _ = rule.apply(floats, rule.init(LAYOUT), rng=_rng())
        except InvalidBatchError:
            return
        assert np.allclose(aggregate.values, exact, rtol=1e-9, atol=1e-9), f"{rule.name}: float rows disagree"


def _check_equivariances(factory: Callable[[], Aggregator]) -> None:
    """Rows in -40 .. 40 (some columns full of ties), so that what is done to them stays on the grid."""
    rule, rng = factory(), _rng()
    moved = rng.integers(-40, 41, LAYOUT.d).astype(np.int8)
    variants: dict[str, Callable[[Any], Any]] = {
        "translation": lambda x: x + moved,
        "negation": lambda x: -x,
        "scale": lambda x: 3 * x,
    }
    for n in (rule.min_clients, rule.min_clients + 1, rule.min_clients + 6):
        rows = rng.integers(-40, 41, (n, LAYOUT.d)).astype(np.int8)
        rows[:, ::3] = rng.integers(-1, 2, rows[:, ::3].shape)
        plain = _values(factory, rows)
        for name, change in variants.items():
            if name in rule.info.keeps:
                changed = _values(factory, change(rows))
                assert np.allclose(changed, change(plain), rtol=1e-9, atol=1e-9), f"{rule.name}: no {name} equivariance"


def _check_mean_without_liars(factory: Callable[[], Aggregator]) -> None:
    rule = factory()
    if "f" in {field.name for field in fields(rule)}:  # type: ignore[arg-type]
        rule = replace(rule, f=0)  # type: ignore[type-var]
    rows = _rng().integers(-127, 128, (rule.min_clients + 4, LAYOUT.d)).astype(np.int8)
    values = _values(lambda: rule, rows)
    assert np.allclose(values, rows.mean(axis=0), rtol=0, atol=1e-9), f"{rule.name}: with f = 0 it is not the mean"


def _check_honest_hull(factory: Callable[[], Aggregator]) -> None:
    """At the limit, whatever a small adversary tries, f liars cannot take it out of the hull the card claims."""
    rng, slack = _rng(), factory().info.hull_steps or 0
    for f in (1, 2, 4):
        rule = replace(factory(), f=f)  # type: ignore[type-var]
        for n in (rule.min_clients, rule.min_clients + 3):
            for spread in (0, 1, 60):
                honest = rng.integers(-spread, spread + 1, (n - f, LAYOUT.d)).astype(np.int8)
                low, high = honest.min(axis=0).astype(int), honest.max(axis=0).astype(int)
                for lie in (low + 254, low - 254, high + 1, low - 1, high, 2 * low - high):
                    liars = np.tile(np.clip(lie, -127, 127), (f, 1))
                    values = _values(lambda rule=rule: rule, np.concatenate([honest, liars]))  # type: ignore[misc]
                    reached = max(float((low - values).max()), float((values - high).max()))
                    assert reached <= slack + 1e-9, f"{rule.name}: {reached} steps outside the honest values"


def _values(factory: Callable[[], Aggregator], rows: NDArray[np.int8]) -> NDArray[np.float64]:
    rule = factory()
    aggregate, _ = rule.apply(_batch(rows.astype(np.int8)), rule.init(LAYOUT), rng=_rng())
    return aggregate.values


def _check_limit(rule: Any) -> None:
    """One row too few raises; nothing is clamped."""
    if rule.min_clients == 1:
        return
    rows = _rng().integers(-127, 128, (rule.min_clients - 1, LAYOUT.d)).astype(np.int8)
    try:
        rule.apply(_batch(rows), rule.init(LAYOUT), rng=_rng())
    except AggregationError:
        return
    raise AssertionError(f"{rule.name}: {len(rows)} rows are fewer than min_clients, and it went on")


def _batches(rule: Any) -> Iterator[UpdateBatch]:
    rng = _rng()
    for n in (rule.min_clients, rule.min_clients + 1, rule.min_clients + 8):
        yield _batch(rng.integers(-127, 128, (n, LAYOUT.d)).astype(np.int8))
        yield _batch(rng.choice(np.array([-127, 0, 127], dtype=np.int8), (n, LAYOUT.d)))


def _batch(rows: NDArray[np.int8]) -> UpdateBatch:
    return UpdateBatch.from_rows(rows, LAYOUT, SHIFTS)


def _reversed(batch: UpdateBatch) -> UpdateBatch:
    return _batch(batch.rows[::-1])


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)
