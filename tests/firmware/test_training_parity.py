"""The C core trains, infers and encodes bit for bit as byzantiny_models does, in every variant this machine can run."""

from __future__ import annotations

import ctypes
import struct

import numpy as np
import pytest

from byzantiny_firmware import library
from byzantiny_models.encoding import encode
from byzantiny_models.errors import LayoutError
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train_many

NETWORK = NETWORKS["mlp-64-32-10"]
LAYOUT = NETWORK.layout
ERR_ARGUMENT, ERR_DATASET, ERR_RANGE = -1, -6, -7


@pytest.fixture(scope="module", params=library.supported_variants())
def lib(request):
    return library.load_variant(request.param)


def _at(array):
    return ctypes.c_void_p(array.ctypes.data)


def _blob(x, y, *, magic=b"BYZD", n=None, features=64, classes=10, zero=0):
    head = struct.pack("<4sIHHI", magic, len(y) if n is None else n, features, classes, zero)
    return head + np.concatenate([x.view(np.uint8), np.asarray(y, np.uint8)[:, None]], axis=1).tobytes()


def _clients(gen, counts, *, extreme=False):
    xs = [gen.integers(-128, 128, (n, 64)).astype(np.int8) for n in counts]
    if extreme:
        xs = [np.where(x > 0, 127, -128).astype(np.int8) for x in xs]
    return xs, [gen.integers(0, 10, n) for n in counts]


