"""The suite itself under test: rules that each break one promise, and the promise by whose name each is caught."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from byzantiny.aggregators import CenteredClipping, Krum, Meamed, Mean, Median, MultiKrum, Phocas, TrimmedMean
from byzantiny.errors import ByzantinyError
from byzantiny.preaggregators import ARC, NNM, Bucketing, NormClip
from byzantiny.testing import PROMISES, ContractError, check_aggregator, check_preaggregator, check_screen
from byzantiny.updates import (
    Aggregate,
    BeyondLimitError,
    Diagnostics,
    FloatAggregate,
    UpdateBatch,
    UpdateCounts,
    squared_norms,
)
from byzantiny.updates.rules import Bound, Kappa, RuleInfo, require_clients, require_f


def aggregate_of(rows, diagnostics=None, denominator=None):
    """The exact mean of rows, or of what a mutant made of them, under the name of the mean."""
    diagnostics = diagnostics or Diagnostics("mean", np.ones(len(rows), np.bool_), np.full(len(rows), 1 / len(rows)))
    return Aggregate(rows.sum(axis=0, dtype=np.int64), np.int64(denominator or len(rows)), diagnostics)


def claims(rule, *keeps, **others):
    return replace(rule.info, keeps=frozenset(keeps), **others)


class ReadsRows(Mean):
    """A mean that needs the rows, for mutants that look at them."""

    info: ClassVar[RuleInfo] = replace(Mean.info, streams="no")


# Purity: input, state, determinism, randomness.


class WritesToItsInput(Mean):
    """ByzFL's Clipping and ARC (3.3)."""

    def apply(self, batch, state, rng):
        result = Mean.apply(self, batch, state, rng)
        batch.rows.setflags(write=True)
        batch.rows[0] = 0
        return result


class WritesToItsInputInSecret(Mean):
    def apply(self, batch, state, rng):
        batch.rows[0] = 0
        return Mean.apply(self, batch, state, rng)


class CountsItsCalls(Mean):
    """State of the class."""

    calls: ClassVar[int] = 0

    def apply(self, batch, state, rng):
        CountsItsCalls.calls += 1
        aggregate, state = Mean.apply(self, batch, state, rng)
        return replace(aggregate, numerator=aggregate.numerator + CountsItsCalls.calls), state


class RemembersTheLast(Mean):
    """State of the object: ByzFL's CenteredClipping starts at its last result (3.3)."""

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        last = getattr(self, "last", np.zeros(batch.d, dtype=np.int64))
        object.__setattr__(self, "last", aggregate.numerator)
        return replace(aggregate, numerator=aggregate.numerator + last), state


class DrawsFromNumPy(ReadsRows):
    """plato seeds nothing, FLPoison shuffles with the global generator (3.3)."""

    def apply(self, batch, state, rng):
        left_out = np.random.randint(batch.n) if batch.n > 1 else -1  # noqa: NPY002
        return aggregate_of(batch.rows[np.arange(batch.n) != left_out]), state


class Seeds(Mean):
    def apply(self, batch, state, rng):
        random.seed(0)
        return Mean.apply(self, batch, state, rng)


class ChangesItsState(CenteredClipping):
    def apply(self, batch, state, rng):
        result, _ = CenteredClipping.apply(self, batch, state, rng)
        state["momentum"] += result.values
        return result, state


class KeepsAGenerator(Mean):
    def apply(self, batch, state, rng):
        return Mean.apply(self, batch, state, rng)[0], {"rng": rng}


class KeepsATuple(Mean):
    """A tuple comes back from the store as a list."""

    def apply(self, batch, state, rng):
        aggregate, _ = Mean.apply(self, batch, state, rng)
        return replace(aggregate, numerator=aggregate.numerator + (state == (1, 2))), (1, 2)


class ReadsTheStoreAsRows(ReadsRows):
    """In a round the updates lie in tiles; only a batch built from an array stores rows."""

    def apply(self, batch, state, rng):
        return aggregate_of(batch.stored[:, : batch.d]), state


