"""No rule slips: whatever a user or a client gets wrong, over the whole zoo, is an error that says what to do."""

from __future__ import annotations

import inspect
import math
import re
from itertools import product

import numpy as np
import pytest

from byzantiny.aggregators import AGGREGATORS, load_aggregators
from byzantiny.federation import Federation, build_pipeline
from byzantiny.preaggregators import PREAGGREGATORS, load_preaggregators
from byzantiny.screening import load_screening
from byzantiny.updates import (
    FLOAT_LIMIT,
    AggregationError,
    BeyondLimitError,
    InvalidBatchError,
    Layout,
    PipelineError,
    TensorSpec,
    UpdateBatch,
)

REQUIRED = {
    "f": 2, "bound": 300, "theta": 3, "k": 20, "tau": 300.0, "weights": {"c00000": 3, "c00002": 0}, "default": 2
}  # fmt: skip
"""Parameters for rules that cannot be built without."""

RULES = {**load_aggregators(), **load_preaggregators(), **load_screening()}
TAKES_F = [name for name, rule in RULES.items() if "f" in inspect.signature(rule).parameters]
LAYOUT = Layout((TensorSpec("w", (24,), "int16", 14), TensorSpec("b", (3,), "int32", 12)))

CODES_ONLY = {"grouped-median", "sr-median", "norm-clip", "adaptive-norm-clip", "zeroing"}
"""Rules that count codes, or measure exactly."""

NONSENSE = [None, "x", "", -1, 0, 1.5, True, math.nan, math.inf, -math.inf, [], {}, [1, "a"], (0, 0), 10**30, object()]


def needed(name):
    """What a rule is built with: what it requires, and what median-of-means and weighted-mean want one of."""
    known = inspect.signature(RULES[name]).parameters
    wanted = {"median-of-means": ("f",), "weighted-mean": ("weights", "default")}.get(name, ())
    return {key: REQUIRED[key] for key, p in known.items() if p.default is p.empty or key in wanted}


def build(name, **parameters):
    return RULES[name](**{**needed(name), **parameters})


def batch_of(n, dtype=np.int8):
    rows = np.random.default_rng(n).integers(-127, 128, (n, LAYOUT.d))
    return UpdateBatch.from_rows(rows.astype(dtype), LAYOUT, (5, 3))


def apply(rule, batch):
    return rule.apply(batch, rule.init(LAYOUT), rng=np.random.default_rng(0))[0]


# Rows that no rule may see: refused where the batch is made, so no rule can choose one, and none has to check.


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2 * FLOAT_LIMIT, -1e308])
def test_a_row_that_is_no_number_or_beyond_the_range_never_reaches_the_rule(name, bad):
    """ByzFL's Krum returns the attacker's row if it holds a nan; its Median, Meamed, GeometricMedian, CenteredClipping are
    nan then, and an infinity breaks the last (attacks_and_defences.md 3.3).
    """
    rule = build(name)
    rows = batch_of(rule.min_clients + 2, np.float64).rows.copy()
    rows[1, 5] = bad
    with pytest.raises(
        InvalidBatchError, match=r"nan or infinity: .*; refuse them|in magnitude: .* 2\^200; scale them down"
    ):
        apply(rule, UpdateBatch.from_rows(rows, LAYOUT, (5, 3)))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("magnitude", [1e-300, 0.3, 1e30, FLOAT_LIMIT])
def test_rows_up_to_the_range_overflow_in_no_rule(name, magnitude):
    """A warning is an error here, so nothing may overflow on the way either."""
    rule = build(name)
    n = rule.min_clients + 3
    one_far = np.vstack([np.ones((n - 1, LAYOUT.d)), np.full((1, LAYOUT.d), magnitude)])
    signs = np.random.default_rng(1).choice([-magnitude, magnitude], (n, LAYOUT.d))
    for rows in (np.full((n, LAYOUT.d), magnitude), one_far, signs):
        batch = UpdateBatch.from_rows(rows, LAYOUT, (5, 3))
        if name in CODES_ONLY:
            with pytest.raises(InvalidBatchError, match=r"need int8 codes|counts codes on the grid"):
                apply(rule, batch)
            return
        result = apply(rule, batch)
        assert np.isfinite(result.rows if isinstance(result, UpdateBatch) else result.values).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 27), np.int8), r"shape \(0, 27\): need at least 1 row and 1 coordinate"),
        (
            np.zeros((3, 27), np.float32),
            "type float32: need int8 codes, or float64 .*; put real values on the grid with",
        ),
        (np.zeros((3, 27), np.int64), "type int64: need int8 codes"),
        (np.full((3, 27), -128, np.int8), r"code -128: codes are -127 \.\. 127; refuse"),
        (np.zeros((3, 28), np.int8), "28 coordinates: the layout has 27; use the layout of the round's offer"),
    ],
)
def test_what_is_no_batch_is_refused_with_the_value_the_limit_and_the_remedy(rows, message):
    with pytest.raises(InvalidBatchError, match=message):
        UpdateBatch.from_rows(rows, LAYOUT, (5, 3))


# Too few rows, no count, no sense.


@pytest.mark.parametrize("f", [0, 1, 2, 4])
@pytest.mark.parametrize("name", TAKES_F)
def test_fewer_rows_than_the_rule_needs_raise_with_both_numbers_and_a_remedy(name, f):
    theta = {"theta": 5} if name == "rlr" else {}
    rule = build(name, f=f, **theta)
    for n in range(1, rule.min_clients):
        with pytest.raises(
            BeyondLimitError, match=rf"^{name} of {n} rows: .*that is {rule.min_clients}; raise the quorum$"
        ):
            apply(rule, batch_of(n))
    apply(rule, batch_of(rule.min_clients))


