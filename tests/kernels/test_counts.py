"""What the table of counts answers is what the columns' kernels answer of the same codes: C, every variant, and NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny import kernels
from byzantiny.kernels import counts, native
from byzantiny.kernels.bindings.counts import Counts
from byzantiny.kernels.native import KernelError
from byzantiny.kernels.reference import columns as tiled
from byzantiny.kernels.reference import counts as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
BOTH = {"numpy": reference, **{v: Counts(native.load(native.library_path(v))) for v in VARIANTS}}
NOTHING = np.empty(0, dtype=np.int64)


@pytest.fixture(params=BOTH)
def functions(request, monkeypatch):
    """The face with one implementation behind it."""
    monkeypatch.setattr(counts, "_functions", lambda: BOTH[request.param])


def samples(n, d):
    rng = np.random.default_rng(n * 10_007 + d)
    yield rng.integers(-127, 128, (n, d)).astype(np.int8)
    yield np.clip(np.rint(rng.normal(0, 3, (n, d))), -127, 127).astype(np.int8)  # many ties
    yield rng.choice(np.array([-127, 127], dtype=np.int8), (n, d))


def counted(rows):
    table = counts.empty_table(rows.shape[1])
    return table, counts.fold(table, kernels.to_tiles(rows), len(rows))


def expected_of(rows):
    """(statistic, arguments after n, what the reference of the tiles, which sorts, makes of them)."""
    n, d = rows.shape
    tiles = kernels.to_tiles(rows)
    twice = tiled.median(tiles, d)
    yield counts.median, (), twice
    yield counts.median_counts, (), tiled.median_counts(tiles, d)
    yield counts.column_sum, (), tiled.column_sum(tiles, d)
    yield counts.sign_sum, (), tiled.sign_sum(tiles, d)
    for f in {n // 5, (n - 1) // 2}:
        trimmed = tiled.trimmed_sum(tiles, d, f)
        yield counts.trimmed_sum, (f,), trimmed
        for centre in ((twice.astype(np.int64), 2), (trimmed, n - 2 * f)):
            yield counts.nearest_sum, (f, *centre), tiled.nearest_sum(tiles, d, f, *centre)


@pytest.fixture
def check(monkeypatch):
    def check_all(rows):
        n, d = rows.shape
        expected = list(expected_of(rows))
        for functions in BOTH.values():
            monkeypatch.setattr(counts, "_functions", lambda functions=functions: functions)
            source = counted(rows)
            assert (counts.totals(*source, d) == n).all()
            for statistic, arguments, result in expected:
                assert np.array_equal(statistic(*source, d, n, *arguments), result), (statistic, functions)

    return check_all


@pytest.mark.parametrize(("d", "every"), [(1, 1), (63, 13), (64, 13), (65, 2)])
def test_every_small_cohort_is_answered_as_from_tiles(check, d, every):
    for n in range(1, 41, every):
        for rows in samples(n, d):
            check(rows)


@pytest.mark.parametrize(("n", "d"), [(255, 65), (256, 64), (512, 65), (513, 1), (1000, 63), (4097, 65), (5, 4097)])
def test_large_cohorts_are_answered_as_from_tiles(check, n, d):
    for rows in samples(n, d):
        check(rows)


def test_the_nearest_values_to_any_centre_are_those_of_the_tiles(functions):
    """Centres inside, between and far outside the codes, all f below n: the window at both its ends and between."""
    rng = np.random.default_rng(5)
    for n in (1, 2, 9, 40):
        rows = next(samples(n, 130))
        source, tiles = counted(rows), kernels.to_tiles(rows)
        for f in range(n):
            denominator = int(rng.integers(1, 9))
            centre = rng.integers(-3_000, 3_000, 130)
            expected = tiled.nearest_sum(tiles, 130, f, centre, denominator)
            assert np.array_equal(counts.nearest_sum(*source, 130, n, f, centre, denominator), expected)


@pytest.mark.parametrize("n", [65_535, 65_536, 131_073])
@pytest.mark.parametrize("code", [0, -127, 127])
def test_a_counter_that_passes_16_bits_is_carried(functions, n, code):
    """All clients send the same code, so that one bin of each coordinate counts all of them."""
    table, carries = counts.empty_table(3), NOTHING
    chunk = np.zeros((510, 64), dtype=np.int8)
    chunk[:, :3] = code
    for stop in [*range(510, n, 510), n]:
        rows = chunk[: (stop - 1) % 510 + 1]
        carries = np.sort(np.concatenate([carries, counts.fold(table, rows, stop)]))
    assert len(carries) == 64 * (n >> 16)
    check_equal_codes(table, carries, n, code)


def check_equal_codes(table, carries, n, code):
    source, f = (table, carries), n // 3
    assert (counts.totals(*source, 64) == n).all()
    assert counts.median(*source, 3, n).tolist() == [2 * code] * 3
    assert counts.column_sum(*source, 3, n).tolist() == [n * code] * 3
    assert counts.trimmed_sum(*source, 3, n, f).tolist() == [(n - 2 * f) * code] * 3
    assert counts.nearest_sum(*source, 3, n, f, np.array([7, 0, -7]), 2).tolist() == [(n - f) * code] * 3
    assert counts.sign_sum(*source, 3, n).tolist() == [n * int(np.sign(code))] * 3
    assert counts.median_counts(*source, 3, n)[:, 0].tolist() == [code, code, 0, n, 0, 0]


@pytest.mark.parametrize("n", [65_535, 65_536, 131_073])
def test_order_statistics_beyond_16_bits_are_those_of_a_sort(functions, n):
    rng = np.random.default_rng(n)
    rows = np.zeros((n, 4), dtype=np.int8)
    rows[:, 1] = rng.choice([-1, 0, 0, 0, 1], n)
    rows[:, 2] = rng.integers(-127, 128, n)
    rows[:, 3] = np.where(np.arange(n) < n // 2, -127, 127)
    source, ranked, f = counted(rows), np.sort(rows.astype(np.int64), axis=0), n // 5
    assert np.array_equal(counts.median(*source, 4, n), ranked[(n - 1) // 2] + ranked[n // 2])
    assert np.array_equal(counts.trimmed_sum(*source, 4, n, f), ranked[f : n - f].sum(axis=0))
    middle, tiles = np.array([3, 1, -5, 2]), kernels.to_tiles(rows)
    assert np.array_equal(counts.nearest_sum(*source, 4, n, f, middle, 4), tiled.nearest_sum(tiles, 4, f, middle, 4))
    assert np.array_equal(counts.median_counts(*source, 4, n), tiled.median_counts(tiles, 4))


@pytest.mark.parametrize("cut", [1, 70_000, 99_999])
def test_two_tables_add_up_to_the_table_of_all(functions, cut):
    rows = np.zeros((140_001, 5), dtype=np.int8)
    rows[:, 1] = np.arange(len(rows)) % 3 - 1
    rows[:, 2] = -127
    whole, whole_carries = counted(rows)
    table, carries = counted(rows[:cut])
    other, other_carries = counted(rows[cut:])
    added = counts.add(table, other, len(rows))
    assert np.array_equal(table, whole)
    assert np.array_equal(np.sort(np.concatenate([carries, other_carries, added])), whole_carries)


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 60), st.integers(1, 70)), elements=st.integers(-127, 127)),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_any_chunks_in_any_layout_give_one_table(rows, cuts):
    whole, _ = counted(rows)
    padded = np.zeros((len(rows), 8 * len(whole)), dtype=np.int8)
    padded[:, : rows.shape[1]] = rows
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for functions in BOTH.values():
        table = np.zeros_like(whole)
        for first, stop in pairwise(edges):
            if stop > first:
                assert functions.fold(table, padded[first:stop], stop).size == 0
        assert np.array_equal(table, whole)


def test_threads_do_not_show(monkeypatch):
    rows = np.zeros((70_000, 700), dtype=np.int8)
    rows[::2] = np.random.default_rng(3).integers(-127, 128, (1, 700))
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("BYZANTINY_THREADS", threads)
        monkeypatch.setattr("byzantiny.kernels.bindings.counts._LEAST_GROUPS", 4)
        table, carries = counted(rows)
        assert carries.size == 4 + np.count_nonzero(rows[0] == 0)  # 4 beyond d; elsewhere 35,000 rows agree
        twice = counts.median(table, carries, 700, 70_000)
        results.append(
            b"".join(
                part.tobytes()
                for part in (
                    table,
                    carries,
                    twice,
                    counts.median_counts(table, carries, 700, 70_000),
                    counts.nearest_sum(table, carries, 700, 70_000, 9_000, twice.astype(np.int64), 2),
                )
            )
        )
    assert results[0] == results[1]


def test_a_table_that_holds_more_rows_than_is_said_is_no_memory_error():
    """C writes no carry beyond the room it is given; the binding says what was wrong."""
    table = np.full((8, 256, 8), 65_535, dtype=np.uint16)
    for functions in (BOTH[v] for v in VARIANTS):
        with pytest.raises(KernelError, match="the table holds more rows"):
            functions.fold(table.copy(), np.zeros((2, 64), dtype=np.int8), 2)


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        (np.zeros((8, 256, 8), dtype=np.int16), np.zeros((2, 64), dtype=np.int8)),
        (np.zeros((8, 8, 256), dtype=np.uint16), np.zeros((2, 64), dtype=np.int8)),
        (np.zeros((8, 256, 8), dtype=np.uint16), np.zeros((2, 65), dtype=np.int8)),
        (np.zeros((8, 256, 8), dtype=np.uint16), np.zeros((2, 64), dtype=np.uint8)),
        (np.zeros((8, 256, 8), dtype=np.uint16), np.zeros((2, 128), dtype=np.int8)),
        (np.zeros((16, 256, 8), dtype=np.uint16), np.zeros((1, 2, 128), dtype=np.int8)),
        (np.zeros((8, 256, 16), dtype=np.uint16)[:, :, ::2], np.zeros((2, 64), dtype=np.int8)),
    ],
)
def test_arrays_that_c_could_not_walk_are_refused(table, codes):
    for functions in (BOTH[v] for v in VARIANTS):
        with pytest.raises(KernelError):
            functions.fold(table, codes, 2)