# Failing closed.


class NeverRaises(Mean):
    @property
    def min_clients(self):
        return 5

    def apply(self, batch, state, rng):
        return Mean().apply(batch, state, rng)


@dataclass(frozen=True)
class ClampsItsF(TrimmedMean):
    def apply(self, batch, state, rng):
        f = min(self.f, (batch.n - 1) // 2)
        return TrimmedMean(f).apply(batch, state, rng)


class FallsBackToTheMean(Krum):
    """What BackFed's FLTrust does in silence (3.3)."""

    def apply(self, batch, state, rng):
        if batch.n < self.min_clients:
            return Mean().apply(batch, state, rng)
        return Krum.apply(self, batch, state, rng)


class RefusesWithAValueError(Median):
    def apply(self, batch, state, rng):
        if batch.n < self.min_clients:
            raise ValueError("too few rows")
        return Median.apply(self, batch, state, rng)


class DoesNotSayTheLimit(Median):
    def apply(self, batch, state, rng):
        if batch.n < self.min_clients:
            raise BeyondLimitError("too many Byzantine workers")
        return Median.apply(self, batch, state, rng)


@dataclass(frozen=True)
class TakesAnyF(Median):
    def __post_init__(self):
        pass

    @property
    def min_clients(self):
        return 1 if not isinstance(self.f, int) else max(1, 2 * self.f + 1)


@dataclass(frozen=True)
class BelievesHalf(Median):
    """Claims that the honest bound it where f of 2f rows lie."""

    @property
    def min_clients(self):
        return max(1, 2 * (self.f or 0))

    def apply(self, batch, state, rng):
        require_clients(self.name, batch.n, self.min_clients, "n >= 2f")
        return Median().apply(batch, state, rng)


class DividesByTheNorm(Mean):
    """One client that sends zeros closes every round."""

    info: ClassVar[RuleInfo] = claims(ReadsRows, "permutation")

    def apply(self, batch, state, rng):
        norms = np.sqrt(squared_norms(batch).astype(np.float64))
        if (norms == 0).any():
            raise ZeroDivisionError("a row of zeros")
        return FloatAggregate(
            (batch.rows / norms[:, None]).mean(axis=0), Mean().apply(batch, state, rng)[0].diagnostics
        ), state


# What it returns and says.


class ReturnsAnArray(Mean):
    def apply(self, batch, state, rng):
        return batch.rows.mean(axis=0), state


class LosesACoordinate(ReadsRows):
    info: ClassVar[RuleInfo] = claims(ReadsRows)

    def apply(self, batch, state, rng):
        return aggregate_of(batch.rows[:, 1:]), state


class IsNotSure(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return replace(aggregate, diagnostics=replace(aggregate.diagnostics, ran=False)), state


class SpeaksForAnother(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return replace(aggregate, diagnostics=replace(aggregate.diagnostics, rule="median")), state


class CountsClients(ReadsRows):
    """Its account is by client, where rows may be fewer."""

    def apply(self, batch, state, rng):
        return aggregate_of(batch.rows, Diagnostics("mean", np.ones(len(batch.client_ids), np.bool_))), state


class KeepsNobody(ReadsRows):
    def apply(self, batch, state, rng):
        return aggregate_of(batch.rows, Diagnostics("mean", np.zeros(batch.n, np.bool_))), state


class WeighsWhomItDropped(ReadsRows):
    def apply(self, batch, state, rng):
        kept = np.arange(batch.n) > 0
        said = Diagnostics("mean", kept | (batch.n == 1), np.full(batch.n, 1 / batch.n))
        return aggregate_of(batch.rows, said), state


class SaysOtherWeights(MultiKrum):
    """Its diagnostics name weights that are not the result's."""

    def apply(self, batch, state, rng):
        aggregate, state = MultiKrum.apply(self, batch, state, rng)
        weight = np.where(aggregate.diagnostics.kept, 2.0, 0.0) * np.arange(1, batch.n + 1)
        return replace(aggregate, diagnostics=replace(aggregate.diagnostics, weight=weight / weight.sum())), state


# What its card claims.


class FavoursTheFirst(ReadsRows):
    info: ClassVar[RuleInfo] = claims(ReadsRows, "permutation")

    def apply(self, batch, state, rng):
        rows = batch.rows.astype(np.int64) if batch.exact else batch.rows
        if not batch.exact:
            return FloatAggregate(
                (rows.sum(axis=0) + rows[0]) / (batch.n + 1), Mean().apply(batch, state, rng)[0].diagnostics
            ), state
        return aggregate_of(np.vstack([rows, rows[:1]]), Mean().apply(batch, state, rng)[0].diagnostics), state


class FavoursTheFirstOfTies(FavoursTheFirst):
    info: ClassVar[RuleInfo] = claims(ReadsRows, "permutation-up-to-ties")


class SettlesTiesByOrder(Krum):
    """Krum's ties go to the lowest index, so it cannot claim that the order has no part."""

    info: ClassVar[RuleInfo] = claims(Krum, "permutation")


@dataclass(frozen=True)
class InThousandths(Mean):
    """Floats creep in: a mean rounded to a thousandth looks exact, translates and negates, and is no fraction of n."""

    keeps: tuple = ("exact", "permutation", "identity", "translation", "negation", "scale", "mean")

    @property
    def info(self):
        return claims(Mean, *self.keeps)

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        rounded = np.rint(aggregate.values * 1000).astype(np.int64)
        return Aggregate(rounded, np.int64(1000), aggregate.diagnostics), state


class IsExactInFloats(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return FloatAggregate(aggregate.values.copy(), aggregate.diagnostics), state


class TruncatesToTheInputsType(Mean):
    """ByzFL's Clipping and ARC of int8 rows (3.3)."""

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        if not batch.exact:
            return aggregate, state
        return replace(aggregate, numerator=np.trunc(aggregate.values).astype(np.int64) * batch.n), state


class ReadsFloatsOtherwise(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return aggregate if batch.exact else replace(aggregate, values=aggregate.values + 1), state


class Shrinks(Mean):
    info: ClassVar[RuleInfo] = claims(Mean, "permutation", "translation")

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return FloatAggregate(aggregate.values / 2, aggregate.diagnostics), state


class RoundsUp(Mean):
    info: ClassVar[RuleInfo] = claims(Mean, "permutation", "identity", "translation", "negation")

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return FloatAggregate(np.ceil(aggregate.values), aggregate.diagnostics), state


class Saturates(Mean):
    info: ClassVar[RuleInfo] = claims(Mean, "permutation", "negation", "scale")

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return FloatAggregate(np.clip(aggregate.values, -9, 9), aggregate.diagnostics), state


class NotQuiteTheMean(Median):
    info: ClassVar[RuleInfo] = claims(Median, "permutation", "mean")


class MeasuresInCodes(Krum):
    """FederatedScope's Krum adds distances of layers, whatever a code of each is worth (3.3)."""

    def apply(self, batch, state, rng):
        return Krum.apply(self, UpdateBatch.from_rows(batch.rows), state, rng)


class TrimsOneTooFew(TrimmedMean):
    """Off by one: f - 1 of the largest are trimmed, where f may lie."""

    info: ClassVar[RuleInfo] = claims(TrimmedMean, "exact", "permutation", "translation", streams="no")

    def apply(self, batch, state, rng):
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        ranked = np.sort(batch.rows, axis=0)[self.f : batch.n - max(self.f - 1, 0)]
        said = TrimmedMean(self.f).apply(batch, state, rng)[0].diagnostics
        if not batch.exact:
            return FloatAggregate(ranked.mean(axis=0), said), state
        return aggregate_of(ranked, said), state


class StaysInside(Meamed):
    """The claim of much literature: that the mean around the median stays within the honest values."""

    info: ClassVar[RuleInfo] = replace(Meamed.info, hull_spread=None)


class StaysNearer(Phocas):
    info: ClassVar[RuleInfo] = replace(Phocas.info, hull_spread=Bound("f / (2 n)", lambda n, f: f / (2 * n)))


@dataclass(frozen=True)
class ClaimsAKappa(Mean):
    """A mean that says f liars move it by no more than the honest spread."""

    f: int = 0
    info: ClassVar[RuleInfo] = replace(Mean.info, kappa=Kappa("10 f / n", "nobody", lambda n, f: 10 * f / n))

    def __post_init__(self):
        require_f(self.name, self.f)

    @property
    def min_clients(self):
        return 2 * self.f + 1


class HasNoFormula(Mean):
    info: ClassVar[RuleInfo] = replace(Mean.info, formula="")


class HasAnothersCard(Mean):
    info: ClassVar[RuleInfo] = Median.info


class Thawed:
    """No dataclass."""

    name, info, min_clients = "mean", Mean.info, 1
    init, apply = Mean.init, Mean.apply


# Streaming.


class ReadsCountsOtherwise(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        if isinstance(batch, UpdateCounts):
            return replace(aggregate, numerator=aggregate.numerator + 1), state
        return aggregate, state


class RefusesTheCountsItClaims(Mean):
    def apply(self, batch, state, rng):
        if isinstance(batch, UpdateCounts):
            batch.rows[0]
        return Mean.apply(self, batch, state, rng)


class StreamsUnsaid(Mean):
    info: ClassVar[RuleInfo] = replace(Mean.info, streams="no")


AGGREGATORS = {
    WritesToItsInput: "input",
    WritesToItsInputInSecret: "input",
    CountsItsCalls: "determinism",
    RemembersTheLast: "determinism",
    DrawsFromNumPy: "randomness",
    Seeds: "randomness",
    partial(ChangesItsState, tau=30.0): "state",
    KeepsAGenerator: "state",
    KeepsATuple: "state",
    ReadsTheStoreAsRows: "storage",
    NeverRaises: "limit",
    partial(ClampsItsF, f=2): "limit",
    partial(FallsBackToTheMean, f=2): "limit",
    partial(RefusesWithAValueError, f=2): "limit",
    partial(DoesNotSayTheLimit, f=2): "limit",
    partial(BelievesHalf, f=2): "limit",
    partial(TakesAnyF, f=1): "parameters",
    DividesByTheNorm: "denial",
    ReturnsAnArray: "result",
    LosesACoordinate: "result",
    IsNotSure: "diagnostics",
    SpeaksForAnother: "diagnostics",
    CountsClients: "diagnostics",
    KeepsNobody: "diagnostics",
    WeighsWhomItDropped: "diagnostics",
    partial(SaysOtherWeights, f=1): "convex",
    FavoursTheFirst: "permutation",
    FavoursTheFirstOfTies: "permutation-up-to-ties",
    partial(SettlesTiesByOrder, f=1): "permutation",
    InThousandths: "scale",
    partial(InThousandths, keeps=("exact", "permutation", "translation", "mean")): "mean",
    IsExactInFloats: "exact",
    TruncatesToTheInputsType: "floats",
    ReadsFloatsOtherwise: "floats",
    Shrinks: "translation",
    RoundsUp: "negation",
    Saturates: "scale",
    partial(NotQuiteTheMean, f=0): "mean",
    partial(MeasuresInCodes, f=1): "units",
    partial(TrimsOneTooFew, f=1): "hull",
    partial(StaysInside, f=1): "hull",
    partial(StaysNearer, f=1): "hull",
    partial(ClaimsAKappa, f=1): "kappa",
    HasNoFormula: "card",
    HasAnothersCard: "card",
    Thawed: "card",
    ReadsCountsOtherwise: "streaming",
    RefusesTheCountsItClaims: "streaming",
    StreamsUnsaid: "streaming",
}


# Pre-aggregators.


class ShufflesViews(Bucketing):
    """FLPoison's bucketing: `random.shuffle` of a matrix swaps views, so rows come twice and clients are lost (3.3)."""

    def apply(self, batch, state, rng):
        rows = batch.rows.copy()
        for i in range(batch.n - 1, 0, -1):
            j = int(rng.integers(i + 1))
            rows[i], rows[j] = rows[j], rows[i]
        honest, state = Bucketing.apply(self, batch, state, rng)
        made = [rows[i : i + self.s].mean(axis=0) for i in range(0, batch.n, self.s)]
        return replace(honest, stored=np.array(made), members=None), state


class DropsTheRest(Bucketing):
    """The last, smaller bucket is dropped; its clients are on record as kept."""

    def rows_out(self, n):
        return max(1, n // self.s)

    def apply(self, batch, state, rng):
        honest, state = Bucketing.apply(self, batch, state, rng)
        least = self.rows_out(batch.n)
        return replace(honest, stored=honest.rows[:least], members=None, mixing=honest.mixing[:least]), state


class PromisesMore(Bucketing):
    def rows_out(self, n):
        return n

    def apply(self, batch, state, rng):
        return Bucketing(self.s, self.f, self.permutation).apply(batch, state, rng)


class ForgetsTheTrace(NNM):
    def apply(self, batch, state, rng):
        passed, state = NNM.apply(self, batch, state, rng)
        return replace(passed, trace=batch.trace), state


class DropsInSilence(NormClip):
    def rows_out(self, n):
        return 1

    def apply(self, batch, state, rng):
        kept = np.arange(batch.n) < max(1, batch.n - 1)
        return batch.select(kept, Diagnostics(self.name, kept)), state


class ClipsInFloats(NormClip):
    def apply(self, batch, state, rng):
        passed, state = NormClip.apply(self, batch, state, rng)
        return replace(passed, stored=passed.rows.astype(np.float64)), state


class ClipsTheCallersArray(ARC):
    """ByzFL's ARC (3.3)."""

    def apply(self, batch, state, rng):
        passed, state = ARC.apply(self, batch, state, rng)
        batch.rows.setflags(write=True)
        batch.rows[:] = passed.rows
        return passed, state


class ClaimsItLeavesEqualRows(NormClip):
    info: ClassVar[RuleInfo] = claims(NormClip, "exact", "permutation", "identity")


class ComparesWithinThePart(NormClip):
    """What it says of a row depends on who came with it."""

    def part(self, batch, state):
        rows, diagnostics = NormClip.part(self, batch, state)
        return rows, replace(diagnostics, score=diagnostics.score - diagnostics.score.min())


class IsRowWiseUnsaid(NormClip):
    info: ClassVar[RuleInfo] = replace(NormClip.info, streams="no")


class ForgetsItsDetails(NormClip):
    def whole(self, diagnostics, batch, state):
        whole, state = NormClip.whole(self, diagnostics, batch, state)
        return (whole if isinstance(batch, UpdateBatch) else diagnostics), state


PREAGGREGATORS = {
    ShufflesViews: "mixing",
    DropsTheRest: "mixing",
    PromisesMore: "rows",
    partial(ForgetsTheTrace, f=1): "rows",
    partial(DropsInSilence, bound=300): "mixing",
    partial(ClipsInFloats, bound=300): "exact",
    partial(ClipsTheCallersArray, f=1): "input",
    partial(ClaimsItLeavesEqualRows, bound=300): "identity",
    Mean: "result",
    partial(ComparesWithinThePart, bound=300): "streaming",
    partial(IsRowWiseUnsaid, bound=300): "streaming",
    partial(ForgetsItsDetails, bound=300): "streaming",
}


# Screens: none are built in, so here is one that keeps its contract, and some that do not.


@dataclass(frozen=True)
class Longest:
    """Drop the longest row, the first of several."""

    name: ClassVar[str] = "longest"
    info: ClassVar[RuleInfo] = RuleInfo(
        "longest", "drop argmax ||x_i||", "n >= 2", "0", "O(n d)", "none", frozenset({"exact", "negation", "scale"})
    )

    @property
    def min_clients(self):
        return 2

    def rows_out(self, n):
        return n - 1

    def init(self, layout):
        return None

    def apply(self, batch, state, rng):
        require_clients(self.name, batch.n, 2, "n >= 2")
        kept = np.arange(batch.n) != int(np.argmax(squared_norms(batch)))
        return batch.select(kept, self.said(kept)), state

    def said(self, kept):
        return Diagnostics(self.name, kept, reasons=tuple("" if stays else "the longest" for stays in kept))


class GivesNoReason(Longest):
    def said(self, kept):
        return Diagnostics(self.name, kept)


class ChangesARow(Longest):
    def apply(self, batch, state, rng):
        passed, state = Longest.apply(self, batch, state, rng)
        return replace(passed, mixing=None, client_ids=batch.client_ids, stored=-batch.rows, trace=passed.trace), state


class MixesRows(Longest):
    info: ClassVar[RuleInfo] = replace(Longest.info, keeps=frozenset())

    def rows_out(self, n):
        return -(-n // 2)

    def apply(self, batch, state, rng):
        passed, state = Bucketing(s=2).apply(batch, state, rng)
        require_clients(self.name, batch.n, 2, "n >= 2")
        return replace(passed, trace=(replace(passed.trace[-1], rule=self.name),)), state


SCREENS = {GivesNoReason: "mixing", ChangesARow: "unchanged", MixesRows: "unchanged"}


def called(mutants):
    return [
        pytest.param(factory, promise, id=re.sub(r".*\.", "", getattr(factory, "func", factory).__name__))
        for factory, promise in mutants.items()
    ]


@pytest.mark.parametrize(("factory", "promise"), called(AGGREGATORS))
def test_an_aggregator_that_breaks_a_promise_is_caught_by_its_name(factory, promise):
    with pytest.raises(ContractError) as caught:
        check_aggregator(factory, examples=1000)  # it ends where it finds one
    assert (caught.value.promise, promise in PROMISES) == (promise, True), str(caught.value)


@pytest.mark.parametrize(("factory", "promise"), called(PREAGGREGATORS))
def test_a_preaggregator_that_breaks_a_promise_is_caught_by_its_name(factory, promise):
    with pytest.raises(ContractError) as caught:
        check_preaggregator(factory)
    assert (caught.value.promise, promise in PROMISES) == (promise, True), str(caught.value)


def test_a_screen_that_keeps_its_contract_passes():
    check_screen(Longest)


@pytest.mark.parametrize(("factory", "promise"), called(SCREENS))
def test_a_screen_that_breaks_a_promise_is_caught_by_its_name(factory, promise):
    with pytest.raises(ContractError) as caught:
        check_screen(factory)
    assert (caught.value.promise, promise in PROMISES) == (promise, True), str(caught.value)


def test_every_promise_has_a_rule_that_breaks_it():
    assert {*AGGREGATORS.values(), *PREAGGREGATORS.values(), *SCREENS.values()} == PROMISES.keys()


def test_the_adversary_tries_the_same_cases_every_time():
    said = []
    for _ in range(2):
        with pytest.raises(ContractError) as caught:
            check_aggregator(partial(TrimsOneTooFew, f=1))
        said.append((str(caught.value), getattr(caught.value, "__notes__", None)))
    assert said[0] == said[1]


def test_a_counterexample_is_shown_whole_and_on_one_line():
    with pytest.raises(ContractError) as caught:
        check_aggregator(partial(TrimsOneTooFew, f=1))
    if sys.version_info >= (3, 11):  # before, Hypothesis prints it
        notes = "\n".join(caught.value.__notes__)
        assert re.search(r"f=1\) of honest \[\[.*\]\], lies \[\[.*\]\], order \(.*\), shifts \(\d, \d\)", notes), notes


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ByzantinyError, match=r"not installed; install it with: pip install 'byzantiny\[test\]'"):
        check_aggregator(Mean)
