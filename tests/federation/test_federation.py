"""A round is a pure function: the fold over the pipeline, the exact server step, the state as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.aggregators import Mean
from byzantiny.federation import (
    Federation,
    GridPolicy,
    GridState,
    Pipeline,
    Scales,
    ServerState,
    build_pipeline,
    server_step,
)
from byzantiny.updates import (
    Aggregate,
    AggregationError,
    BeyondLimitError,
    Diagnostics,
    FloatAggregate,
    PipelineError,
    UpdateBatch,
)
from byzantiny.updates.rules import RuleInfo
from byzantiny_models.networks import NETWORKS, Layout, TensorSpec

LAYOUT = Layout((TensorSpec("w", (3,), "int16", 14), TensorSpec("b", (2,), "int32", 12)))
SHIFTS = (4, 2)
ONE = Diagnostics("x", np.array([True]))


def rng():
    return np.random.default_rng(0)


def half_away(x: Fraction) -> int:
    nearest = (abs(x) + Fraction(1, 2)).__floor__()
    return nearest if x >= 0 else -nearest


models = st.tuples(*[st.integers(-32_512, 32_512)] * 3, *[st.integers(-(2**24) + 1, 2**24 - 1)] * 2)


@given(models, st.lists(st.integers(-127_000, 127_000), min_size=5, max_size=5), st.integers(1, 1000))
def test_the_server_step_is_python_s_fractions_then_saturation(model, numerator, denominator):
    stepped = server_step(
        LAYOUT, np.array(model, dtype=np.int32), Aggregate(np.array(numerator), np.int64(denominator), ONE), SHIFTS
    )
    for i, (w, num) in enumerate(zip(model, numerator, strict=True)):
        limit, shift = (32_512, 4) if i < 3 else (2**24 - 1, 2)
        exact = w + half_away(Fraction(num * 2**shift, denominator))
        assert stepped[i] == max(-limit, min(limit, exact))


def test_saturation_and_negative_halves_by_hand():
    model = np.array([32_500, -32_500, 0, 2**24 - 2, 0], dtype=np.int32)
    halves = Aggregate(np.array([127, -127, -1, 127, -1]), np.array([1, 1, 32, 1, 8]), ONE)
    assert server_step(LAYOUT, model, halves, SHIFTS).tolist() == [32_512, -32_512, -1, 2**24 - 1, -1]


@given(models, st.lists(st.floats(-127, 127), min_size=5, max_size=5))
def test_a_float_rule_s_step_is_rounded_half_away(model, values):
    stepped = server_step(LAYOUT, np.array(model, dtype=np.int32), FloatAggregate(np.array(values), ONE), SHIFTS)
    for i, (w, value) in enumerate(zip(model, values, strict=True)):
        limit, shift = (32_512, 4) if i < 3 else (2**24 - 1, 2)
        assert stepped[i] == max(-limit, min(limit, w + half_away(Fraction(value) * 2**shift)))


def test_an_aggregate_of_another_length_is_refused():
    with pytest.raises(AggregationError, match="4 coordinates"):
        server_step(LAYOUT, np.zeros(5, dtype=np.int32), Aggregate(np.zeros(4, np.int64), np.int64(1), ONE), SHIFTS)


def test_a_state_with_a_grid_comes_back_from_its_bytes_and_one_without_keeps_its_version():
    model = np.array([1, -2], dtype=np.int32)
    fixed, adapted = ServerState(3, model), ServerState(3, model, (), GridState((6, 4), (-2, 1)))
    assert ServerState.from_bytes(adapted.to_bytes()).grid == GridState((6, 4), (-2, 1))
    assert ServerState.from_bytes(fixed.to_bytes()).grid is None
    assert [msgspec.msgpack.decode(s.to_bytes(), ext_hook=lambda *_: 0)["version"] for s in (fixed, adapted)] == [1, 2]
    later = msgspec.msgpack.encode({"version": 3, "round_num": 3, "model": 0, "stages": []})
    with pytest.raises(AggregationError, match="version 3: this release reads 1 and 2"):
        ServerState.from_bytes(later)


def test_a_federation_adapts_its_grid_only_by_rounds_that_have_an_aggregate():
    policy = GridPolicy(LAYOUT, SHIFTS, f=0, every_rounds=1)
    federation = Federation(LAYOUT, build_pipeline([{"name": "mean"}]), policy)
    batch = batch_of([[1, 0, -1, 1, 1]])
    start = federation.init(np.zeros(5, dtype=np.int32))
    state, _ = federation.apply(start, batch, rng())
    assert state.grid == start.grid == policy.init(), "apply leaves the grid to adapt, which is told what came"
    assert federation.adapt(state, Scales.of(batch)).grid == GridState((3, 1), (0, 0))
    assert federation.skip(state).grid == policy.init()
    fixed = Federation(LAYOUT, federation.pipeline)
    assert fixed.adapt(fixed.init(start.model), Scales.of(batch)).grid is None
    with pytest.raises(AggregationError, match="carries no grid"):
        federation.adapt(fixed.init(start.model), Scales.of(batch))


def test_a_length_in_a_pipeline_counts_steps_of_the_grid_it_is_told():
    pipeline = build_pipeline([{"name": "norm-clip", "bound": 10}, {"name": "median"}], finest=-10)
    assert pipeline.stages[0].finest == -10
    given_one = build_pipeline([{"name": "centered-clipping", "tau": 3.0, "finest": -7}], finest=-10)
    assert given_one.aggregator.finest == -7


def batch_of(rows):
    return UpdateBatch.from_rows(np.array(rows, dtype=np.int8), LAYOUT, SHIFTS)


ROWS = np.random.default_rng(2).integers(-127, 128, (7, 5))


def test_a_round_is_a_function_of_its_arguments():
    federation = Federation(LAYOUT, build_pipeline([{"name": "norm-clip", "bound": 90}, {"name": "median"}], 2))
    start = federation.init(np.zeros(5, dtype=np.int32))
    before = start.to_bytes()
    first, diagnostics = federation.apply(start, batch_of(ROWS), rng())
    second, _ = federation.apply(start, batch_of(ROWS), rng())
    assert first.to_bytes() == second.to_bytes() != before
    assert start.to_bytes() == before
    assert (start.round_num, first.round_num, diagnostics.round_num) == (0, 1, 1)
    assert [stage.rule for stage in diagnostics.stages] == ["norm-clip", "median"]
    assert len(diagnostics.records()) == 14
    msgspec.json.encode(diagnostics.records())


@given(st.permutations(range(7)))
def test_the_order_of_arrival_does_not_matter(order):
    federation = Federation(LAYOUT, build_pipeline([{"name": "norm-clip", "bound": 90}, {"name": "mean"}]))
    ids = [f"dev-{i}" for i in range(7)]
    start = federation.init(np.zeros(5, dtype=np.int32))
    shuffled = UpdateBatch.from_rows(
        ROWS[list(order)].astype(np.int8), LAYOUT, SHIFTS, client_ids=[ids[i] for i in order]
    )
    ordered = UpdateBatch.from_rows(ROWS.astype(np.int8), LAYOUT, SHIFTS, client_ids=ids)
    results = [federation.apply(start, batch, rng())[0].to_bytes() for batch in (shuffled, ordered)]
    assert results[0] == results[1]


def test_a_resumed_state_gives_the_same_bytes():
    network = NETWORKS["mlp-64-32-10"]
    federation = Federation(network.layout, build_pipeline([{"name": "median"}], 3))
    state = resumed = federation.init(np.zeros(network.layout.d, dtype=np.int32))
    for round_num in range(1, 4):
        codes = np.random.default_rng(round_num).integers(-127, 128, (9, network.layout.d)).astype(np.int8)
        batch = UpdateBatch.from_rows(codes, network.layout, network.layout.default_shifts(5))
        state, _ = federation.apply(state, batch, rng())
        resumed, _ = federation.apply(ServerState.from_bytes(resumed.to_bytes()), batch, rng())
    assert state.to_bytes() == resumed.to_bytes()
    assert state.round_num == 3


def test_beyond_the_limit_the_round_fails_and_skip_keeps_the_model():
    federation = Federation(LAYOUT, build_pipeline([{"name": "median"}], f_declared=4))
    state = federation.init(np.arange(5, dtype=np.int32))
    with pytest.raises(BeyondLimitError, match="that is 9"):
        federation.apply(state, batch_of(ROWS), rng())
    skipped = federation.skip(state)
    assert (skipped.round_num, skipped.model.tolist()) == (1, [0, 1, 2, 3, 4])


def test_another_layout_or_model_is_refused():
    federation = Federation(LAYOUT, build_pipeline([{"name": "mean"}]))
    with pytest.raises(AggregationError, match=r"int32 \(5,\)"):
        federation.init(np.zeros(5))
    state = federation.init(np.zeros(5, dtype=np.int32))
    with pytest.raises(AggregationError, match="another layout"):
        federation.apply(state, UpdateBatch.from_rows(ROWS.astype(np.int8)), rng())


@dataclass(frozen=True)
class Pairs:
    """A pre-aggregator that mixes and counts its rounds, as bucketing and momentum rules will."""

    name: ClassVar[str] = "pairs"
    info: ClassVar[RuleInfo] = RuleInfo("pairs", "f", "l", "b", "c", "p")
    min_clients: ClassVar[int] = 2

    def rows_out(self, n):
        return n // 2

    def init(self, layout):
        return {"rounds": 0, "last": np.zeros(layout.d)}

    def apply(self, batch, state, rng):
        half = batch.n // 2
        mixing = np.zeros((half, batch.n))
        for i in range(half):
            mixing[i, 2 * i : 2 * i + 2] = 0.5
        rows = mixing @ batch.rows
        diagnostics = Diagnostics(self.name, np.arange(batch.n) < 2 * half)
        return batch.with_rows(rows, diagnostics, mixing), {"rounds": state["rounds"] + 1, "last": rows[0].copy()}


def test_stages_that_mix_and_remember_fit_the_same_fold():
    pipeline = Pipeline((Pairs(),), Mean())
    assert pipeline.min_clients == 2
    federation = Federation(LAYOUT, pipeline)
    state = federation.init(np.zeros(5, dtype=np.int32))
    for _ in range(2):
        state, diagnostics = federation.apply(state, batch_of(ROWS), rng())
    assert state.stages[0]["rounds"] == 2
    assert diagnostics.kept.tolist() == [True] * 6 + [False]
    np.testing.assert_allclose(diagnostics.stages[-1].weight, [1 / 6] * 6 + [0])
    expected = ROWS[:6].mean(axis=0)
    np.testing.assert_allclose(diagnostics.aggregate.values, expected)
    assert ServerState.from_bytes(state.to_bytes()).stages[0]["last"].tolist() == state.stages[0]["last"].tolist()


def test_a_pipeline_counts_rows_through_its_stages():
    from byzantiny.aggregators import Median

    assert Pipeline((Pairs(), Pairs()), Median(f=2)).min_clients == 20


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"name": "medain"}], "unknown rule 'medain'; did you mean 'median'"),
        ([{"nome": "median"}], "unknown rule 'None'"),
        ([{"name": "norm-clip", "bond": 3}, {"name": "mean"}], "no parameter 'bond'; did you mean 'bound'"),
        ([{"name": "mean", "f": 3}], "no parameter 'f'"),
        ([{"name": "norm-clip"}, {"name": "mean"}], "norm-clip needs bound"),
        ([{"name": "norm-clip", "bound": 0}, {"name": "mean"}], "bound is 0"),
        ([{"name": "norm-clip", "bound": 9}], "exactly 1 aggregator"),
        ([{"name": "mean"}, {"name": "median"}], "exactly 1 aggregator"),
        ([{"name": "mean"}, {"name": "norm-clip", "bound": 9}], "screening, then pre-aggregators"),
        ([], "a pipeline of nothing"),
    ],
)
def test_a_pipeline_that_cannot_be_built_says_why(stages, message):
    with pytest.raises(PipelineError, match=message):
        build_pipeline(stages)


def test_f_declared_reaches_the_rules_that_take_it_unless_overridden():
    assert build_pipeline([{"name": "median"}], f_declared=2).aggregator.f == 2
    assert build_pipeline([{"name": "median", "f": 1}], f_declared=2).aggregator.f == 1
    assert build_pipeline([{"name": "mean"}], f_declared=2).min_clients == 1


@pytest.mark.parametrize(
    "blob", [b"", b"\x80", b"\xc1", b"not a state", ServerState(0, np.zeros(1, np.int32)).to_bytes()[:-1]]
)
def test_damaged_state_bytes_are_refused(blob):
    with pytest.raises(AggregationError, match="no server state"):
        ServerState.from_bytes(blob)


def test_a_state_that_is_no_plain_data_is_refused():
    with pytest.raises(AggregationError, match="cannot be stored"):
        ServerState(0, np.zeros(1, np.int32), (object(),)).to_bytes()
