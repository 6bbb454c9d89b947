"""Every rule and attack, built in or from an entry point, keeps the public contract; and the suites catch breaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from byzantiny.aggregators import AGGREGATORS, Mean, Median, load_aggregators
from byzantiny.attacks import ALIE, IPM, SignFlip, load_attacks
from byzantiny.preaggregators import NormClip, load_preaggregators
from byzantiny.screening import load_screening
from byzantiny.testing import check_aggregator, check_attack, check_preaggregator, check_screen
from byzantiny.updates import PipelineError
from byzantiny.updates.rules import RuleInfo, load_zoo

REQUIRED = {
    "norm-clip": {"bound": 300},
    "trimmed-mean": {"f": 2},
    "meamed": {"f": 2},
    "phocas": {"f": 2},
    "median-of-means": {"f": 2},
    "rlr": {"theta": 3},
    "top-coordinates": {"k": 20},
    "weighted-mean": {"weights": {"c00000": 3, "c00002": 0}, "default": 2},
    **{name: {"f": 2} for name in ("krum", "multi-krum", "bulyan", "mda", "smea", "caf", "monna", "cge", "arc", "nnm")},
    "centered-clipping": {"tau": 300.0},
}
"""What a rule cannot be built without."""


def factories(zoo):
    return [pytest.param(partial(rule, **REQUIRED.get(name, {})), id=name) for name, rule in zoo.items()]


@pytest.mark.parametrize("factory", [*factories(load_aggregators()), pytest.param(partial(Median, f=3), id="median-f")])
def test_aggregators_conform(factory):
    check_aggregator(factory)


@pytest.mark.parametrize("factory", factories(load_preaggregators()))
def test_preaggregators_conform(factory):
    check_preaggregator(factory)


def test_screens_conform():
    for factory in load_screening().values():
        check_screen(factory)


@pytest.mark.parametrize(
    "factory",
    [
        *factories(load_attacks()),
        pytest.param(partial(SignFlip, scale=4.0, knowledge="omniscient"), id="sign-flip-omniscient"),
        pytest.param(partial(SignFlip, knowledge="colluding"), id="sign-flip-colluding"),
        pytest.param(partial(ALIE, z=-1.5, ddof=0, knowledge="colluding"), id="alie-colluding"),
        pytest.param(partial(IPM, epsilon=30.0, knowledge="colluding"), id="ipm-colluding"),
    ],
)
def test_attacks_conform(factory):
    check_attack(factory)


class Breach(Mean):
    """A mean that breaks one promise; the suite must notice."""

    calls: ClassVar[int] = 0


class FavoursTheFirst(Breach):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return type(aggregate)(aggregate.numerator + batch.rows[0], aggregate.denominator, aggregate.diagnostics), state


class Forgets(Breach):
    def apply(self, batch, state, rng):
        Breach.calls += 1
        aggregate, state = Mean.apply(self, batch, state, rng)
        return type(aggregate)(aggregate.numerator + Breach.calls, aggregate.denominator, aggregate.diagnostics), state


class NeverRaises(Breach):
    @property
    def min_clients(self):
        return 5

    def apply(self, batch, state, rng):
        return Mean().apply(batch, state, rng)


@dataclass(frozen=True)
class Rounds(Mean):
    """Its card claims the mean's properties; truncating to even steps keeps none but the order."""

    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        if not batch.exact:
            return replace(aggregate, values=np.trunc(aggregate.values / 2) * 2), state
        return replace(aggregate, numerator=np.trunc(aggregate.values / 2).astype(np.int64) * 2 * batch.n), state


class RoundsEquivariantly(Rounds):
    info: ClassVar[RuleInfo] = replace(Mean.info, keeps=frozenset({"permutation", "scale"}))


class RoundsInSecret(Rounds):
    info: ClassVar[RuleInfo] = replace(Mean.info, keeps=frozenset({"permutation", "mean"}))


@dataclass(frozen=True)
class ClaimsAHull(Mean):
    """A mean that says the honest values bound it."""

    f: int = 0
    info: ClassVar[RuleInfo] = replace(Mean.info, hull_steps=1.0)

    @property
    def min_clients(self):
        return 2 * self.f + 1


@dataclass(frozen=True)
class ReadsFloatsOtherwise(Mean):
    def apply(self, batch, state, rng):
        aggregate, state = Mean.apply(self, batch, state, rng)
        return aggregate if batch.exact else replace(aggregate, values=aggregate.values + 1), state


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Rounds, "equal rows, another aggregate"),
        (RoundsEquivariantly, "no scale equivariance"),
        (RoundsInSecret, "it is not the mean"),
        (ReadsFloatsOtherwise, "float rows disagree"),
        (ClaimsAHull, "outside the honest values"),
        (FavoursTheFirst, "order matters"),
        (Forgets, "equal inputs, different results"),
        (NeverRaises, "fewer than min_clients"),
        (partial(NormClip, bound=3), "coordinates|has no attribute"),
    ],
)
def test_the_suite_catches(factory, message):
    with pytest.raises((AssertionError, AttributeError), match=message):
        check_aggregator(factory)


@dataclass(frozen=True)
class Peeks(SignFlip):
    """Declares that it sees its own update and mixes in another attacker's."""

    def craft(self, context):
        return SignFlip.craft(self, context) + context.own.sum(axis=0)


def test_the_suite_catches_an_attack_that_peeks():
    with pytest.raises(AssertionError, match="depends on another attacker"):
        check_attack(Peeks)


def test_a_name_that_is_taken_is_refused(monkeypatch):
    class Point:
        name, value = "median", "elsewhere:Median"

    monkeypatch.setattr("byzantiny.updates.rules.entry_points", lambda group: [Point()])
    with pytest.raises(PipelineError, match="which is taken"):
        load_zoo({"median": Median}, "byzantiny.aggregators")


def test_a_rule_from_an_entry_point_joins_the_zoo(monkeypatch):
    class Point:
        name, value = "theirs", "elsewhere:Theirs"

        def load(self):
            return Mean

    monkeypatch.setattr("byzantiny.updates.rules.entry_points", lambda group: [Point()])
    assert list(load_aggregators()) == [*AGGREGATORS, "theirs"]
    assert np.all([callable(rule) for rule in load_aggregators().values()])


def test_a_card_cannot_claim_an_unknown_property():
    with pytest.raises(PipelineError, match="known properties: permutation, identity"):
        replace(Mean.info, keeps=frozenset({"optimal"}))
