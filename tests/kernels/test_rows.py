"""Rows scaled in C are those of NumPy and of exact fractions, on every variant, with any number of threads."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from byzantiny import kernels
from byzantiny.kernels import KernelError, native, threads
from byzantiny.kernels.bindings import rows as bindings
from byzantiny.kernels.reference import rows as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
CODES = np.arange(-128, 128).astype(np.int8)
FACTORS = np.arange(4097, dtype=np.int32)


@pytest.fixture(params=VARIANTS)
def library(request):
    return bindings.Rows(native.load(native.library_path(request.param)))


def half_away(value):
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def test_the_reference_is_the_fraction_rounded_half_away():
    few = np.concatenate([FACTORS[::97], [1, 2047, 2048, 2049, 4095, 4096]]).astype(np.int32)
    scaled = reference.scale_rows(np.tile(CODES[1:], (len(few), 1)), few)
    expected = [[half_away(Fraction(code * factor, 4096)) for code in CODES[1:].tolist()] for factor in few.tolist()]
    assert scaled.tolist() == expected


def test_every_code_with_every_factor(library):
    every = np.tile(CODES, (len(FACTORS), 1))
    assert np.array_equal(library.scale_rows(every, FACTORS), reference.scale_rows(every, FACTORS))


@pytest.mark.parametrize("d", [1, 63, 64, 65, 4097])
@pytest.mark.parametrize("count", [1, 3])
def test_rows_and_tiles_are_scaled_alike_and_left_as_they_are(library, d, count, monkeypatch):
    monkeypatch.setenv(threads.THREADS_ENV, str(count))
    monkeypatch.setattr(bindings, "LEAST_CODES", 1)
    rng = np.random.default_rng(d)
    rows = rng.integers(-127, 128, (7, d)).astype(np.int8)
    factors = np.array([4096, 0, 1, 4095, 4096, 2048, 700], dtype=np.int32)
    before, expected = rows.copy(), reference.scale_rows(rows, factors)
    assert np.array_equal(library.scale_rows(rows, factors), expected)
    tiles = library.scale_rows(kernels.to_tiles(rows), factors)
    assert np.array_equal(tiles, kernels.to_tiles(expected))
    assert np.array_equal(rows, before)


@pytest.mark.parametrize("factors", [[4096], [4096, -1], [4097, 4096]])
def test_factors_that_are_none_are_refused(factors):
    with pytest.raises(KernelError, match=r"give each row one of 0 \.\. 4096"):
        kernels.scale_rows(np.zeros((2, 3), dtype=np.int8), np.array(factors, dtype=np.int32))
