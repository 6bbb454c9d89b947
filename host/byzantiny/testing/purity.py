"""What every rule promises, aggregator or not: its card, its limit, and that a call is a function of its arguments."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import numpy as np

from byzantiny.testing.batches import LAYOUT, batch_of, buffered, content, generator, restored, stored
from byzantiny.testing.promises import ContractError, hold
from byzantiny.updates import AggregationError, Diagnostics, UpdateBatch

MOST_ROWS = 40
"""Limits are tried row by row up to here."""


def check_card(rule: Any) -> None:
    """Check what can be said of a rule without running it."""
    hold(is_frozen(rule), rule.name, "card", "a rule is a frozen dataclass")
    hold(rule.info.name == rule.name, rule.name, "card", f"the card is of {rule.info.name}")
    missing = [key for key in ("formula", "limit", "breakdown", "cost", "paper") if not getattr(rule.info, key)]
    hold(not missing, rule.name, "card", f"the card lacks {', '.join(missing)}")
    least = rule.min_clients
    hold(isinstance(least, int) and least >= 1, rule.name, "card", f"min_clients is {least!r}, a count from 1")


def check_parameters(rule: Any) -> None:
    """Check that an `f` which is no count of clients is refused when the rule is built."""
    if not has_f(rule):
        return
    for wrong in (-1, 1.5, "2", True):
        try:
            replace(rule, f=wrong)
        except AggregationError:
            continue
        except Exception as error:
            raise ContractError(rule.name, "parameters", f"f = {wrong!r} gives {error!r}, no PipelineError") from error
        raise ContractError(rule.name, "parameters", f"f = {wrong!r} is taken for a count of clients")


def check_limit(rule: Any) -> None:
    """Check, for the rule's own f and others, that fewer rows than it needs raise."""
    for variant in variants(rule):
        least = variant.min_clients
        for n in range(1, min(least, MOST_ROWS)):
            batch = batch_of(generator(n).integers(-127, 128, (n, LAYOUT.d)))
            said = _refusal(variant, batch)
            if not (str(n) in said and str(least) in said):
                raise ContractError(rule.name, "limit", f"{said!r} does not name the {n} rows and the limit {least}")


def _refusal(rule: Any, batch: UpdateBatch) -> str:
    try:
        rule.apply(batch, rule.init(LAYOUT), rng=generator())
    except AggregationError as error:
        return str(error)
    except Exception as error:
        what = f"{batch.n} rows, min_clients is {rule.min_clients}: {error!r} is no AggregationError"
        raise ContractError(rule.name, "limit", what) from error
    raise ContractError(
        rule.name, "limit", f"{batch.n} rows, min_clients is {rule.min_clients}, and it went on: {rule}"
    )


def applied(factory: Callable[[], Any], batch: UpdateBatch) -> Any:
    """Return what a rule makes of a batch, having checked that the call depends on, and changes, nothing else."""
    rule = factory()
    result, _ = once(rule, batch)
    first = content(result)
    once(rule, batch_of(-batch.rows[::-1], shifts=batch.shifts))
    with _movedgenerators():
        again, fresh = content(once(rule, batch)[0]), content(once(factory(), batch)[0])
    hold(first == again == fresh, rule.name, "determinism", "equal batch, state and generator, different bytes")
    if batch.exact:
        try:
            tiles = content(once(rule, buffered(batch))[0])
        except ContractError as error:
            raise ContractError(rule.name, "storage", f"of tiles: {error}") from error
        hold(
            first == tiles, rule.name, "storage", "tiles and rows, different bytes; read `batch.rows` or `batch.tiles`"
        )
    check_rounds(rule, batch)
    return result


def once(rule: Any, batch: UpdateBatch, state: Any = None, *, start: bool = True) -> tuple[Any, Any]:
    """Apply a rule to a state (by default its first) and return the result and the next state."""
    state = rule.init(batch.layout) if start else state
    rows, said, before = content(batch), _stored(rule, state), generators()
    try:
        result, following = rule.apply(batch, state, rng=generator())
    except Exception as error:
        if isinstance(error, ValueError) and "read-only" in str(error):
            raise ContractError(rule.name, "input", f"it writes to the batch: {error}") from error
        what = f"{batch.n} rows are within its limit, and it raised {error!r}"
        raise ContractError(rule.name, "denial", what) from error
    hold(content(batch) == rows, rule.name, "input", "the batch has changed")
    hold(_stored(rule, state) == said, rule.name, "state", "the state that came in has changed")
    hold(generators() == before, rule.name, "randomness", "a global generator has moved; draw from `rng`")
    return result, following


def check_rounds(rule: Any, batch: UpdateBatch) -> None:
    """Check that three rounds give the same with the state carried on as it is and through the store."""
    rounds = [batch, batch_of(batch.rows[::-1], shifts=batch.shifts), batch]
    carried = rule.init(batch.layout)
    through = restored(_stored(rule, carried))
    for number, each in enumerate(rounds, 1):
        result, carried = once(rule, each, carried, start=False)
        again, through = once(rule, each, through, start=False)
        alike = content(result) == content(again) and _stored(rule, carried) == _stored(rule, through)
        hold(alike, rule.name, "state", f"round {number} differs where the state went through the store")
        through = restored(_stored(rule, through))


def check_diagnostics(name: str, diagnostics: Diagnostics, n: int) -> None:
    """Check that a rule's account is of these n rows and in itself possible."""
    hold(diagnostics.ran, name, "diagnostics", "they do not say that it ran")
    hold(diagnostics.rule == name, name, "diagnostics", f"they are of {diagnostics.rule}")
    hold(diagnostics.n == n, name, "diagnostics", f"{diagnostics.n} entries for {n} rows")
    kept, weight = diagnostics.kept, diagnostics.weight
    hold(
        kept.dtype == np.bool_ and kept.any(),
        name,
        "diagnostics",
        f"kept is {kept.dtype}, {np.count_nonzero(kept)} rows",
    )
    if weight is not None:
        hold(np.isfinite(weight).all(), name, "diagnostics", "a weight is not finite")
        hold(not weight[~kept].any(), name, "diagnostics", "a row that was not kept has a weight")


def variants(rule: Any) -> Iterator[Any]:
    """Yield a rule as it is and, where it has an `f`, with others that its parameters allow."""
    yield rule
    for f in (0, 1, 2, 4) if has_f(rule) else ():
        variant = with_f(rule, f)
        if variant is not None:
            yield variant


def with_f(rule: Any, f: int) -> Any:
    """Return the rule with another f; None where its other parameters rule that out."""
    try:
        return replace(rule, f=f)
    except AggregationError:
        return None


def has_f(rule: Any) -> bool:
    """Return whether a rule can be told how many clients may lie."""
    return "f" in {field.name for field in fields(rule)}


def is_frozen(value: object) -> bool:
    """Return whether a value is a frozen dataclass."""
    return bool(getattr(getattr(value, "__dataclass_params__", None), "frozen", False))


def _stored(rule: Any, state: Any) -> bytes:
    try:
        return stored(state)
    except AggregationError as error:
        raise ContractError(rule.name, "state", str(error)) from error


@contextmanager
def _movedgenerators() -> Iterator[None]:
    """Move the global generators on, as whatever else runs would, and put them back."""
    kept, kept_legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(1), np.random.seed(1)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(kept), np.random.set_state(kept_legacy)  # noqa: NPY002


def generators() -> tuple[Any, ...]:
    """Return the state of the global generators, which nothing may move."""
    legacy = np.random.get_state()  # noqa: NPY002
    return (random.getstate(), *(part.tobytes() if isinstance(part, np.ndarray) else part for part in legacy))
