"""Distances: exact integers of codes, whatever the blocks; floats in the one order of SPEC 4, whatever the machine."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny import kernels
from byzantiny.kernels.reference import floats, geometry
from byzantiny.updates import (
    InvalidBatchError,
    UpdateBatch,
    common_scale,
    squared_distances,
    squared_distances_to,
    squared_distances_to_row,
    squared_norms,
)
from byzantiny_models.networks import Layout, TensorSpec

X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]
# Integer oracle of reference/attacks_and_defences.md 2.5, computed by hand-checked integer arithmetic.
X7_NORMS = [783, 735, 866, 774, 747, 36000, 34675]
X7_DISTANCES = [
    [0, 22, 11, 13, 44, 45063, 43574],
    [22, 0, 53, 19, 8, 44815, 43336],
    [11, 53, 0, 46, 73, 45906, 44413],
    [13, 19, 46, 0, 49, 44334, 42851],
    [44, 8, 73, 49, 0, 45347, 43856],
    [45063, 44815, 45906, 44334, 45347, 0, 35],
    [43574, 43336, 44413, 42851, 43856, 35, 0],
]


def batch_of(rows, dtype=np.int8, layout=None, shifts=None):
    return UpdateBatch.from_rows(np.array(rows, dtype=dtype), layout, shifts)


def python_distances(rows):
    rows = [[int(c) for c in row] for row in rows]
    return [[sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]


@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_the_integer_oracle(dtype):
    batch = batch_of(X7, dtype)
    assert squared_norms(batch).tolist() == X7_NORMS
    assert squared_distances(batch).tolist() == X7_DISTANCES
    assert squared_distances(batch).dtype == (np.int64 if dtype is np.int8 else np.float64)
    assert [squared_distances_to_row(batch, i).tolist() for i in range(7)] == X7_DISTANCES


def test_a_block_is_as_long_as_float32_is_exact_and_no_longer_than_proved():
    """The proof of kernels.reference.geometry: 1024 products of codes stay below 2^24, 1041 need not."""
    assert geometry.EXACT_PRODUCTS * 127**2 < 2**24 < 1041 * 127**2
    assert geometry.EXACT_CODES * 127 < 2**24


@pytest.mark.parametrize("d", [1, 63, 64, 65, 1023, 1024, 1025, 2048, 5000])
@pytest.mark.parametrize("fill", ["extreme", "random", "cancelling"])
def test_the_gram_matrix_is_that_of_python_integers(d, fill):
    rng = np.random.default_rng(d)
    rows = {
        "extreme": np.full((5, d), 127),
        "random": rng.integers(-127, 128, (5, d)),
        "cancelling": 127 * np.where(np.arange(d) % 2, 1, -1) + np.zeros((5, 1), dtype=int),
    }[fill].astype(np.int8)
    expected = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows.tolist()] for x in rows.tolist()]
    weights = np.array([1])
    assert kernels.gram(rows, [slice(0, d)], weights).tolist() == expected
    assert kernels.gram(kernels.to_tiles(rows), [slice(0, d)], weights).tolist() == expected
    assert kernels.inner_products(rows, 3, [slice(0, d)], weights).tolist() == expected[3]


def test_one_float32_product_over_all_of_d_would_be_wrong():
    """What the blocks are for: 1041 products of 127 are an odd number above 2^24, which float32 has not."""
    rows, exact = np.full((1, 1041), 127, dtype=np.int8), 1041 * 127**2
    assert int(np.float32(exact)) != exact
    assert kernels.gram(rows, [slice(0, 1041)], np.array([1]))[0, 0] == exact


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_neighbouring_tensors_of_one_weight_may_share_a_block(lengths, data):
    weights = np.array(data.draw(st.lists(st.sampled_from([1, 4, 64]), min_size=len(lengths), max_size=len(lengths))))
    stops = np.cumsum(lengths).tolist()
    slices = [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    rows = np.random.default_rng(0).integers(-127, 128, (3, stops[-1])).astype(np.int8)
    wide = rows.astype(np.int64)
    expected = sum(w * wide[:, s] @ wide[:, s].T for w, s in zip(weights, slices, strict=True))
    assert np.array_equal(kernels.gram(rows, slices, weights), expected)
    covered = np.zeros(stops[-1], dtype=int)
    for block, weight in geometry._exact_blocks(slices, weights):
        covered[block] += 1
        assert set(np.repeat(weights, lengths)[block].tolist()) == {int(weight)}
    assert (covered == 1).all()


LAYOUT = Layout((TensorSpec("kernel", (10, 13), "int16", 14), TensorSpec("bias", (5,), "int32", 12)))


@given(hnp.arrays(np.int8, (3, 135), elements=st.integers(-127, 127)), st.integers(0, 12), st.integers(0, 12))
def test_distances_are_taken_in_the_common_unit(rows, kernel_shift, bias_shift):
    """SPEC 3; FederatedScope sums distances of layers instead, each in a unit of its own (3.3)."""
    exponents = (kernel_shift - 14, bias_shift - 12)
    if abs(exponents[0] - exponents[1]) > 12:
        return
    exact = batch_of(rows, layout=LAYOUT, shifts=(kernel_shift, bias_shift))
    floats = batch_of(rows, np.float64, LAYOUT, (kernel_shift, bias_shift))
    real = [Fraction(2) ** exponents[j >= 130] for j in range(135)]
    unit = Fraction(4) ** min(exponents)
    for i, k in combinations(range(3), 2):
        expected = sum((u * (int(a) - int(b))) ** 2 for u, a, b in zip(real, rows[i], rows[k], strict=True)) / unit
        assert int(squared_distances(exact)[i, k]) == expected
        assert squared_distances(floats)[i, k] == expected  # integers below 2^53: floats are exact too
    assert common_scale(exact).tolist() == [float(u / Fraction(2) ** min(exponents)) for u in real]


def test_integers_do_not_cancel_where_floats_would():
    """Flower's Multi-Krum takes ||x||^2 + ||y||^2 - 2 x y in floats (3.3): two rows one step apart come out equal."""
    rows = np.full((2, 70_000), 127, dtype=np.int8)
    rows[1, 5] = 126
    assert squared_distances(batch_of(rows)).tolist() == [[0, 1], [1, 0]]
    x, y = rows.astype(np.float32)
    assert float((x * x).sum() + (y * y).sum() - np.float32(2) * (x * y).sum()) != 1


