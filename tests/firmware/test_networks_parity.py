"""The core walks any network of the definition, not only the one it ships: deeper, without a hidden layer, odd widths."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess

import numpy as np
import pytest

from byzantiny_firmware import build, headers, library, zigcc
from byzantiny_models.encoding import encode
from byzantiny_models.inference import forward
from byzantiny_models.networks import Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train

NETWORKS = {
    network.name: network
    for network in (
        Network("linear-12-4", (Dense(12, 4, "linear"),)),
        Network("deep-20-24-16-5", (Dense(20, 24, "relu"), Dense(24, 16, "relu"), Dense(16, 5, "linear"))),
        Network("odd-33-70-2", (Dense(33, 70, "relu"), Dense(70, 2, "linear"))),
        Network("wide-130-64-32-10", (Dense(130, 64, "relu"), Dense(64, 32, "relu"), Dense(32, 10, "linear"))),
    )
}


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    """The host library with the tables of these networks instead of the shipped one."""
    core = tmp_path_factory.mktemp("core") / "core"
    shutil.copytree(build.CORE, core)
    for path in (core / "native").iterdir():
        if not path.name.startswith("byz_batch."):
            path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers, "NETWORKS", NETWORKS)
        (core / "generated" / "byz_networks.h").write_text(headers.networks_header(), encoding="utf-8")
        (core / "generated" / "byz_networks.c").write_text(headers.networks_source(), encoding="utf-8")
    variant = {v.name: v for v in build.native_variants()}[library.variant_name()]
    keep = {"rng", "train", "codes", "cobs", "crc32c", "sha256", "hmac", "frame", "tables", "networks", "batch"}
    sources = [str(path) for path in core.rglob("*.c") if path.stem.removeprefix("byz_") in keep]
    out = core / variant.file_name("byz")
    target = ["-target", variant.target, f"-mcpu={variant.cpu}", f"-I{core}"]
    command = [*zigcc.compiler(), *build.NATIVE_FLAGS, *target, *sources, "-o", str(out)]
    subprocess.run(command, check=True, env=zigcc.environment())
    loaded = ctypes.CDLL(str(out))
    for name, (result, arguments) in library.PROTOTYPES.items():
        if hasattr(loaded, name):
            getattr(loaded, name).restype, getattr(loaded, name).argtypes = result, arguments
    return loaded


def _array(blob):
    return np.frombuffer(bytearray(blob), np.uint8)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("lr_shift", [4, 5, 14])
@pytest.mark.parametrize("scale", [1, 6])
def test_training_inference_and_encoding_equal_numpy(lib, name, lr_shift, scale):
    network, gen = NETWORKS[name], np.random.default_rng(lr_shift)
    x = gen.integers(-128, 128, (25, network.features)).astype(np.int8)
    y = gen.integers(0, network.classes, 25)
    start = initial_model(network, 3) * scale + gen.integers(-50, 50, network.layout.d)
    _check(lib, network, network.layout.saturate(start), x, y, lr_shift)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_hidden_error_saturates_at_both_ends_of_int16(lib, sign):
    # All hidden units are active; the last layer's weights are at their limit, for class 0 against the others, and the label is
    # wrong: the error of the inner layer is 4032 everywhere, that of the first one sign * 127 * 4032 * 16 / 64, far beyond.
    network = NETWORKS["deep-20-24-16-5"]
    layout = network.layout
    w0, b0, w1, b1, w2, _ = layout.slices
    start = np.zeros(layout.d, np.int32)
    start[b0] = 128
    start[w1] = sign * 32_512
    start[b1] = 0 if sign > 0 else 6400
    start[w2] = np.repeat([32_512, -32_512, -32_512, -32_512, -32_512], 16)
    x = np.random.default_rng(1).integers(-128, 128, (1, 20)).astype(np.int8)
    trained = _check(lib, network, start, x, np.array([1]), 4, epochs=1)
    assert (trained[w0] != 0).any()
    extreme = 32_767 if sign > 0 else -32_768
    assert abs(int((start - trained)[b0][0]) - (extreme >> 2)) <= 1


def _check(lib, network, start, x, y, lr_shift, epochs=3):
    """Infer, train and encode in C; compare with NumPy; the trained model."""
    layout, index, n = network.layout, list(NETWORKS).index(network.name), len(y)
    head = struct.pack("<4sIHHI", b"BYZD", n, network.features, network.classes, 0)
    blob = _array(head + np.concatenate([x.view(np.uint8), y[:, None].astype(np.uint8)], axis=1).tobytes())
    model, start_blob = _array(layout.pack(start)), _array(layout.pack(start))
    scratch = np.zeros(lib.byz_batch_scratch_bytes(index) // 8 + 1, np.uint64)
    name_bytes = _array(b"dev-01".ljust(16, b"\0"))
    pointer, length = (ctypes.c_void_p * 1)(blob.ctypes.data), (ctypes.c_uint64 * 1)(len(blob))

    logits = np.empty((n, network.classes), np.int8)
    arguments = (start_blob.ctypes.data, x.ctypes.data, n, network.features, logits.ctypes.data, scratch.ctypes.data)
    assert lib.byz_batch_forward(index, *arguments) == 0
    np.testing.assert_array_equal(logits, forward(network, start, x))

    arguments = (model.ctypes.data, pointer, length, name_bytes.ctypes.data, 7, 2, epochs, lr_shift, 1, 0, 1)
    assert lib.byz_batch_train(index, *arguments, scratch.ctypes.data) == epochs * n
    keys = [derive_key(7, "dev-01", 2, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)]
    trained = train(network, start, x, y, *keys, epochs, lr_shift)
    assert model.tobytes() == layout.pack(trained)

    shifts = layout.default_shifts(6)
    codes = np.zeros(layout.d, np.int8)
    grid = np.array(shifts, np.int8)
    arguments = (
        start_blob.ctypes.data,
        model.ctypes.data,
        grid.ctypes.data,
        300,
        name_bytes.ctypes.data,
        7,
        2,
        1,
        0,
        1,
    )
    assert lib.byz_batch_encode(index, *arguments, codes.ctypes.data) == 0
    expected = encode(layout, start, trained, shifts, 300, derive_key(7, "dev-01", 2, Stream.CODES))
    np.testing.assert_array_equal(codes, expected)
    return trained