def _train(lib, start, xs, ys, *, seed, round_num, epochs, lr_shift, ids, part=None):
    n = len(xs)
    models = np.frombuffer(bytearray(LAYOUT.pack(start) * n), np.uint8)
    blobs = [np.frombuffer(_blob(x, y), np.uint8) for x, y in zip(xs, ys, strict=True)]
    pointers = (ctypes.c_void_p * n)(*[blob.ctypes.data for blob in blobs])
    lengths = (ctypes.c_uint64 * n)(*[len(blob) for blob in blobs])
    id_bytes = np.frombuffer(b"".join(name.encode().ljust(16, b"\0") for name in ids), np.uint8)
    scratch = np.zeros(lib.byz_batch_scratch_bytes(0) // 8 + 1, np.uint64)
    first, last = part or (0, n)
    steps = lib.byz_batch_train(
        0, None, 0, models.ctypes.data, pointers, lengths, id_bytes.ctypes.data, seed, round_num, epochs, lr_shift, n, first, last,
        scratch.ctypes.data,
    )  # fmt: skip
    return steps, models.reshape(n, LAYOUT.model_bytes)


def _expected(start, xs, ys, *, seed, round_num, epochs, lr_shift, ids):
    keys = [[derive_key(seed, name, round_num, s) for name in ids] for s in (Stream.SAMPLE_ORDER, Stream.TRAINING)]
    return train_many(NETWORK, start, xs, ys, *keys, epochs, lr_shift)


@pytest.mark.parametrize("lr_shift", range(4, 15))
@pytest.mark.parametrize(("seed", "round_num", "epochs"), [(1, 1, 1), (2**64 - 1, 2**32 - 1, 3)])
def test_training_equals_numpy(lib, lr_shift, seed, round_num, epochs):
    gen = np.random.default_rng(lr_shift)
    xs, ys = _clients(gen, (1, 2, 17, 40))
    ids = ["a", "dev-01", "abcdefghijklmnop", "-9"]
    given = {"seed": seed, "round_num": round_num, "epochs": epochs, "lr_shift": lr_shift, "ids": ids}
    steps, models = _train(lib, initial_model(NETWORK, 1), xs, ys, **given)
    assert steps == epochs * 60
    expected = _expected(initial_model(NETWORK, 1), xs, ys, **given)
    for blob, want in zip(models, expected, strict=True):
        assert blob.tobytes() == LAYOUT.pack(want)


@pytest.mark.parametrize("fill", ["limit", "-limit", "alternating", "zero"])
def test_training_equals_numpy_at_the_limits_of_the_formats(lib, fill):
    gen = np.random.default_rng(3)
    limit = LAYOUT.limits
    signs = {"limit": 1, "-limit": -1, "alternating": np.where(np.arange(LAYOUT.d) % 2, 1, -1), "zero": 0}[fill]
    start = (limit * signs).astype(np.int32)
    xs, ys = _clients(gen, (9, 30), extreme=True)
    given = {"seed": 5, "round_num": 2, "epochs": 2, "lr_shift": 4, "ids": ["x", "y"]}
    _, models = _train(lib, start, xs, ys, **given)
    for blob, want in zip(models, _expected(start, xs, ys, **given), strict=True):
        assert blob.tobytes() == LAYOUT.pack(want)


def test_long_training_saturates_as_numpy_does(lib):
    gen = np.random.default_rng(4)
    xs, ys = _clients(gen, (200,), extreme=True)
    start = LAYOUT.saturate(initial_model(NETWORK, 2) * 5)
    given = {"seed": 9, "round_num": 7, "epochs": 10, "lr_shift": 4, "ids": ["dev-07"]}
    _, models = _train(lib, start, xs, ys, **given)
    want = _expected(start, xs, ys, **given)[0]
    assert (np.abs(want) == LAYOUT.limits).any()  # the case does reach saturation
    assert models[0].tobytes() == LAYOUT.pack(want)


def test_a_slice_of_the_clients_trains_only_the_slice(lib):
    gen = np.random.default_rng(5)
    xs, ys = _clients(gen, (5, 6, 7))
    given = {"seed": 1, "round_num": 1, "epochs": 1, "lr_shift": 5, "ids": ["a", "b", "c"]}
    start = initial_model(NETWORK, 1)
    steps, part = _train(lib, start, xs, ys, part=(1, 2), **given)
    _, whole = _train(lib, start, xs, ys, **given)
    assert steps == 6
    assert part[1].tobytes() == whole[1].tobytes()
    assert part[0].tobytes() == part[2].tobytes() == LAYOUT.pack(start)


def test_no_epochs_leave_the_model_alone(lib):
    xs, ys = _clients(np.random.default_rng(6), (5,))
    start = initial_model(NETWORK, 1)
    steps, models = _train(lib, start, xs, ys, seed=1, round_num=1, epochs=0, lr_shift=5, ids=["a"])
    assert (steps, models[0].tobytes()) == (0, LAYOUT.pack(start))


@pytest.mark.parametrize("change", [{"lr_shift": 3}, {"lr_shift": 15}, {"lr_shift": 300}, {"epochs": 256}])
def test_parameters_outside_the_limits_are_refused(lib, change):
    xs, ys = _clients(np.random.default_rng(6), (5,))
    start = initial_model(NETWORK, 1)
    given = {"seed": 1, "round_num": 1, "epochs": 1, "lr_shift": 5, "ids": ["a"]} | change
    steps, models = _train(lib, start, xs, ys, **given)
    assert (steps, models[0].tobytes()) == (ERR_ARGUMENT, LAYOUT.pack(start))


@pytest.mark.parametrize(("at", "value"), [(0, 32513), (2047, -32513), (2048, 2**24), (2409, -(2**24))])
def test_a_model_beyond_its_formats_is_refused_by_both(lib, at, value):
    start = initial_model(NETWORK, 1)
    start[at] = value
    types = ["<i2" if t.dtype == "int16" else "<i4" for t in LAYOUT.tensors]
    parts = [start[where].astype(dtype).tobytes() for where, dtype in zip(LAYOUT.slices, types, strict=True)]
    blob = np.frombuffer(b"".join(parts), np.uint8)
    with pytest.raises(LayoutError):
        LAYOUT.unpack(blob.tobytes())
    rows, logits = np.zeros((1, 64), np.int8), np.zeros((1, 10), np.int8)
    scratch = np.zeros(lib.byz_batch_scratch_bytes(0) // 8 + 1, np.uint64)
    status = lib.byz_batch_forward(
        0, None, 0, blob.ctypes.data, rows.ctypes.data, 1, 64, logits.ctypes.data, scratch.ctypes.data
    )
    assert status == ERR_RANGE


@pytest.mark.parametrize(
    "change",
    [{"magic": b"BYZU"}, {"n": 4}, {"n": 6}, {"n": 0}, {"n": 65_536}, {"features": 63}, {"classes": 11}, {"zero": 1}],
)
def test_a_data_set_that_does_not_fit_is_refused(lib, change):
    xs, ys = _clients(np.random.default_rng(7), (5,))
    good, bad = _blob(xs[0], ys[0]), _blob(xs[0], ys[0], **change)
    assert lib.byz_test_dataset(0, good, ctypes.c_uint64(len(good))) == 0
    assert lib.byz_test_dataset(0, bad, ctypes.c_uint64(len(bad))) == ERR_DATASET
    assert lib.byz_test_dataset(0, good[:-1], ctypes.c_uint64(len(good) - 1)) == ERR_DATASET
    assert lib.byz_test_dataset(0, good[:15], ctypes.c_uint64(15)) == ERR_DATASET
    label = _blob(xs[0], np.array([0, 1, 2, 3, 10]))
    assert lib.byz_test_dataset(0, label, ctypes.c_uint64(len(label))) == ERR_DATASET


def test_a_data_set_has_at_most_65535_rows(lib):
    x, y = np.zeros((65_536, 64), np.int8), np.zeros(65_536, np.int64)
    for n, status in [(65_535, 0), (65_536, ERR_DATASET)]:
        blob = _blob(x[:n], y[:n])
        assert lib.byz_test_dataset(0, blob, ctypes.c_uint64(len(blob))) == status


def test_forward_equals_numpy(lib):
    gen = np.random.default_rng(8)
    x = gen.integers(-128, 128, (500, 64)).astype(np.int8)
    for scale in (1, 3, 20):
        model = LAYOUT.saturate(initial_model(NETWORK, scale) * scale)
        blob = np.frombuffer(LAYOUT.pack(model), np.uint8)
        logits = np.empty((len(x), 10), np.int8)
        scratch = np.zeros(lib.byz_batch_scratch_bytes(0) // 8 + 1, np.uint64)
        status = lib.byz_batch_forward(
            0, None, 0, blob.ctypes.data, x.ctypes.data, len(x), 64, logits.ctypes.data, scratch.ctypes.data
        )
        assert status == 0
        np.testing.assert_array_equal(logits, forward(NETWORK, model, x))


def _aligned(blob):
    return np.frombuffer(bytearray(blob), np.uint8)


def _encode_in_place(lib, start, local, shifts, bound, key):
    blob, start_blob = _aligned(LAYOUT.pack(local)), _aligned(LAYOUT.pack(start))
    status = lib.byz_test_encode(
        0,
        _at(start_blob),
        _at(blob),
        _at(np.array(shifts, np.int8)),
        ctypes.c_uint32(bound),
        *(ctypes.c_uint32(k) for k in key),
    )
    return status, blob[: LAYOUT.d].view(np.int8)


@pytest.mark.parametrize("shifts", [(5, 3, 5, 2), (0, 0, 0, 0), (12, 12, 12, 12), (3, 0, 11, 1), (0, 10, 0, 9)])
@pytest.mark.parametrize("bound", [0, 1, 50, 1000, 2**20 - 1])
@pytest.mark.parametrize("size", [3, 300, 32_000])
def test_encoding_equals_numpy(lib, shifts, bound, size):
    gen = np.random.default_rng(size + bound)
    start = LAYOUT.saturate(initial_model(NETWORK, 1))
    local = LAYOUT.saturate(
        start + gen.integers(-size, size, LAYOUT.d, endpoint=True) * np.where(LAYOUT.limits > 2**20, 100, 1)
    )
    key = (0x12345678, 0xFEDCBA98)
    status, codes = _encode_in_place(lib, start, local, shifts, bound, key)
    assert status == 0
    np.testing.assert_array_equal(codes, encode(LAYOUT, start, local, shifts, bound, key))


def test_the_clip_begins_just_above_the_bound(lib):
    # 2410 codes of 2: the norm is sqrt(9640) = 98.18; a bound of 99 does not clip, one of 98 does.
    start = np.zeros(LAYOUT.d, np.int32)
    local = np.concatenate([np.full(t.elements, 2 << s) for t, s in zip(LAYOUT.tensors, (5, 3, 5, 2), strict=True)])
    for bound, clipped in [(99, False), (98, True)]:
        _, codes = _encode_in_place(lib, start, local, (5, 3, 5, 2), bound, (1, 2))
        np.testing.assert_array_equal(codes, encode(LAYOUT, start, local, (5, 3, 5, 2), bound, (1, 2)))
        assert bool((codes != 2).any()) is clipped


@pytest.mark.parametrize(
    ("shifts", "bound"), [((13, 3, 5, 2), 0), ((5, -1, 5, 2), 0), ((5, 3, 5, 2), 2**20), ((0, 11, 0, 0), 0)]
)
def test_a_grid_outside_the_limits_is_refused_before_anything_changes(lib, shifts, bound):
    start = initial_model(NETWORK, 1)
    status, codes = _encode_in_place(lib, start, start, shifts, bound, (1, 2))
    assert status == ERR_ARGUMENT
    assert codes.tobytes() == LAYOUT.pack(start)[: LAYOUT.d]


def test_batch_encoding_equals_numpy(lib):
    gen = np.random.default_rng(11)
    start = initial_model(NETWORK, 1)
    ids = ["a", "b", "c"]
    locals_ = [LAYOUT.saturate(start + gen.integers(-900, 900, LAYOUT.d)) for _ in ids]
    start_blob, models = _aligned(LAYOUT.pack(start)), _aligned(b"".join(LAYOUT.pack(local) for local in locals_))
    id_bytes = np.frombuffer(b"".join(name.encode().ljust(16, b"\0") for name in ids), np.uint8)
    codes = np.zeros((3, LAYOUT.d), np.int8)
    shifts = np.array((5, 3, 5, 2), np.int8)
    scratch = np.zeros(lib.byz_batch_scratch_bytes(0) // 8 + 1, np.uint64)
    status = lib.byz_batch_encode(
        0, None, 0, start_blob.ctypes.data, models.ctypes.data, shifts.ctypes.data, 400, id_bytes.ctypes.data, 77, 3,
        3, 0, 3, codes.ctypes.data, scratch.ctypes.data,
    )  # fmt: skip
    assert status == 0
    for name, local, row in zip(ids, locals_, codes, strict=True):
        key = derive_key(77, name, 3, Stream.CODES)
        np.testing.assert_array_equal(row, encode(LAYOUT, start, local, shifts.tolist(), 400, key))


def test_all_variants_give_the_same_bytes():
    xs, ys = _clients(np.random.default_rng(12), (50, 3))
    given = {"seed": 3, "round_num": 4, "epochs": 2, "lr_shift": 5, "ids": ["a", "b"]}
    results = {
        name: _train(library.load_variant(name), initial_model(NETWORK, 1), xs, ys, **given)[1].tobytes()
        for name in library.supported_variants()
    }
    assert len(set(results.values())) == 1


def test_thumb_instructions_are_counted_by_their_size(lib):
    class Counter(ctypes.Structure):
        _fields_ = [("image", ctypes.c_void_p), ("base", ctypes.c_uint64), ("size", ctypes.c_uint64),
                    ("count", ctypes.c_uint64), ("enabled", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]  # fmt: skip

    # nop; movw r0, #0 (4 bytes: 0xf240); bl (4 bytes: 0xf000); b . (2 bytes: 0xe7fe); 0xe800 begins a 4-byte one.
    image = np.array([0xBF00, 0xF240, 0x0000, 0xF000, 0xF800, 0xE7FE, 0xE800, 0x0000], "<u2").view(np.uint8)
    counter = Counter(image.ctypes.data, 0x1000, len(image), 0, 1, 0)
    lib.byz_count_block(None, 0x1000, 16, ctypes.addressof(counter))
    assert counter.count == 5
    lib.byz_count_block(None, 0x1002, 4, ctypes.addressof(counter))
    assert counter.count == 6
    for address, size in [(0x0FFE, 4), (0x1010, 2), (0x100E, 4), (0x20000000, 16)]:  # outside the image
        lib.byz_count_block(None, address, size, ctypes.addressof(counter))
    counter.enabled = 0
    lib.byz_count_block(None, 0x1000, 16, ctypes.addressof(counter))
    assert counter.count == 6