@given(hnp.arrays(np.float64, (4, 21), elements=st.floats(-200, 200)))
def test_float_distances_are_symmetric_and_close_to_the_fraction(rows):
    batch = UpdateBatch.from_rows(rows)
    distances = squared_distances(batch)
    assert np.array_equal(distances, distances.T)
    assert not distances.diagonal().any()
    for i, k in combinations(range(4), 2):
        exact = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(rows[i].tolist(), rows[k].tolist(), strict=True))
        # Below the normal numbers float64 has fewer digits: 21 squares are each off by half of 5e-324.
        assert abs(distances[i, k] - float(exact)) <= 1e-13 * float(exact) + 21 * 5e-324
        assert squared_distances_to(batch, rows[k])[i] == distances[i, k] == squared_distances_to_row(batch, k)[i]


def ordered_sum(values):
    """SPEC 4 in Python's own floats: eight lanes, then a tree."""
    lanes = [0.0] * 8
    for j, value in enumerate(values):
        lanes[j % 8] += value
    pairs = [lanes[j] + lanes[j + 4] for j in range(4)]
    fours = [pairs[0] + pairs[2], pairs[1] + pairs[3]]
    return fours[0] + fours[1]


@pytest.mark.parametrize("d", [1, 7, 8, 9, 16, 63, 64, 65, 1000, 4097, 140_000])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_float_sums_are_added_in_the_order_of_the_specification(n, d):
    values = np.random.default_rng(d).normal(0, 1, (n, d)) * 10.0 ** np.random.default_rng(n).integers(-8, 9, (n, d))
    assert kernels.float_row_sum(values).tolist() == [ordered_sum(row) for row in values.tolist()]
    if d < 5000:
        weights = np.random.default_rng(7).random(d)
        weighted = kernels.float_weighted_sum(np.ascontiguousarray(values.T), weights)
        assert weighted.tolist() == [ordered_sum((row * weights).tolist()) for row in values]


def test_a_weighted_sum_does_not_depend_on_its_blocks(monkeypatch):
    rng = np.random.default_rng(3)
    rows, weights = rng.normal(0, 1, (11, 700)), rng.random(11)
    whole = kernels.float_weighted_sum(rows, weights), kernels.float_squared_distances(rows, np.ones(700))
    monkeypatch.setattr(floats, "_BLOCK", 900)
    assert np.array_equal(kernels.float_weighted_sum(rows, weights), whole[0])
    assert np.array_equal(kernels.float_squared_distances(rows, np.ones(700)), whole[1])


@given(hnp.arrays(np.bool_, (4, 6)), hnp.arrays(np.int8, (6, 130), elements=st.integers(-127, 127)))
def test_subset_sums_are_those_of_python_integers(members, rows):
    expected, ones = members.astype(np.int64) @ rows.astype(np.int64), np.ones(4)
    assert np.array_equal(kernels.subset_means(members, ones, rows, 0, 130), expected)
    assert np.array_equal(kernels.subset_means(members, ones, kernels.to_tiles(rows), 64, 129), expected[:, 64:129])


def test_subset_sums_of_more_rows_than_float32_could_count(monkeypatch):
    monkeypatch.setattr(geometry, "EXACT_CODES", 7)
    rows = np.full((100, 3), 127, dtype=np.int8)
    assert geometry.subset_means(np.ones((2, 100), np.bool_), np.ones(2), rows, 0, 3).tolist() == [[12_700.0] * 3] * 2


def test_sums_that_could_leave_int64_or_float64_are_refused():
    layout = Layout((TensorSpec("a", (2**22,), "int16", 14), TensorSpec("b", (1,), "int16", 14)))
    rows = np.zeros((3, layout.d), dtype=np.int8)
    with pytest.raises(InvalidBatchError, match="leave int64; bring the shifts closer"):
        squared_distances(UpdateBatch.from_rows(rows, layout, (12, 0)))
    with pytest.raises(InvalidBatchError, match="leave float64"):
        squared_distances_to(UpdateBatch.from_rows(np.array([[1.0], [2.0]])), np.array([1e200]))
