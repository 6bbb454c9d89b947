"""Distances and subsets in C are those of NumPy and of Python's integers, on every variant, with any number of threads."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny import kernels
from byzantiny.kernels import native, threads
from byzantiny.kernels.bindings import geometry as bindings
from byzantiny.kernels.bindings.geometry import Geometry
from byzantiny.kernels.reference import geometry as reference
from byzantiny.kernels.runs import Blocks, weighted_runs

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = {v: Geometry(native.load(native.library_path(v))) for v in VARIANTS}
COHORTS = (*range(1, 14), 25, 40, 100, 129, 513)
WIDTHS = (1, 63, 64, 65, 4097)


@pytest.fixture(params=VARIANTS)
def library(request):
    return LIBRARIES[request.param]


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
    monkeypatch.setattr(bindings, "LEAST_PRODUCTS", 1)
    for rows in list(samples(n, d))[: 3 if n * d < 30_000 else 1]:
        for slices, weights in (([slice(0, d)], np.array([1])), (thirds(d), WEIGHTS)):
            expected = plain_gram(rows, slices, weights)
            for stored in (rows, kernels.to_tiles(rows)):
                assert np.array_equal(reference.gram(stored, slices, weights), expected)
                for library, count in product(LIBRARIES.values(), (1, 3)):
                    monkeypatch.setenv(threads.THREADS_ENV, str(count))
                    assert np.array_equal(library.gram(stored, slices, weights), expected)


@pytest.mark.parametrize("d", [32 * 64 - 1, 32 * 64, 32 * 64 + 1, 70_000])
def test_the_largest_products_stay_within_the_32_bits_of_a_block(library, d):
    """dot.h: 32 blocks of 64 products of 128 * 255, the largest an offset code and a code have, are below 2^27."""
    assert 32 * 64 * 128 * 255 < 2**27
    for low, high in ((-128, -128), (-128, 127), (127, 127)):
        rows = np.stack([np.full(d, low, np.int8), np.full(d, high, np.int8)])
        assert np.array_equal(library.gram(rows, [slice(0, d)], np.array([1])), d * np.outer((low, high), (low, high)))


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
