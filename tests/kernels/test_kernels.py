"""C and NumPy give the same integers, on every variant this machine runs, at every size that could differ."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny import kernels
from byzantiny.kernels import columns, native
from byzantiny.kernels.bindings.columns import Columns
from byzantiny.kernels.reference import columns as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = {v: Columns(native.load(native.library_path(v))) for v in VARIANTS}
WIDTHS = (1, 63, 64, 65, 4096, 4097)


def test_a_native_library_is_built():
    """The rest of this file would otherwise pass by testing nothing."""
    assert VARIANTS, f"no native kernels; build them with `{native.REBUILD}`"


@pytest.fixture(params=VARIANTS)
def library(request):
    return LIBRARIES[request.param]


def tiles_of(rows):
    tiles = kernels.empty_tiles(*rows.shape)
    reference.pack(rows, tiles, 0)
    return tiles


def sorted_median(rows):
    """The oracle of the oracle: a stable sort, in Python's own words."""
    ranked = np.sort(rows.astype(np.int64), axis=0)
    n = len(rows)
    return ranked[(n - 1) // 2] + ranked[n // 2]


def samples(n, d):
    rng = np.random.default_rng(n * 10_007 + d)
    yield rng.integers(-127, 128, (n, d)).astype(np.int8)
    yield np.clip(np.rint(rng.normal(0, 3, (n, d))), -127, 127).astype(np.int8)  # many ties
    yield rng.choice(np.array([-127, 127], dtype=np.int8), (n, d))


def check_all(library, rows):
    d = rows.shape[1]
    tiles = tiles_of(rows)
    packed = np.full_like(tiles, 99)
    library.pack(rows, packed, 0)
    assert np.array_equal(packed, tiles)
    expected = sorted_median(rows)
    assert np.array_equal(library.median(tiles, d), expected)
    assert np.array_equal(reference.median(tiles, d), expected)
    slices = [slice(0, d // 3), slice(d // 3, d // 2), slice(d // 2, d)]
    wide = rows.astype(np.int64)
    for stored in (rows, tiles):
        for which in (library, reference):
            assert np.array_equal(which.column_sum(stored, d), wide.sum(axis=0))
            squares = np.stack([(wide[:, s] ** 2).sum(axis=1) for s in slices], axis=1)
            assert np.array_equal(which.squared_norms(stored, slices), squares)


@pytest.mark.parametrize("n", range(1, 41))
@pytest.mark.parametrize("d", [1, 63, 64, 65])
def test_every_small_cohort_is_exact(library, n, d):
    for rows in samples(n, d):
        check_all(library, rows)


@pytest.mark.parametrize("n", [255, 256, 257, 512, 513, 1000])
@pytest.mark.parametrize("d", WIDTHS)
def test_large_cohorts_are_exact_across_the_byte_counters(library, n, d):
    for rows in samples(n, d):
        check_all(library, rows)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("d", [4096, 4097, 70_000])
def test_long_updates_are_exact_across_the_square_sums(library, n, d):
    check_all(library, np.full((n, d), -127, dtype=np.int8))
    check_all(library, next(samples(n, d)))


def test_the_median_of_all_columns_over_a_small_alphabet(library):
    """Every multiset order of up to 6 clients over 4 values, ties and extremes: 4^6 columns at once."""
    for n in range(1, 7):
        columns = np.array(list(itertools.product([-127, -1, 0, 127], repeat=n)), dtype=np.int8)
        check_all(library, np.ascontiguousarray(columns.T))


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.integers(1, 130)), elements=st.integers(-127, 127)))
def test_any_codes_have_the_same_median_sums_and_norms(rows):
    for loaded in LIBRARIES.values():
        check_all(loaded, rows)


def test_a_row_is_put_into_its_slot_and_no_other(library):
    rng = np.random.default_rng(1)
    rows = rng.integers(-127, 128, (5, 130)).astype(np.int8)
    tiles = kernels.empty_tiles(5, 130)
    for slot in (3, 0, 4, 1, 2):
        library.pack(rows[slot : slot + 1], tiles, slot)
    assert np.array_equal(tiles, tiles_of(rows))


def test_kernels_do_not_change_their_input(library):
    rows = next(samples(9, 100))
    tiles = tiles_of(rows)
    tiles.setflags(write=False)
    before = tiles.tobytes()
    library.median(tiles, 100)
    library.column_sum(tiles, 100)
    library.squared_norms(tiles, [slice(0, 100)])
    assert tiles.tobytes() == before


def test_float_sums_follow_the_fixed_order():
    """Against Python floats added in the order of SPEC 4."""
    rng = np.random.default_rng(3)
    for n in (1, 7, 8, 9, 16, 100):
        rows = rng.normal(0, 1, (n, 3)) * 10.0 ** rng.integers(-8, 9, (n, 3))
        for j in range(3):
            lanes = [0.0] * 8
            for i in range(n):
                lanes[i % 8] += float(rows[i, j])
            a, b, c, d, e, f, g, h = lanes
            assert kernels.float_column_sum(rows)[j] == ((a + e) + (c + g)) + ((b + f) + (d + h))


def test_more_rows_than_16_bits_count_go_to_numpy():
    rows = np.concatenate([np.full((40_000, 1), 5, np.int8), np.full((30_001, 1), -5, np.int8)])
    assert kernels.median(kernels.to_tiles(rows), 1).tolist() == [10]
    assert kernels.column_sum(rows, 1).tolist() == [49_995]
    assert columns._functions(len(rows)) is reference


def test_the_native_sums_are_never_asked_for_more_rows_than_they_hold():
    """byz_kernels.h: n < 2^24. The most rows that go there, at the lowest code, and one more."""
    assert columns.MOST_ROWS < 1 << 24
    assert isinstance(columns._functions(columns.MOST_ROWS), Columns)
    assert columns._functions(columns.MOST_ROWS + 1) is reference
    rows = np.full((columns.MOST_ROWS, 2), -128, np.int8)
    assert kernels.column_sum(rows, 2).tolist() == [-128 * columns.MOST_ROWS] * 2
