"""Float sums in C have the bits of NumPy's, in the order of SPEC 4, on every variant, with any number of threads."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from byzantiny import kernels
from byzantiny.kernels import native, threads
from byzantiny.kernels.bindings import floats as bindings
from byzantiny.kernels.bindings.floats import Floats
from byzantiny.kernels.reference import floats as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = [Floats(native.load(native.library_path(v))) for v in VARIANTS]


def everywhere(monkeypatch):
    monkeypatch.setattr(bindings, "LEAST_NUMBERS", 1)
    for library, count in product(LIBRARIES, ("1", "3")):
        monkeypatch.setenv(threads.THREADS_ENV, count)
        yield library


def rough(rng, shape):
    """Numbers of very different sizes, so that another order of additions shows."""
    return rng.normal(0, 1, shape) * 10.0 ** rng.integers(-8, 9, shape)


@pytest.mark.parametrize("d", [1, 7, 8, 9, 63, 64, 65, 255, 256, 257, 4097])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 17])
def test_every_sum_has_the_bits_of_numpy_s(n, d, monkeypatch):
    rng = np.random.default_rng(n * 10_007 + d)
    rows, center, weights = rough(rng, (n, d)), rough(rng, d), rough(rng, n)
    order = rng.permutation(n)[: max(1, n // 2)].astype(np.uint32)
    scales = (np.ones(d), np.broadcast_to(1.0, d), rng.choice([1.0, 8.0], d))
    for library in everywhere(monkeypatch):
        assert np.array_equal(library.float_row_sum(rows), reference.float_row_sum(rows))
        assert np.array_equal(
            library.float_weighted_sum(rows, weights, np.arange(n, dtype=np.uint32)),
            reference.float_weighted_sum(rows, weights),
        )
        some = library.float_weighted_sum(rows, np.ones(len(order)), order)
        assert np.array_equal(some, reference.float_column_sum(rows[order]))
        for scale in scales:
            to = library.float_squared_distances_to(rows, center, scale)
            assert np.array_equal(to, reference.float_squared_distances_to(rows, center, scale))
            assert np.array_equal(
                library.float_squared_distances(rows, scale), reference.float_squared_distances(rows, scale)
            )


def test_an_overflow_is_infinity_and_nothing_else():
    rows = np.array([[1e200, 0.0], [-1e200, 1.0]])
    for library in LIBRARIES:
        assert library.float_squared_distances(rows, np.ones(2)).tolist() == [[0, np.inf], [np.inf, 0]]
        assert library.float_squared_distances_to(rows, np.array([1e200, 0.0]), np.ones(2)).tolist() == [0, np.inf]


@pytest.mark.parametrize("dtype", [np.int8, np.float64, np.float32])
def test_the_face_takes_any_rows_and_leaves_them_alone(dtype):
    rows = np.random.default_rng(1).integers(-100, 100, (9, 33)).astype(dtype)[:, ::2]
    before = rows.copy()
    kept = np.arange(9) % 3 != 0
    assert np.array_equal(kernels.float_column_sum(rows, kept), before[kept].astype(np.float64).sum(axis=0))
    weighted = kernels.float_weighted_sum(rows, np.full(9, 0.5))
    assert np.array_equal(weighted, before.astype(np.float64).sum(axis=0) / 2)
    assert np.array_equal(
        kernels.float_squared_distances_to(rows, np.zeros(17), np.ones(17)),
        (before.astype(np.float64) ** 2).sum(axis=1),
    )
    assert np.array_equal(rows, before)
