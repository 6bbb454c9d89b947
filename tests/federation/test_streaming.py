"""A streamed round gives the very bytes of one whose rows were kept: model, state, and the account of every client."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny import kernels
from byzantiny.aggregators import Median
from byzantiny.federation import Federation, Pipeline, StreamedRound, build_pipeline
from byzantiny.federation.streaming import STREAM_ABOVE, StreamBuffer
from byzantiny.preaggregators import NormClip
from byzantiny.updates import (
    AggregationError,
    BeyondLimitError,
    CountsBuffer,
    Diagnostics,
    InvalidBatchError,
    Layout,
    TensorSpec,
    UpdateBatch,
    UpdateBuffer,
)
from byzantiny.updates.counts_buffer import CHUNK, PART

LAYOUT = Layout((TensorSpec("kernel", (5, 13), "int16", 14), TensorSpec("bias", (5,), "int32", 12)))
SHIFTS = (5, 4)

PIPELINES = {
    "mean": [{"name": "mean"}],
    "median": [{"name": "median"}],
    "clip, trimmed mean": [{"name": "norm-clip", "bound": 350}, {"name": "trimmed-mean"}],
    "two stages, meamed": [
        {"name": "top-coordinates", "k": 20},
        {"name": "norm-clip", "bound": 200},
        {"name": "meamed"},
    ],
    "adaptive, sr-median": [{"name": "adaptive-norm-clip", "bound": 300, "eta": 0.9}, {"name": "sr-median"}],
    "clip, phocas": [{"name": "norm-clip", "bound": 350}, {"name": "phocas"}],
    "grouped-median": [{"name": "grouped-median"}],
    "votes": [{"name": "sign-majority-vote", "step": 3}],
    "rlr": [{"name": "norm-clip", "bound": 300}, {"name": "rlr", "theta": 80}],
}


def rng(seed=0):
    return np.random.default_rng(seed)


def codes_of(n, seed=0):
    """Rows of very different lengths, with ties and extremes."""
    rows = rng(seed).integers(-127, 128, (n, LAYOUT.d)) >> rng(seed + 1).integers(0, 7, (n, 1))
    rows[:, ::7] = rng(seed + 2).choice([-127, 0, 0, 1, 127], rows[:, ::7].shape)
    return rows.astype(np.int8)


def ids_of(n):
    return [f"dev-{i:05d}" for i in range(n)]


def collected(buffer, rows, order):
    ids = ids_of(len(rows))
    for i in order:
        buffer.put(ids[i], rows[i])
    return buffer.batch()


def both(federation, state, rows, cohort=None):
    """(kept, streamed) rounds of the same updates, which came in different orders; `cohort` may be larger than they."""
    ids, n = ids_of(cohort or len(rows)), len(rows)
    kept = collected(UpdateBuffer(LAYOUT, SHIFTS, ids), rows, range(n))
    streamed = collected(federation.buffer(state, SHIFTS, ids), rows, rng(9).permutation(n).tolist())
    assert isinstance(streamed, StreamedRound)
    return kept, streamed


def account(diagnostics):
    return (diagnostics.records(), [dict(stage.details) for stage in diagnostics.stages], diagnostics.kept.tolist())


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_a_streamed_federation_gives_the_same_bytes_and_accounts_round_after_round(pipeline):
    federation = Federation(LAYOUT, build_pipeline(pipeline, f_declared=40))
    start = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
    states = [start, start]
    for round_num, n in enumerate((STREAM_ABOVE + 1, 1100, 513)):
        batches = both(federation, states[1], codes_of(n, round_num))
        results = [federation.apply(state, batch, rng(round_num)) for state, batch in zip(states, batches, strict=True)]
        states = [state for state, _ in results]
        assert states[0].to_bytes() == states[1].to_bytes()
        assert account(results[0][1]) == account(results[1][1])
    assert states[0].model.any()


def test_clients_that_never_came_are_in_neither(monkeypatch):
    federation = Federation(LAYOUT, build_pipeline([{"name": "norm-clip", "bound": 300}, {"name": "median"}]))
    state = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
    for n in (1, PART, PART + 1, CHUNK, CHUNK + 1):
        results = [federation.apply(state, batch, rng()) for batch in both(federation, state, codes_of(n), cohort=600)]
        assert results[0][0].to_bytes() == results[1][0].to_bytes()
        assert account(results[0][1]) == account(results[1][1])


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(source):
    federation = Federation(LAYOUT, build_pipeline(PIPELINES["adaptive, sr-median"]))
    state = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
    rows, order = codes_of(620), list(range(620))
    source.shuffle(order)
    results = [
        federation.apply(state, collected(federation.buffer(state, SHIFTS, ids_of(620)), rows, way), rng())
        for way in (range(620), order)
    ]
    assert results[0][0].to_bytes() == results[1][0].to_bytes()
    assert account(results[0][1]) == account(results[1][1])


@pytest.mark.parametrize(
    ("pipeline", "clients", "kind"),
    [
        ([{"name": "median"}], STREAM_ABOVE, UpdateBuffer),
        ([{"name": "median"}], STREAM_ABOVE + 1, StreamBuffer),
        ([{"name": "norm-clip", "bound": 9}, {"name": "median"}], STREAM_ABOVE + 1, StreamBuffer),
        ([{"name": "krum", "f": 1}], STREAM_ABOVE + 1, UpdateBuffer),
        ([{"name": "zeroing"}, {"name": "median"}], STREAM_ABOVE + 1, UpdateBuffer),
        ([{"name": "nnm", "f": 1}, {"name": "median"}], STREAM_ABOVE + 1, UpdateBuffer),
    ],
)
def test_a_round_streams_above_512_clients_where_every_stage_allows_it(pipeline, clients, kind):
    federation = Federation(LAYOUT, build_pipeline(pipeline))
    state = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
    assert isinstance(federation.buffer(state, SHIFTS, ids_of(clients)), kind)


def test_limits_hold_for_streamed_rounds():
    state = None
    for pipeline, because in (
        ([{"name": "trimmed-mean"}], "trimmed-mean of 10 rows"),
        ([{"name": "adaptive-norm-clip"}, {"name": "mean"}], "adaptive-norm-clip of 10 rows"),
    ):
        federation = Federation(LAYOUT, build_pipeline(pipeline, f_declared=5))
        state = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
        for batch in both(federation, state, codes_of(10), cohort=600):
            with pytest.raises(BeyondLimitError, match=because):
                federation.apply(state, batch, rng())


def test_a_streamed_round_is_refused_by_a_pipeline_that_needs_rows_and_by_another_layout():
    streaming = Federation(LAYOUT, build_pipeline([{"name": "median"}]))
    state = streaming.init(np.zeros(LAYOUT.d, dtype=np.int32))
    _, streamed = both(streaming, state, codes_of(520))
    krum = Federation(LAYOUT, build_pipeline([{"name": "krum", "f": 1}]))
    with pytest.raises(AggregationError, match="krum, which does not stream; use an UpdateBuffer"):
        krum.apply(krum.init(state.model), streamed, rng())
    small = Federation(Layout((TensorSpec("w", (3,), "int16", 14),)), streaming.pipeline)
    with pytest.raises(AggregationError, match="another layout"):
        small.apply(small.init(np.zeros(3, dtype=np.int32)), streamed, rng())


@dataclass(frozen=True)
class Faulty(NormClip):
    """A row-wise stage of somebody else, with a fault of its own."""

    how: str = "raises"

    def part(self, batch, state):
        rows, diagnostics = NormClip.part(self, batch, state)
        if self.how == "raises" and "dev-00040" in batch.client_ids:
            raise BeyondLimitError("the stage of somebody else cannot")
        if self.how == "floats":
            rows = rows.astype(np.float64)
        if self.how == "loses":
            rows, diagnostics = rows[1:], replace(diagnostics, kept=diagnostics.kept[1:])
        return rows, diagnostics


@pytest.mark.parametrize(
    ("how", "message"),
    [("raises", "somebody else cannot"), ("floats", "only codes can be counted"), ("loses", "rows")],
)
def test_what_a_stage_raises_ends_the_round_and_not_the_collection(how, message):
    """The collector must not meet it: the update is receipted, and the round closes without an aggregate."""
    federation = Federation(LAYOUT, Pipeline((Faulty(bound=300, how=how),), Median()))
    state = federation.init(np.zeros(LAYOUT.d, dtype=np.int32))
    buffer = federation.buffer(state, SHIFTS, ids_of(600))
    for client_id, row in zip(ids_of(600), codes_of(600), strict=True):
        buffer.put(client_id, row)
    assert buffer.count == 600
    with pytest.raises(AggregationError, match=message):
        buffer.batch()


def test_the_buffer_refuses_what_validation_must_refuse():
    row = np.zeros(LAYOUT.d, dtype=np.int8)
    buffer = CountsBuffer(LAYOUT, SHIFTS, ["dev-1", "dev-2"])
    buffer.put("dev-1", row)
    for client_id, codes, message in (
        ("dev-1", row, "came twice"),
        ("dev-9", row, "not in the cohort"),
        ("dev-2", row[1:], r"need int8 \(70,\)"),
        ("dev-2", row.astype(np.int16), "int16"),
        ("dev-2", np.full_like(row, -128), r"-127 \.\. 127"),
    ):
        with pytest.raises(InvalidBatchError, match=message):
            buffer.put(client_id, codes)
    assert buffer.batch().client_ids == ("dev-1",)
    with pytest.raises(InvalidBatchError, match="came after the batch"):
        buffer.put("dev-2", row)
    with pytest.raises(InvalidBatchError, match="0 updates"):
        CountsBuffer(LAYOUT, SHIFTS, ["dev-1"]).batch()
    with pytest.raises(InvalidBatchError, match="2 ids, 1 distinct"):
        CountsBuffer(LAYOUT, SHIFTS, ["dev-1", "dev-1"])


def peak_of(federation, layout, clients):
    state = federation.init(np.zeros(layout.d, dtype=np.int32))
    row = rng().integers(-20, 21, layout.d).astype(np.int8)
    ids = ids_of(clients)
    tracemalloc.start()
    try:
        buffer = federation.buffer(state, (5,), ids)
        for client_id in ids:
            buffer.put(client_id, row)
        federation.apply(state, buffer.batch(), rng())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_clients_but_for_their_accounts():
    layout = Layout((TensorSpec("w", (20_000,), "int16", 14),))
    federation = Federation(layout, build_pipeline([{"name": "norm-clip", "bound": 900}, {"name": "median"}]))
    few, many = peak_of(federation, layout, 1_000), peak_of(federation, layout, 3_000)
    if kernels.backend().variant != "numpy":  # which widens a part to int64
        assert many < (512 + 510) * 20_032 + 8e6  # the table, the chunk, a part in work, the result
    assert many - few < 2_000 * 1_000  # a thousand bytes a client of ids and diagnostics; its codes are 20,000


def test_parts_of_other_rules_or_rounds_do_not_join():
    one = Diagnostics("clip", np.array([True]), score=np.array([1.0]))
    order = np.arange(2)
    for other in (Diagnostics("clip", np.array([True])), Diagnostics("zero", np.array([True]), score=np.array([1.0]))):
        with pytest.raises(AggregationError, match="only parts that one rule made"):
            Diagnostics.joined([one, other], order)


def test_the_buffer_of_rows_and_the_counts_say_the_same_of_a_batch():
    rows = codes_of(1030)
    kept = UpdateBatch.from_rows(rows, LAYOUT, SHIFTS, ids_of(1030))
    counted = collected(CountsBuffer(LAYOUT, SHIFTS, ids_of(1030)), rows, rng(2).permutation(1030).tolist())
    assert counted.client_ids == kept.client_ids
    assert np.array_equal(counted.columns.median_counts(), kept.columns.median_counts())