@pytest.mark.parametrize("wrong", [-1, 1.5, "2", True, math.nan, [2]])
@pytest.mark.parametrize("name", TAKES_F)
def test_an_f_that_is_no_count_of_clients_is_refused_when_the_rule_is_built(name, wrong):
    with pytest.raises(PipelineError, match=rf"^{name}: f is {re.escape(repr(wrong))}; it is .*an integer from 0"):
        build(name, f=wrong)


PARAMETERS = [(name, parameter) for name, rule in RULES.items() for parameter in inspect.signature(rule).parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_parameter_that_makes_no_sense_is_refused_by_name_or_makes_a_rule_that_works(name, parameter):
    """No TypeError out of a comparison, in a round or before: 10^30 may be a number of steps, a nan is nothing."""
    accepted, refusals = [], []
    for value in NONSENSE:
        try:
            rule = build(name, **{parameter: value})
        except PipelineError as error:
            refusals.append(str(error))
            continue
        if rule.min_clients > 64 or (parameter in ("L", "max_iterations") and value == 10**30):
            continue
        accepted.append(value)
        try:
            apply(rule, batch_of(rule.min_clients + 3))
        except AggregationError as error:  # a client that is not there, a permutation of another number of rows
            refusals.append(str(error))
    assert all(text.startswith(name) for text in refusals), refusals
    assert not any(isinstance(x, float) and not math.isfinite(x) for x in accepted)
    assert not any(type(x) is object for x in accepted)


# Pipelines: f once, and every stage held to what is left.

STAGES = {name: {"name": name, **{key: value for key, value in needed(name).items() if key != "f"}} for name in RULES}


def federation_of(*names, f, **more):
    return Federation(LAYOUT, build_pipeline([{**STAGES[name], **more.get(name, {})} for name in names], f_declared=f))


def one_round(federation, n):
    return federation.apply(federation.init(np.zeros(LAYOUT.d, np.int32)), batch_of(n), np.random.default_rng(0))[1]


@pytest.mark.parametrize("f", [0, 1, 3])
def test_arc_nnm_and_trimmed_mean_share_the_declared_f_and_all_say_that_they_ran(f):
    federation = federation_of("arc", "nnm", "trimmed-mean", f=f)
    assert [rule.f for rule in federation.pipeline.rules] == [f] * 3
    assert federation.pipeline.min_clients == 2 * f + 1
    stages = one_round(federation, 2 * f + 1).stages
    assert [(stage.rule, stage.ran) for stage in stages] == [("arc", True), ("nnm", True), ("trimmed-mean", True)]


@pytest.mark.parametrize(
    ("names", "f", "more", "least", "who"),
    [
        (("arc", "nnm", "trimmed-mean"), 3, {}, 7, "arc of 6 rows: f = 3"),
        (("arc", "nnm", "krum"), 3, {}, 9, "krum of 8 rows: f = 3 needs n >= 2f + 3, that is 9"),
        (("bucketing", "median"), 3, {}, 13, "bucketing of 12 rows: f = 3, s = 2 need n >= 2 f s + 1, that is 13"),
        (("bucketing", "krum"), 2, {"bucketing": {"s": 3}}, 19, "krum of 6 rows: f = 2 needs n >= 2f + 3, that is 7"),
        (("zeroing", "trimmed-mean"), 2, {}, 9, ""),
        (("zeroing", "arc", "bucketing", "bulyan"), 1, {}, 25, ""),
        (("nnm", "bucketing", "median-of-means"), 2, {}, 9, "bucketing of 8 rows"),
    ],
)
def test_a_pipeline_knows_its_least_cohort_and_one_client_fewer_raises_at_the_stage_that_lacks_rows(
    names, f, more, least, who
):
    federation = federation_of(*names, f=f, **more)
    assert federation.pipeline.min_clients == least
    one_round(federation, least)
    if who:  # zeroing is held to the rows it is sure to leave; how many it leaves depends on the norms
        with pytest.raises(BeyondLimitError, match=re.escape(who)):
            one_round(federation, least - 1)


@pytest.mark.parametrize(("before", "rule"), list(product([*PREAGGREGATORS], [*AGGREGATORS])))
def test_every_pair_works_at_its_least_cohort_or_says_what_it_cannot_read(before, rule):
    """Rules that count codes, or weigh clients, cannot follow a stage that mixes."""
    more = {"rlr": {"theta": 5}}
    federation = federation_of(before, rule, f=1, **more)
    mixes = before in ("nnm", "bucketing")
    needs_codes = rule in ("grouped-median", "sr-median")
    if mixes and (needs_codes or rule == "weighted-mean"):
        with pytest.raises(InvalidBatchError, match=r"(take out|put) the mixing stage"):
            one_round(federation, federation.pipeline.min_clients)
        return
    diagnostics = one_round(federation, federation.pipeline.min_clients)
    assert [stage.rule for stage in diagnostics.stages] == [before, rule]
    assert all(stage.n == federation.pipeline.min_clients for stage in diagnostics.stages)


@pytest.mark.parametrize("name", [name for name in TAKES_F if "f" in needed(name) and name != "median-of-means"])
def test_a_pipeline_without_a_declared_f_names_the_rule_that_needs_it(name):
    stages = [STAGES[name]] if name in AGGREGATORS else [STAGES[name], {"name": "mean"}]
    with pytest.raises(PipelineError, match=f"^{name} needs f; add it to the stage$"):
        build_pipeline(stages)
