"""Distances and subsets in C are those of NumPy and of Python's integers, on every variant, with any number of threads."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny import kernels
from byzantiny.kernels import geometry, native, threads
from byzantiny.kernels.bindings import geometry as bindings
from byzantiny.kernels.bindings.geometry import Geometry
from byzantiny.kernels.reference import geometry as reference
from byzantiny.kernels.runs import Blocks, center_bits, point_bits, weighted_runs

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = {v: Geometry(native.load(native.library_path(v))) for v in VARIANTS}
COHORTS = (*range(1, 14), 25, 40, 100, 129, 513)
WIDTHS = (1, 63, 64, 65, 4097)


@pytest.fixture(params=VARIANTS)
def library(request):
    return LIBRARIES[request.param]


def everywhere(monkeypatch):
    """Every variant's functions, with one thread and with three that share even the smallest call."""
    for name in ("LEAST_PRODUCTS", "LEAST_CODES"):
        monkeypatch.setattr(bindings, name, 1)
    for library, count in product(LIBRARIES.values(), (1, 3)):
        monkeypatch.setenv(threads.THREADS_ENV, str(count))
        yield library


def samples(n, d):
    rng = np.random.default_rng(n * 10_007 + d)
    yield rng.integers(-127, 128, (n, d)).astype(np.int8)
    yield np.full((n, d), -127, dtype=np.int8)
    yield rng.choice(np.array([-128, 127], dtype=np.int8), (n, d))


