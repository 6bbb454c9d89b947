"""The contract of the rules: pure, deterministic, explicit about state, failing closed, true to what the card claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from byzantiny.aggregators import Aggregator
from byzantiny.preaggregators import Bucketing, PreAggregator
from byzantiny.screening import Screen
from byzantiny.testing import adversary
from byzantiny.testing.batches import LAYOUT, batch_of, batches, generator
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.properties import check_properties, check_result
from byzantiny.testing.purity import applied, check_card, check_diagnostics, check_limit, check_parameters
from byzantiny.testing.streaming import check_streaming
from byzantiny.updates import Diagnostics, InvalidBatchError, UpdateBatch

EXAMPLES = 80
"""What the adversary tries by default: a third of a second a rule."""


def check_aggregator(
    factory: Callable[[], Aggregator], *, examples: int = EXAMPLES, honest_first: bool = False
) -> None:
    """Raise ContractError unless the aggregator keeps the contract of `byzantiny.aggregators.Aggregator`.

    `factory` builds the rule. What its card claims is tested: `keeps` on rows of every kind, bounds (`hull_steps`,
    `hull_spread`, `kappa`) by an adversary that tries `examples` cases, the same ones every time. `honest_first` is for
    a rule that trusts the first row: the adversary then leaves it alone.

    Raises:
        ContractError: the first promise of `byzantiny.testing.PROMISES` that the rule breaks, by name.
        ByzantinyError: Hypothesis, the adversary's engine, is not installed.

    >>> from byzantiny.aggregators import Median
    >>> check_aggregator(lambda: Median(f=2))
    """
    rule: Any = factory()
    _check_common(rule)
    for batch in batches(rule.min_clients):
        aggregate = applied(factory, batch)
        check_result(rule, aggregate, batch)
        check_diagnostics(rule.name, aggregate.diagnostics, batch.n)
    _check_rows_that_are_not_clients(rule)
    check_properties(factory)
    if rule.info.hull_steps is not None:
        for told, f in adversary.rules(rule):
            hold(
                told.min_clients > 2 * f,
                rule.name,
                "limit",
                f"bounded by the honest with {f} liars of {told.min_clients}?",
            )
    check_streaming(rule)
    adversary.search(factory, adversary.check_bounds, examples, honest_first=honest_first)


def check_preaggregator(factory: Callable[[], PreAggregator], *, examples: int = EXAMPLES) -> None:
    """Raise ContractError unless the pre-aggregator keeps the contract of `byzantiny.preaggregators.PreAggregator`.

    Raises: as `check_aggregator`.

    >>> from byzantiny.preaggregators import NormClip
    >>> check_preaggregator(lambda: NormClip(bound=300))
    """
    _check_stage(factory, _check_passed, examples)


def check_screen(factory: Callable[[], Screen], *, examples: int = EXAMPLES) -> None:
    """Raise ContractError unless the screen keeps its contract: rows stay whose they were, and come out unchanged.

    Raises: as `check_aggregator`.
    """
    _check_stage(factory, _check_screened, examples)


def _check_common(rule: Any) -> None:
    check_card(rule)
    check_parameters(rule)
    check_limit(rule)


def _check_stage(
    factory: Callable[[], PreAggregator | Screen], check: Callable[[Any, UpdateBatch, UpdateBatch], None], examples: int
) -> None:
    rule: Any = factory()
    _check_common(rule)
    for batch in batches(rule.min_clients):
        check(rule, batch, applied(factory, batch))
    check_properties(factory)
    check_streaming(rule)

    def tried(case: adversary.Case, passed: Any) -> dict[str, float]:
        check(case.rule, case.batch, passed)
        return {}

    adversary.search(factory, tried, examples)


def _check_passed(rule: Any, batch: UpdateBatch, passed: UpdateBatch) -> None:
    name = rule.name
    if not isinstance(passed, UpdateBatch):
        raise ContractError(name, "result", f"it returns {type(passed).__name__}, no batch")
    least = rule.rows_out(batch.n)
    hold(passed.n >= least, name, "rows", f"{passed.n} rows of {batch.n}, {least} are promised")
    hold(passed.client_ids == batch.client_ids, name, "rows", "other client ids than came in")
    hold(len(passed.trace) == len(batch.trace) + 1, name, "rows", f"{len(passed.trace)} entries in the trace")
    if "exact" in rule.info.keeps and batch.exact:
        hold(passed.exact, name, "exact", f"{passed.dtype} rows of int8 ones")
    check_diagnostics(name, passed.trace[-1], len(batch.client_ids))
    _check_mixing(name, batch, passed, passed.trace[-1])


def _check_mixing(name: str, batch: UpdateBatch, passed: UpdateBatch, said: Diagnostics) -> None:
    shares = passed.origin
    hold(np.isfinite(shares).all() and (shares >= 0).all(), name, "mixing", "a share is negative or not finite")
    hold(np.allclose(shares.sum(axis=1), 1), name, "mixing", "the shares of a row do not sum to one")
    if passed.mixing is not None:
        made = np.allclose(shares @ batch.rows.astype(np.float64), passed.rows, rtol=1e-9, atol=1e-9)
        hold(made, name, "mixing", "a row is not what its shares of the clients make")
    lost = ~(shares > 0).any(axis=0)
    hold(
        not (lost & said.kept).any(),
        name,
        "mixing",
        f"{np.count_nonzero(lost & said.kept)} clients are `kept`, in no row",
    )
    for client in np.flatnonzero(lost):
        reason = said.reasons[client] if said.reasons is not None else ""
        hold(reason, name, "mixing", f"{batch.client_ids[client]} is dropped without a reason")


def _check_screened(rule: Any, batch: UpdateBatch, passed: UpdateBatch) -> None:
    _check_passed(rule, batch, passed)
    try:
        places = [batch.client_ids.index(client_id) for client_id in passed.row_ids]
    except InvalidBatchError as error:
        raise ContractError(rule.name, "unchanged", f"a screen mixed rows: {error}") from error
    hold(np.array_equal(passed.rows, batch.rows[places]), rule.name, "unchanged", "a screen changed a row")


def _check_rows_that_are_not_clients(rule: Any) -> None:
    """After other stages rows may be fewer than clients: the account is by row."""
    least = rule.min_clients
    batch = batch_of(generator().integers(-127, 128, (2 * least + 2, LAYOUT.d)))
    kept = np.arange(batch.n) < least + 1
    screened = batch.select(kept, Diagnostics("screen", kept))
    mixed, _ = Bucketing(s=2).apply(batch, None, rng=generator())
    for rows in (screened, mixed):
        try:
            aggregate, _ = rule.apply(rows, rule.init(LAYOUT), rng=generator())
        except InvalidBatchError:  # it counts codes, or weighs clients
            continue
        check_diagnostics(rule.name, aggregate.diagnostics, rows.n)
