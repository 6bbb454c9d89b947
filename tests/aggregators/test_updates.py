"""Batches refuse what rules could not trust, buffers do not depend on arrival, quantization is exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.updates import (
    Aggregate,
    AggregationError,
    Diagnostics,
    FloatAggregate,
    InvalidBatchError,
    UpdateBatch,
    UpdateBuffer,
    quantize_rows,
    round_half_away,
    weighted_squared_norms,
)
from byzantiny_models.networks import Layout, TensorSpec

LAYOUT = Layout((TensorSpec("kernel", (10, 13), "int16", 14), TensorSpec("bias", (5,), "int32", 12)))
CODES = np.random.default_rng(0).integers(-127, 128, (4, 135)).astype(np.int8)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (CODES.astype(np.float32), "type float32"),
        (CODES.astype(np.int64), "type int64"),
        (np.full((2, 135), -128, dtype=np.int8), "code -128"),
        (np.full((2, 135), np.nan), "nan or infinity"),
        (np.full((2, 135), np.inf), "nan or infinity"),
        (np.full((2, 135), -np.inf), "nan or infinity"),
        (
            np.r_[np.ones((1, 135)), np.full((1, 135), -(2.0**201))],
            r"hold 3.21e\+60 in magnitude: .* up to 2\^200; scale",
        ),
        (np.zeros((0, 135), dtype=np.int8), "at least 1 row"),
        (np.zeros((2, 0), dtype=np.int8), "at least 1 row"),
        (np.zeros(135, dtype=np.int8), r"shape \(135,\)"),
        (np.zeros((2, 134), dtype=np.int8), "134 coordinates"),
    ],
)
def test_rows_that_cannot_be_trusted_are_refused_by_name(rows, message):
    with pytest.raises(InvalidBatchError, match=message):
        UpdateBatch.from_rows(rows, LAYOUT, (5, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"client_ids": ["a", "b", "c"]}, "3 client ids for 4 rows"),
        ({"client_ids": ["a", "b", "b", "c"]}, "unique and sorted"),
        ({"shifts": (5,)}, "1 shifts"),
        ({"shifts": (5, 13)}, "outside 0"),
    ],
)
def test_ids_and_shifts_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InvalidBatchError, match=message):
        UpdateBatch.from_rows(CODES, LAYOUT, **({"shifts": (5, 3)} | arguments))


def test_a_batch_is_a_value():
    rows = CODES.copy()
    batch = UpdateBatch.from_rows(rows, LAYOUT, (5, 3))
    rows[0, 0] += 1
    assert np.array_equal(batch.rows, CODES)
    for array in (batch.rows, batch.tiles, batch.stored):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_ids_are_ordered_by_bytes_not_by_arrival():
    batch = UpdateBatch.from_rows(CODES, LAYOUT, (5, 3), client_ids=["dev-9", "dev-10", "a-z", "a0"])
    assert batch.client_ids == ("a-z", "a0", "dev-10", "dev-9")
    assert np.array_equal(batch.rows, CODES[[2, 3, 1, 0]])


@given(st.permutations(range(4)))
def test_a_buffer_forgets_the_order_of_arrival(order):
    ids = ["dev-1", "dev-2", "dev-3", "dev-4"]
    buffer = UpdateBuffer(LAYOUT, (5, 3), ids[::-1])
    for i in order:
        buffer.put(ids[i], CODES[i])
    batch = buffer.batch()
    assert batch.client_ids == tuple(ids)
    assert np.array_equal(batch.rows, CODES)
    assert np.array_equal(batch.tiles, UpdateBatch.from_rows(CODES, LAYOUT, (5, 3)).tiles)


def test_a_buffer_missing_clients_keeps_the_others_in_order():
    buffer = UpdateBuffer(LAYOUT, (5, 3), ["a", "b", "c", "d"])
    buffer.put("d", CODES[3])
    buffer.put("b", CODES[1])
    batch = buffer.batch()
    assert (buffer.count, batch.client_ids) == (2, ("b", "d"))
    assert np.array_equal(batch.rows, CODES[[1, 3]])


def test_a_buffer_refuses_strangers_repeats_and_latecomers():
    buffer = UpdateBuffer(LAYOUT, (5, 3), ["a", "b"])
    with pytest.raises(InvalidBatchError, match="not in the cohort"):
        buffer.put("x", CODES[0])
    with pytest.raises(InvalidBatchError, match=r"need int8 \(135,\)"):
        buffer.put("a", CODES[0][:-1])
    buffer.put("a", CODES[0])
    with pytest.raises(InvalidBatchError, match="came twice"):
        buffer.put("a", CODES[1])
    batch = buffer.batch()
    with pytest.raises(InvalidBatchError, match="after the batch"):
        buffer.put("b", CODES[1])
    assert batch.n == 1


def test_an_empty_buffer_has_no_batch():
    with pytest.raises(InvalidBatchError, match="0 rows"):
        UpdateBuffer(LAYOUT, (5, 3), ["a"]).batch()


@given(hnp.arrays(np.int8, (3, 135), elements=st.integers(-127, 127)), st.integers(0, 12), st.integers(0, 12))
def test_norms_are_exact_in_the_common_unit(rows, kernel_shift, bias_shift):
    exponents = (kernel_shift - 14, bias_shift - 12)
    if abs(exponents[0] - exponents[1]) > 12:
        return
    batch = UpdateBatch.from_rows(rows, LAYOUT, (kernel_shift, bias_shift))
    for i, norm in enumerate(weighted_squared_norms(batch)):
        real = sum(Fraction(4) ** exponents[j >= 130] * int(c) ** 2 for j, c in enumerate(rows[i]))
        assert int(norm) == real / Fraction(4) ** min(exponents)


def test_a_spread_of_exponents_above_12_is_refused():
    layout = Layout((TensorSpec("a", (2,), "int16", 14), TensorSpec("b", (2,), "int32", 10)))
    with pytest.raises(InvalidBatchError, match="spread"):
        UpdateBatch.from_rows(np.ones((1, 4), dtype=np.int8), layout, (0, 12))


def test_norms_of_float_rows_are_refused():
    with pytest.raises(InvalidBatchError, match="need int8 codes"):
        weighted_squared_norms(UpdateBatch.from_rows(np.ones((1, 3))))


@given(st.integers(-(10**6), 10**6))
def test_nearest_rounds_halves_away_from_zero(halves):
    expected = max(-127, min(127, (abs(halves) + 1) // 2 * (1 if halves >= 0 else -1)))
    assert quantize_rows([[halves / 2]])[0, 0] == expected


def test_quantization_at_its_edges():
    edges = [0.49999999999999994, np.nextafter(0.5, 0), 126.5, 127.5, 1e300, np.inf, -np.inf]
    assert quantize_rows([edges]).tolist() == [[0, 0, 127, 127, 127, 127, -127]]
    with pytest.raises(InvalidBatchError, match="nan"):
        quantize_rows([[np.nan]])


def test_stochastic_rounding_leaves_integers_alone_and_is_unbiased():
    codes = np.arange(-127, 128)[None, :].astype(np.float64)
    assert np.array_equal(quantize_rows(codes, np.random.default_rng(0)), codes)
    drawn = quantize_rows(np.full((1, 40_000), -2.3), np.random.default_rng(0))
    assert set(drawn.ravel().tolist()) == {-3, -2}
    assert abs(drawn.mean() + 2.3) < 0.01


@given(st.lists(st.integers(-127 * 1000, 127 * 1000), min_size=1, max_size=9), st.integers(1, 1000), st.integers(0, 12))
def test_a_step_is_the_fraction_rounded_half_away(numerator, denominator, shift):
    one = Diagnostics("x", np.array([True]))
    aggregate = Aggregate(np.array(numerator), np.int64(denominator), one)
    step = aggregate.step(np.full(len(numerator), shift))
    for got, value in zip(step.tolist(), numerator, strict=True):
        exact = Fraction(value * 2**shift, denominator)
        nearest = (abs(exact) + Fraction(1, 2)).__floor__()
        assert got == (nearest if exact >= 0 else -nearest)


def test_a_step_that_could_leave_int64_is_refused():
    one = Diagnostics("x", np.array([True]))
    with pytest.raises(AggregationError, match=r"2\^62"):
        Aggregate(np.array([1 << 60]), np.int64(1), one).step(np.array([4]))
    with pytest.raises(AggregationError, match=r"2\^62"):
        FloatAggregate(np.array([1e300]), one).step(np.array([0]))


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [
        (np.array([1.5]), np.int64(1)),
        (np.array([1]), np.int64(0)),
        (np.array([1, 2]), np.array([1, 1, 1])),
        (np.array([1]), np.float64(2)),
    ],
)
def test_an_aggregate_is_integers_over_positive_integers(numerator, denominator):
    with pytest.raises(AggregationError):
        Aggregate(numerator, denominator, Diagnostics("x", np.array([True])))


@given(st.floats(-1e15, 1e15))
def test_round_half_away_is_exact(x):
    exact = Fraction(x)
    nearest = (abs(exact) + Fraction(1, 2)).__floor__()
    assert round_half_away(np.array([x]))[0] == (nearest if x >= 0 else -nearest)


def test_diagnostics_find_their_way_back_through_two_stages():
    batch = UpdateBatch.from_rows(np.array([[1], [2], [3], [90]], dtype=np.int8))
    kept = np.array([True, True, True, False])
    screened = batch.select(kept, Diagnostics("screen", kept, reasons=("", "", "", "norm 90 above 10")))
    pairs = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    mixed = screened.with_rows(pairs @ screened.rows, Diagnostics("bucketing", np.ones(3, np.bool_)), pairs)
    assert mixed.origin.tolist() == [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    assert (mixed.n, mixed.client_ids, screened.row_ids) == (2, batch.client_ids, batch.client_ids[:3])
    by_client = Diagnostics(
        "krum", np.array([True, False]), weight=np.array([1.0, 0.0]), score=np.array([4.0, 6.0])
    ).for_clients(mixed.mixing)
    assert by_client.kept.tolist() == [True, True, False, False]
    assert by_client.weight.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert by_client.score.tolist()[:3] == [4.0, 4.0, 6.0]
    assert np.isnan(by_client.score[3])
    assert [d.rule for d in mixed.trace] == ["screen", "bucketing"]
    assert mixed.trace[0].reasons[3] == "norm 90 above 10"
    assert mixed.trace[1].kept.tolist() == [True, True, True, False]
    with pytest.raises(InvalidBatchError, match="mix several clients"):
        _ = mixed.row_ids


def test_screening_everyone_out_is_an_error():
    batch = UpdateBatch.from_rows(np.array([[1]], dtype=np.int8))
    with pytest.raises(InvalidBatchError, match="0 rows"):
        batch.select(np.array([False]), Diagnostics("screen", np.array([False])))
