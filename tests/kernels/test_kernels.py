"""C and NumPy give the same integers, on every variant this machine runs, at every size that could differ."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.kernels import oracle

from byzantiny import kernels
from byzantiny.kernels import columns, native
from byzantiny.kernels.bindings import columns as bindings
from byzantiny.kernels.bindings.columns import Columns
from byzantiny.kernels.reference import columns as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = {v: Columns(native.load(native.library_path(v))) for v in VARIANTS}
EVERYTHING = [*LIBRARIES.values(), reference]


def test_a_native_library_is_built():
    """The rest of this file would otherwise pass by testing nothing."""
    assert VARIANTS, f"no native kernels; build them with `{native.REBUILD}`"


@pytest.fixture(params=VARIANTS)
def library(request):
    return LIBRARIES[request.param]


@pytest.fixture
def shared(monkeypatch):
    """Work is shared among threads however little it is, and rows come in pieces of one tile."""
    monkeypatch.setattr(bindings, "_LEAST_BYTES", 1)
    monkeypatch.setattr(bindings, "_PIECE_BYTES", 1)


def tiles_of(rows):
    tiles = kernels.empty_tiles(*rows.shape)
    reference.pack(rows, tiles, 0)
    return tiles


def samples(n, d):
    rng = np.random.default_rng(n * 10_007 + d)
    yield rng.integers(-127, 128, (n, d)).astype(np.int8)
    yield np.clip(np.rint(rng.normal(0, 3, (n, d))), -127, 127).astype(np.int8)  # many ties
    yield rng.choice(np.array([-127, 127], dtype=np.int8), (n, d))


def ways(rows):
    """The same codes as every library may get them: the arguments of a call, by rows and by tiles, on one thread and more."""
    d = rows.shape[1]
    for library, stored in itertools.product(LIBRARIES.values(), (tiles_of(rows), rows)):
        for threads in (1, 3):
            yield library, (stored, d), {"threads": threads}
    yield reference, (tiles_of(rows), d), {}
    yield reference, (rows, d), {}


def check_columns(rows, trims=(1,)):
    """Everything that walks columns, against the oracle; `trims` are the f of those that take one."""
    ranked = np.sort(rows.astype(np.int64), axis=0)
    n = len(ranked)
    twice = oracle.median(ranked)
    trims = [f for f in trims if f < n]
    trimmed = {f: oracle.trimmed_sum(ranked, f) for f in trims if 2 * f < n}
    centres = [(f, twice, 2) for f in trims] + [(f, total, n - 2 * f) for f, total in trimmed.items()]
    centres += [(trims[-1], np.full_like(twice, far), 3) for far in (-900, 900)] if trims else []
    nearest = [oracle.nearest_sum(ranked, *centre) for centre in centres]
    counts, signs, total = oracle.median_counts(ranked), oracle.sign_sum(ranked), ranked.sum(axis=0)
    for which, codes, options in ways(rows):
        assert np.array_equal(which.median(*codes, **options), twice)
        assert np.array_equal(which.median_counts(*codes, **options), counts)
        assert np.array_equal(which.sign_sum(*codes, **options), signs)
        assert np.array_equal(which.column_sum(*codes, **options), total)
        for f, expected in trimmed.items():
            assert np.array_equal(which.trimmed_sum(*codes, f, **options), expected)
        for centre, expected in zip(centres, nearest, strict=True):
            assert np.array_equal(which.nearest_sum(*codes, *centre, **options), expected)
            if centre[1] is twice:
                assert np.array_equal(which.nearest_to_median_sum(*codes, centre[0], **options), expected)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("n", range(1, 41))
def test_every_small_cohort_is_exact_with_every_f(n):
    for d in (1, 63, 64, 65):
        rows = next(samples(n, d))
        check_columns(rows, range(n) if d == 63 else (0, n // 4))
    for rows in samples(n, 130):
        check_columns(rows, (n // 5, n // 2 - 1 if n > 3 else 0))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    "n", [44, 45, 47, 48, 49, 52, 53, 56, 57, 63, 64, 65, 99, 100, 143, 144, 145, 255, 256, 257, 512, 513, 1000]
)
def test_cohorts_on_either_side_of_a_change_of_method_are_exact(n):
    for rows in samples(n, 130):
        check_columns(rows, (1, n // 5, (n - 1) // 2))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("n", "d"), [(7, 4096), (33, 4097), (100, 4096), (200, 4097), (4097, 65)])
def test_long_updates_and_large_cohorts_are_exact(n, d):
    check_columns(next(samples(n, d)), (n // 5,))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("n", [1, 2, 9, 10, 60, 101, 255, 300, 4097])
@pytest.mark.parametrize("code", [-128, -127, -1, 0, 127])
def test_clients_that_all_agree_are_exact_at_the_ends_of_the_range(n, code):
    """-128 is no code, and validation refuses it; the kernels are exact with it all the same."""
    check_columns(np.full((n, 64), code, np.int8), (n // 4,))
    rows = np.full((n, 65), code, np.int8)
    rows[: (n + 1) // 2, ::2] = -128
    rows[n // 2 :, 1::2] = 127
    check_columns(rows, (n // 4,))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("n", [150, 151, 260])
def test_a_guess_from_the_tiles_before_is_never_trusted(n):
    """Tiles of all kinds after each other: narrow, narrow with outliers, wide, around other centres, at the ends."""
    rng = np.random.default_rng(n)
    narrow = lambda: rng.integers(-1, 2, (n, 64))  # noqa: E731
    outlier = narrow()
    outlier[rng.integers(0, n, 64), np.arange(64)] = rng.choice([-127, 60, 127], 64)
    kinds = [
        narrow, lambda: outlier, lambda: rng.integers(-127, 128, (n, 64)), lambda: rng.normal(0, 25, (n, 64)),
        lambda: rng.normal(rng.integers(-100, 100, 64), 5, (n, 64)), lambda: narrow() + 126, lambda: narrow() - 126,
        lambda: rng.normal(70, 3, (n, 64)), lambda: np.where(rng.random((n, 64)) < 0.5, -90, 95),
    ]  # fmt: skip
    order = [*range(len(kinds)), *rng.integers(0, len(kinds), 20), 0, 0, 0, 3, 3, 3, 4, 4]
    rows = np.concatenate([np.clip(np.rint(kinds[k]()), -127, 127).astype(np.int8) for k in order], axis=1)
    check_columns(rows, (n // 10, n // 3))


@pytest.mark.usefixtures("shared")
def test_the_columns_over_a_small_alphabet_are_all_exact():
    """Every multiset order of up to 6 clients over 4 values, ties and extremes: 4^6 columns at once, with every f."""
    for n in range(1, 7):
        every = np.array(list(itertools.product([-127, -1, 0, 127], repeat=n)), dtype=np.int8)
        check_columns(np.ascontiguousarray(every.T), range(n))


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.integers(1, 130)), elements=st.integers(-127, 127)), st.data()
)
def test_any_codes_are_exact(rows, data):
    check_columns(rows, [data.draw(st.integers(0, len(rows) - 1))])


@given(st.integers(1, 70), st.integers(-(2**40), 2**40), st.integers(1, 2**31), st.data())
def test_the_nearest_are_those_of_any_centre(n, numerator, denominator, data):
    rows = np.random.default_rng(n).integers(-127, 128, (n, 3)).astype(np.int8)
    f = data.draw(st.integers(0, n - 1))
    centre = np.array([numerator, data.draw(st.integers(-300, 300)) * denominator // 2, -numerator])
    expected = oracle.nearest_sum(np.sort(rows.astype(np.int64), axis=0), f, centre, denominator)
    for which in EVERYTHING:
        assert np.array_equal(which.nearest_sum(rows, 3, f, centre, denominator), expected)


def check_rows(rows):
    """Everything that walks rows: into tiles, and norms."""
    d = rows.shape[1]
    tiles = tiles_of(rows)
    slices = [slice(0, d // 3), slice(d // 3, d // 2), slice(d // 2, d)]
    wide = rows.astype(np.int64)
    squares = np.stack([(wide[:, s] ** 2).sum(axis=1) for s in slices], axis=1)
    for which in EVERYTHING:
        packed = np.full_like(tiles, 99)
        which.pack(rows, packed, 0)
        assert np.array_equal(packed, tiles)
        for stored in (rows, tiles):
            assert np.array_equal(which.squared_norms(stored, slices), squares)


@pytest.mark.parametrize(
    ("n", "d"),
    [(1, 1), (3, 63), (7, 64), (8, 65), (40, 130), (129, 200), (513, 64), (1000, 65), (2, 4097), (7, 70_000)],
)
def test_norms_and_tiles_are_exact(n, d):
    for rows in samples(n, d):
        check_rows(rows)
    check_rows(np.full((n, d), -128, dtype=np.int8))


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.integers(1, 200)), elements=st.integers(-128, 127)))
def test_any_codes_have_the_same_norms_and_tiles(rows):
    check_rows(rows)


def test_a_row_is_put_into_its_slot_and_no_other(library):
    rng = np.random.default_rng(1)
    rows = rng.integers(-127, 128, (5, 130)).astype(np.int8)
    tiles = kernels.empty_tiles(5, 130)
    for slot in (3, 0, 4, 1, 2):
        library.pack(rows[slot : slot + 1], tiles, slot)
    assert np.array_equal(tiles, tiles_of(rows))


def test_kernels_do_not_change_their_input(library):
    rows = next(samples(9, 100))
    for stored in (tiles_of(rows), rows):
        stored.setflags(write=False)
        before = stored.tobytes()
        library.median(stored, 100)
        library.median_counts(stored, 100)
        library.trimmed_sum(stored, 100, 2)
        library.nearest_sum(stored, 100, 2, np.zeros(100, dtype=np.int64), 1)
        library.nearest_to_median_sum(stored, 100, 2)
        library.sign_sum(stored, 100)
        library.column_sum(stored, 100)
        library.squared_norms(stored, [slice(0, 100)])
        assert stored.tobytes() == before


def test_a_read_is_the_or_of_the_codes(library):
    codes = np.zeros((1, 1, 1024), dtype=np.int8)
    assert library.read(codes) == 0
    codes[0, 0, 300] = 4
    codes[0, 0, 1017] = 1
    assert library.read(codes) == (4 << 8 * (300 % 8)) | (1 << 8 * (1017 % 8))


def test_tiles_of_another_width_are_refused_with_the_remedy(library):
    with pytest.raises(kernels.KernelError, match=r"tiles of 128 coordinates: .* make them with to_tiles"):
        library.median(np.zeros((2, 3, 128), dtype=np.int8), 200)


@pytest.mark.parametrize("f", [-1, 2, 3])
def test_more_trimmed_than_there_is_is_refused(library, f):
    with pytest.raises(kernels.KernelError, match=rf"f = {f} of 4 rows on each side"):
        library.trimmed_sum(np.zeros((4, 1), dtype=np.int8), 1, f)


@pytest.mark.parametrize(("f", "d", "denominator"), [(4, 1, 2), (-1, 1, 2), (1, 2, 2), (1, 1, 0)])
def test_a_centre_that_is_none_is_refused(library, f, d, denominator):
    with pytest.raises(kernels.KernelError, match="f must be less than the rows, and there must be 1 centres"):
        library.nearest_sum(np.zeros((4, 1), dtype=np.int8), 1, f, np.zeros(d, dtype=np.int64), denominator)


@pytest.mark.parametrize("f", [-1, 4])
def test_more_left_out_around_the_median_than_there_is_is_refused(library, f):
    with pytest.raises(kernels.KernelError, match=rf"f = {f} of 4 rows: f must be less than the rows"):
        library.nearest_to_median_sum(np.zeros((4, 1), dtype=np.int8), 1, f)


def test_more_rows_than_16_bits_count_go_to_numpy():
    rows = np.concatenate([np.full((40_000, 1), 5, np.int8), np.full((30_001, 1), -5, np.int8)])
    assert kernels.median(kernels.to_tiles(rows), 1).tolist() == [10]
    assert kernels.column_sum(rows, 1).tolist() == [49_995]
    assert columns._functions(len(rows)) is reference


@pytest.mark.parametrize("codes", [(-128, -128), (-128, 127), (127, 127)])
def test_the_most_rows_that_go_to_the_library_do_not_overflow(codes):
    """columns.h: n <= 65535. And one more is NumPy's."""
    assert columns.MOST_ROWS < 1 << 24
    assert columns._functions(columns.MOST_ROWS + 1) is reference
    rows = np.repeat(np.array([codes], np.int8), columns.MOST_ROWS, axis=0)
    rows[: columns.MOST_ROWS // 2, 1] = codes[0]
    check_columns(rows, (20_000,))
