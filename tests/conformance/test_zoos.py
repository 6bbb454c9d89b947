"""Every rule and attack, built in or from an entry point, keeps the public contract."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from byzantiny.aggregators import AGGREGATORS, Mean, Median, load_aggregators
from byzantiny.attacks import ALIE, IPM, SignFlip, load_attacks
from byzantiny.preaggregators import load_preaggregators
from byzantiny.screening import load_screening
from byzantiny.testing import check_aggregator, check_attack, check_preaggregator, check_screen
from byzantiny.updates import PipelineError
from byzantiny.updates.rules import load_zoo

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


VARIANTS = [
    *[(name, {"direction": way}) for name in ("min-max", "min-sum") for way in ("sign", "std")],
    *[
        (name, {"knowledge": "colluding"})
        for name in ("min-max", "fang-krum", "fang-trimmed", "agr-tailored", "drift-mimicry")
    ],
    *[("directed-rounding", {"knowledge": knowledge}) for knowledge in ("colluding", "omniscient")],
    ("min-sum", {"threshold": "min"}),
    ("saturate", {"knowledge": "own"}),
    ("saturation-pinning", {"knowledge": "omniscient"}),
    ("lsb-budget", {"budget": 3, "direction": "std", "knowledge": "omniscient"}),
    ("bit-flip", {"flips": 2, "bit": 7}),
    ("zero", {"noise": 2.0}),
    ("mimic", {"choose": "spread"}),
    ("label-flip", {"how": "random"}),
    ("backdoor", {"trigger": "tone"}),
    ("model-replacement", {"trigger": "spike", "target": 2}),
    ("poisoned-start", {"trigger": "none", "target": None, "count": 2}),
]
"""Attacks with other parameters, which know, need or draw something else."""


def factories(zoo):
    return [pytest.param(partial(rule, **REQUIRED.get(name, {})), id=name) for name, rule in zoo.items()]


@pytest.mark.parametrize("factory", [*factories(load_aggregators()), pytest.param(partial(Median, f=3), id="median-f")])
def test_aggregators_conform(factory):
    check_aggregator(factory, honest_first=factory().name == "monna")


@pytest.mark.soak
@pytest.mark.parametrize("factory", factories(load_aggregators()))
def test_a_long_search_finds_no_lies_beyond_the_bounds_either(factory):
    check_aggregator(factory, examples=2000, honest_first=factory().name == "monna")


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
        *(
            pytest.param(partial(load_attacks()[name], **given), id="-".join([name, *map(str, given.values())]))
            for name, given in VARIANTS
        ),
    ],
)
def test_attacks_conform(factory):
    check_attack(factory)


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
    with pytest.raises(PipelineError, match="known properties: exact, permutation, permutation-up-to-ties, identity"):
        replace(Mean.info, keeps=frozenset({"optimal"}))
