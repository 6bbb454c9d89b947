"""What the cards say in words is what the rules do."""

from __future__ import annotations

import inspect
import re
from functools import partial

import pytest

from byzantiny.aggregators import (
    AGGREGATORS,
    MDA,
    RLR,
    SMEA,
    CenteredClipping,
    GeometricMedian,
    GroupedMedian,
    Median,
    MedianOfMeans,
    MoNNA,
    MultiKrum,
    SignMajorityVote,
    SRMedian,
    WeightedMean,
)
from byzantiny.preaggregators import PREAGGREGATORS, AdaptiveNormClip, Bucketing, NormClip, TopCoordinates, Zeroing
from byzantiny.testing import check_aggregator, check_preaggregator

RULES = {**AGGREGATORS, **PREAGGREGATORS}
LINEAR = re.compile(r"n >= (?:(\d*)f \+ )?(\d+)(?= *$|;| with f declared| and)")


def takes_only_f(name):
    known = inspect.signature(RULES[name]).parameters
    return "f" in known and all(p.default is not p.empty for key, p in known.items() if key != "f")


@pytest.mark.parametrize("f", [1, 2, 5])
@pytest.mark.parametrize("name", [name for name in RULES if takes_only_f(name)])
def test_the_limit_on_the_card_is_the_rule_s(name, f):
    """Of `n >= 2f + 3` and the like; the others (2 f s + 1, a quantile) have tests of their own."""
    found = [(int(a or 1) if "f" in m else 0, int(b)) for m, a, b in matches(RULES[name].info.limit)]
    if name in ("bucketing", "adaptive-norm-clip", "median-of-means"):
        return
    assert found, RULES[name].info.limit
    assert RULES[name](f=f).min_clients == max(a * f + b for a, b in found)


def matches(limit):
    return [(match.group(0), match.group(1), match.group(2)) for match in LINEAR.finditer(limit)]


@pytest.mark.parametrize("name", RULES)
def test_a_card_says_rows_of_codes_where_floats_are_refused(name):
    codes_only = name in ("grouped-median", "sr-median", "norm-clip", "adaptive-norm-clip", "zeroing")
    assert bool(re.search("rows of codes|int8 rows", RULES[name].info.limit)) == codes_only


# Not here: `start` and `max_iterations` of the geometric median, which are for repeating others' figures; where it has not
# arrived it depends on where it began.
OTHER_PARAMETERS = [
    partial(MultiKrum, f=2, m=3),
    partial(MedianOfMeans, k=7, f=2),
    partial(MedianOfMeans, k=1),
    partial(RLR, theta=5, f=2),
    partial(SignMajorityVote, step=127, f=3),
    partial(GeometricMedian, f=2, nu=0.1, tolerance=1e-12),
    partial(CenteredClipping, tau=20.0, L=3, start="median"),
    partial(CenteredClipping, tau=0.5, L=2),
    partial(GroupedMedian, f=3),
    partial(SRMedian, f=3),
    partial(Median, f=0),
    partial(MDA, f=4),
    partial(SMEA, f=3),
    partial(WeightedMean, default=7),
]


@pytest.mark.parametrize("factory", OTHER_PARAMETERS, ids=repr)
def test_aggregators_keep_their_contract_with_other_parameters(factory):
    check_aggregator(factory, examples=25)


def test_monna_keeps_it_wherever_its_trusted_row_stands():
    check_aggregator(partial(MoNNA, f=1, idx=0), honest_first=True)


@pytest.mark.parametrize(
    "factory",
    [
        partial(NormClip, bound=1),
        partial(NormClip, bound=40, finest=-9),
        partial(AdaptiveNormClip, gamma=0.9, eta=1.0, f=2),
        partial(Zeroing, z=1.0, f=3),
        partial(Bucketing, s=5, f=1),
        partial(Bucketing, s=1),
        partial(TopCoordinates, k=1),
    ],
    ids=repr,
)
def test_preaggregators_keep_their_contract_with_other_parameters(factory):
    check_preaggregator(factory, examples=25)