def thirds(d):
    return [slice(0, d // 3), slice(d // 3, d // 2), slice(d // 2, d)]


WEIGHTS = np.array([1, 4**12, 16])


def plain_gram(rows, slices, weights):
    """In float64, which holds every integer here."""
    wide = rows.astype(np.float64)
    return sum(w * (wide[:, s] @ wide[:, s].T) for s, w in zip(slices, weights.tolist(), strict=True))


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("n", COHORTS)
def test_the_gram_matrix_is_exact(n, d, monkeypatch):
    for rows in list(samples(n, d))[: 3 if n * d < 30_000 else 1]:
        for slices, weights in (([slice(0, d)], np.array([1])), (thirds(d), WEIGHTS)):
            expected = plain_gram(rows, slices, weights)
            for stored in (rows, kernels.to_tiles(rows)):
                assert np.array_equal(reference.gram(stored, slices, weights), expected)
                for library in everywhere(monkeypatch):
                    assert np.array_equal(library.gram(stored, slices, weights), expected)


@pytest.mark.parametrize("d", [32 * 64 - 1, 32 * 64, 32 * 64 + 1, 70_000])
def test_the_largest_products_stay_within_the_32_bits_of_a_block(library, d):
    """dot.h: 32 blocks of 64 products of 128 * 255, the largest an offset code and a code have, are below 2^27."""
    assert 32 * 64 * 128 * 255 < 2**27
    for low, high in ((-128, -128), (-128, 127), (127, 127)):
        rows = np.stack([np.full(d, low, np.int8), np.full(d, high, np.int8)])
        assert np.array_equal(library.gram(rows, [slice(0, d)], np.array([1])), d * np.outer((low, high), (low, high)))


SMALL_COHORTS = (1, 2, 3, 4, 5, 6, 7, 9, 40, 255, 256, 257)


def weight_samples(n, rng):
    yield (rng.random(n) < 0.7).astype(np.int64)
    yield rng.integers(0, 2**45, n)
    yield np.where(np.arange(n) == n // 2, 2**55, 0)  # the most a sum of weights may be, on one row


@pytest.mark.parametrize("d", [1, 63, 65, 1000])
@pytest.mark.parametrize("n", SMALL_COHORTS)
def test_weighted_sums_are_exact(n, d, monkeypatch):
    rng = np.random.default_rng(n)
    for rows, weights in product(samples(n, d), weight_samples(n, rng)):
        expected = weights @ rows.astype(np.int64)
        scaled = expected.astype(np.float64) * 2.0**-50
        for stored in (rows, kernels.to_tiles(rows)):
            assert np.array_equal(reference.weighted_sum(stored, weights, d), expected)
            for library in everywhere(monkeypatch):
                assert np.array_equal(library.weighted_sum(stored, weights, d), expected)
                assert np.array_equal(library.scaled_weighted_sum(stored, weights, d, 2.0**-50), scaled)


def test_the_most_rows_and_the_largest_digits_stay_within_32_bits(library):
    """dot.h: 65,535 rows of -128 times a digit of 255 are above -2^31."""
    n = geometry.MOST_ROWS
    assert 255 * 128 * n < 2**31
    rows = np.full((n, 1), -128, dtype=np.int8)
    assert library.weighted_sum(rows, np.full(n, 2**40 - 1), 1).tolist() == [-128 * n * (2**40 - 1)]
    assert isinstance(geometry._functions(n), Geometry)
    assert geometry._functions(n + 1) is reference


def exact_distances(rows, center, slices, weights):
    """In fractions: the distances to the centre on its grid, each run rounded once, weighted, added in order."""
    step = Fraction(2) ** -center_bits(center)
    put = [round(Fraction(c) / step) * step for c in center.tolist()]
    totals = [0.0] * len(rows)
    for start, stop, weight in weighted_runs(slices, weights):
        for i, row in enumerate(rows.tolist()):
            totals[i] += weight * float(
                sum((x - c) ** 2 for x, c in zip(row[start:stop], put[start:stop], strict=True))
            )
    return totals


def centers(d, rows, rng):
    yield np.zeros(d)
    yield rows[0].astype(np.float64)  # a row is at distance 0 from itself, exactly
    yield rng.normal(0, 30, d)
    yield np.full(d, -127.0)
    yield rng.normal(0, 1e-3, d)
    yield rng.normal(0, 1e-9, d) + rows[-1]  # nearly everything cancels
    yield rng.normal(0, 1e8, d)


@pytest.mark.parametrize("d", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_distances_to_a_point_are_those_of_fractions(n, d, monkeypatch):
    rng = np.random.default_rng(d)
    rows = rng.integers(-127, 128, (n, d)).astype(np.int8)
    for center, (slices, weights) in product(
        centers(d, rows, rng), (([slice(0, d)], np.array([1])), (thirds(d), WEIGHTS))
    ):
        runs = [slice(start, stop) for start, stop, _ in weighted_runs(slices, weights)]
        norms = kernels.squared_norms(rows, runs)
        expected = exact_distances(rows, center, slices, weights)
        for stored in (rows, kernels.to_tiles(rows)):
            assert reference.center_distances(stored, center, slices, weights, norms).tolist() == expected
            for library in everywhere(monkeypatch):
                assert library.center_distances(stored, center, slices, weights, norms).tolist() == expected


@pytest.mark.parametrize("d", [767, 768, 769, 5000])
@pytest.mark.parametrize("n", [2, 33])
def test_distances_to_a_point_are_numpy_s_across_the_blocks(n, d, monkeypatch):
    rng = np.random.default_rng(d)
    for rows in samples(n, d):
        center = rng.normal(0, 40, d)
        norms = kernels.squared_norms(rows, thirds(d))
        expected = reference.center_distances(rows, center, thirds(d), WEIGHTS, norms)
        for library, stored in product(everywhere(monkeypatch), (rows, kernels.to_tiles(rows))):
            assert np.array_equal(library.center_distances(stored, center, thirds(d), WEIGHTS, norms), expected)


@pytest.mark.parametrize("d", [1, 2**20 - 1, 2**20, 2**22, 2**31])
@pytest.mark.parametrize("largest", [0.0, 0.3, 1.0, 63.9, 127.0, 1e9])
def test_the_numbers_of_a_point_fit_six_digits_and_its_squares_128_bits(d, largest):
    bits = point_bits(largest, d)
    assert largest * 2**bits <= 2**46 < 0x7F7F7F7F7F7F
    assert d * ((128 + largest) * 2**bits) ** 2 < 2**128


@pytest.mark.parametrize("d", [1, 64, 65, 5000])
@pytest.mark.parametrize("n", [1, 2, 9, 100])
def test_inner_products_are_a_row_of_the_gram_matrix(n, d, monkeypatch):
    for rows in samples(n, d):
        expected = plain_gram(rows, thirds(d), WEIGHTS)
        for row in {0, n // 2, n - 1}:
            for stored in (rows, kernels.to_tiles(rows)):
                assert np.array_equal(reference.inner_products(stored, row, thirds(d), WEIGHTS), expected[row])
                for library in everywhere(monkeypatch):
                    assert np.array_equal(library.inner_products(stored, row, thirds(d), WEIGHTS), expected[row])


@pytest.mark.parametrize("d", [1, 63, 65, 300])
@pytest.mark.parametrize("n", SMALL_COHORTS)
def test_means_of_subsets_are_rounded_once(n, d, monkeypatch):
    rng = np.random.default_rng(n)
    rows = next(samples(n, d)) if n % 2 else np.full((n, d), -128, dtype=np.int8)
    members = rng.random((7, n)) < np.array([0, 0.1, 0.4, 0.5, 0.6, 0.9, 1])[:, None]
    counts = rng.integers(1, 1000, 7).astype(np.float64)
    expected = (members.astype(np.int64) @ rows.astype(np.int64)) / counts[:, None]
    for stored, (start, stop) in product((rows, kernels.to_tiles(rows)), {(0, d), (64 * (d // 128), d), (0, 1)}):
        assert np.array_equal(reference.subset_means(members, counts, stored, start, stop), expected[:, start:stop])
        for library in everywhere(monkeypatch):
            assert np.array_equal(library.subset_means(members, counts, stored, start, stop), expected[:, start:stop])
            for which in (library, reference):
                parts = list(which.subset_mean_blocks(members, counts, stored, (start, stop), 64))
                assert [part.shape[1] for part in parts[:-1]] == [64] * (len(parts) - 1)
                assert np.array_equal(np.concatenate(parts, axis=1), expected[:, start:stop])


@given(st.lists(st.integers(1, 150), min_size=1, max_size=4), st.data())
def test_every_coordinate_is_in_one_block_or_piece_of_its_run(lengths, data):
    weights = np.array(data.draw(st.lists(st.sampled_from([1, 4]), min_size=len(lengths), max_size=len(lengths))))
    stops = np.cumsum(lengths).tolist()
    slices = [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    rows = (np.arange(stops[-1]) % 127 + 1).astype(np.int8)[None]  # no zeros: those of a piece are seen
    runs = weighted_runs(slices, weights)
    assert [coordinate for start, stop, _ in runs for coordinate in range(start, stop)] == list(range(stops[-1]))
    assert [weight for start, stop, weight in runs for _ in range(start, stop)] == np.repeat(weights, lengths).tolist()
    for codes in (rows, kernels.to_tiles(rows)):
        for start, stop, _ in runs:
            blocks = Blocks(codes)
            first, count = blocks.whole(start, stop)
            pieces = list(blocks.pieces(start, stop))
            walked = rows[0, first * 64 : (first + count) * 64].tolist()
            walked += [code for tile in pieces for code in tile[0].tolist() if code]
            assert sorted(walked) == sorted(rows[0, start:stop].tolist())
            assert len(pieces) <= 2
            assert all(tile.shape == (1, 64) for tile in pieces)


def test_tiles_of_another_width_are_refused(library):
    with pytest.raises(kernels.KernelError, match="tiles of 128 coordinates"):
        library.gram(np.zeros((1, 3, 128), np.int8), [slice(0, 128)], np.array([1]))


def test_rows_of_tiles_lie_on_lines_of_the_cache():
    for tiles in (kernels.empty_tiles(3, 1000), kernels.to_tiles(np.ones((3, 1000), np.int8))):
        assert tiles.ctypes.data % 64 == 0
