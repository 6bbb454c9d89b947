"""Every primitive of the C core equals its NumPy twin, on random and on extreme inputs, in every variant."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

from byzantiny_firmware import library
from byzantiny_models import quantization, rng
from byzantiny_models.networks import NETWORKS
from byzantiny_models.training import output_error

INT32_MAX = 2**31 - 1


@pytest.fixture(scope="module", params=library.supported_variants())
def lib(request):
    return library.load_variant(request.param)


@pytest.fixture
def gen():
    return np.random.default_rng(20)


def _at(array):
    return ctypes.c_void_p(array.ctypes.data)


def _edges(limit):
    """Powers of two and their neighbours, both signs, within +-limit, and a random spread."""
    near = [sign * ((1 << b) + o) for b in range(32) for o in (-1, 0, 1) for sign in (-1, 1)]
    spread = np.random.default_rng(1).integers(-limit, limit, 20_000, endpoint=True)
    return np.array([v for v in [*near, limit, -limit] if abs(v) <= limit] + spread.tolist(), dtype=np.int32)


def test_draw_has_the_published_vectors(lib):
    out = np.empty(3, np.uint32)
    lib.byz_test_draw(_at(np.arange(3, dtype=np.uint32)), 3, 1, 2, _at(out))
    assert [f"{v:08x}" for v in out] == ["5fb0f483", "b688bfd8", "6e7dcf13"]


def test_draw_equals_numpy(lib, gen):
    index = gen.integers(0, 2**32, 50_000, dtype=np.uint32)
    for k0, k1 in [(0, 0), (2**32 - 1, 2**32 - 1), *gen.integers(0, 2**32, (20, 2)).tolist()]:
        out = np.empty_like(index)
        lib.byz_test_draw(_at(index), len(index), ctypes.c_uint32(k0), ctypes.c_uint32(k1), _at(out))
        np.testing.assert_array_equal(out, rng.draw(index, k0, k1))


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("client_id", ["", "a", "dev-01", "abcdefghijklmnop"])
def test_key_equals_python(lib, seed, client_id):
    for round_num, stream in [(0, 0), (1, 1), (2**32 - 1, 8)]:
        out = np.empty(2, np.uint32)
        lib.byz_test_key(
            ctypes.c_uint64(seed), client_id.encode().ljust(16, b"\0"), ctypes.c_uint32(round_num), stream, _at(out)
        )
        assert tuple(out.tolist()) == rng.derive_key(seed, client_id, round_num, stream)


@pytest.mark.parametrize("k", range(1, 31))
def test_requantize_equals_numpy(lib, k):
    acc = _edges(INT32_MAX - 1)
    out = np.empty_like(acc)
    lib.byz_test_requantize(_at(acc), len(acc), k, _at(out))
    np.testing.assert_array_equal(out, quantization.requantize(acc, k))


def test_requantize_rounds_twice(lib):
    # training.md 5.2: where single rounding would give 1, -1, 1, -1.
    for acc, k, expected in [(5, 2, 2), (-6, 2, -2), (1535, 10, 2), (-1536, 10, -2)]:
        out = np.empty(1, np.int32)
        lib.byz_test_requantize(_at(np.array([acc], np.int32)), 1, k, _at(out))
        assert out[0] == expected


@pytest.mark.parametrize("k", range(1, 17))
def test_rounding_shift_equals_numpy(lib, k):
    v = _edges(INT32_MAX - (1 << 15))
    out = np.empty_like(v)
    lib.byz_test_rounding_shift(_at(v), len(v), k, _at(out))
    np.testing.assert_array_equal(out, quantization.rounding_shift(v, k))


@pytest.mark.parametrize("s", range(-8, 17))
def test_stochastic_shift_equals_numpy(lib, gen, s):
    v = _edges(2**22)
    noise = gen.integers(0, 2**32, len(v), dtype=np.uint32)
    noise[:400:2], noise[1:400:2] = 0, 2**32 - 1
    out = np.empty_like(v)
    lib.byz_test_stochastic_shift(_at(v), _at(noise), len(v), s, _at(out))
    np.testing.assert_array_equal(out, quantization.stochastic_shift(v, s, noise))


def test_stochastic_shift_of_zero_is_zero(lib, gen):
    # What allows the core to leave out rows whose error is 0, and inputs that are 0.
    noise = np.concatenate([gen.integers(0, 2**32, 1000, dtype=np.uint32), np.array([0, 2**32 - 1], np.uint32)])
    zeros, out = np.zeros(len(noise), np.int32), np.empty(len(noise), np.int32)
    for s in range(-4, 17):
        lib.byz_test_stochastic_shift(_at(zeros), _at(noise), len(noise), s, _at(out))
        assert not out.any()


def test_stochastic_shift_is_unbiased_over_all_residues(lib):
    s = 6
    noise = (np.arange(1 << s, dtype=np.uint32) << (32 - s)).astype(np.uint32)
    out = np.empty(len(noise), np.int32)
    for v in range(-200, 201):
        lib.byz_test_stochastic_shift(_at(np.full(len(noise), v, np.int32)), _at(noise), len(noise), s, _at(out))
        assert out.sum() == v  # sum over 2^s noises of SR(v, s) is 2^s * v / 2^s


def test_isqrt_ceil_equals_python(lib, gen):
    roots = [0, 1, 2, 127, 128, 2**20 - 1, 2**20, 2**26, 2**31 - 1]
    values = [r * r + o for r in roots for o in (-1, 0, 1)] + [2**62] + gen.integers(0, 2**62, 5000).tolist()
    values = np.array([v for v in values if 0 <= v <= 2**62], np.uint64)
    out = np.empty(len(values), np.uint32)
    lib.byz_test_isqrt_ceil(_at(values), len(values), _at(out))
    assert out.tolist() == [quantization.isqrt_ceil(int(v)) for v in values]
    assert all((int(r) - 1) ** 2 < int(v) <= int(r) ** 2 for r, v in zip(out, values, strict=True) if v)
    assert out[values == 4 * 10**6].tolist() == [math.isqrt(4 * 10**6)] * int((values == 4 * 10**6).sum())


@pytest.mark.parametrize("classes", [2, 10, 256])
def test_softmax_error_equals_numpy(lib, gen, classes):
    rows = gen.integers(-128, 128, (500, classes)).astype(np.int8)
    rows[0], rows[1] = -128, 127
    rows[2] = -128
    rows[2, -1] = 127
    labels = gen.integers(0, classes, len(rows))
    expected = output_error(rows, labels)
    out = np.empty(classes, np.int16)
    for row, label, want in zip(rows, labels, expected, strict=True):
        lib.byz_test_softmax_error(_at(row), classes, int(label), _at(out))
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("n", [1, 2, 3, 100, 65_535])
def test_sample_order_equals_python(lib, n):
    out = np.empty(n, np.uint16)
    for epoch in (0, 1, 254):
        lib.byz_test_sample_order(_at(out), n, epoch, ctypes.c_uint32(0xDEADBEEF), ctypes.c_uint32(7))
        np.testing.assert_array_equal(out, rng.sample_order(n, epoch, 0xDEADBEEF, 7))
        assert sorted(out.tolist()) == list(range(n))


def test_layout_of_the_generated_network_is_the_definition(lib):
    network = NETWORKS["mlp-64-32-10"]
    assert lib.byz_batch_scratch_bytes(0) > 2 * 65_535
    assert lib.byz_batch_scratch_bytes(len(NETWORKS)) == 0
    assert network.layout.model_bytes == 4904
