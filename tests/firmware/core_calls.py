"""The batch calls of the host library with NumPy arrays, and the comparison of a network in C with the reference."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.inference import forward
from byzantiny_models.networks import Network
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train

SEED, ROUND, CLIENT = 7, 2, "dev-01"


def array(blob):
    return np.frombuffer(bytearray(blob), np.uint8)


@dataclass
class Core:
    """A library and the number of a network in it; the network may be a part (its base is handed over with each call)."""

    lib: ctypes.CDLL
    index: int
    network: Network

    def __post_init__(self):
        self.scratch = np.zeros(self.lib.byz_batch_scratch_bytes(self.index) // 8 + 1, np.uint64)
        self.which = (self.index, self.network.base or None, len(self.network.base))
        self.name = array(CLIENT.encode().ljust(16, b"\0"))

    def forward(self, flat, x):
        """The outputs (n, outputs), or a negative error."""
        model, x = array(self.network.layout.pack(flat)), np.ascontiguousarray(x, np.int8)
        outputs = np.empty((len(x), self.network.outputs), np.int8)
        status = self.lib.byz_batch_forward(
            *self.which,
            model.ctypes.data,
            x.ctypes.data,
            len(x),
            x.shape[1],
            outputs.ctypes.data,
            self.scratch.ctypes.data,
        )
        return outputs if status == 0 else status

    def train(self, flat, x, y, epochs, lr_shift):
        """The trained model (d,), or a negative error."""
        model, blob = array(self.network.layout.pack(flat)), array(datasets.pack(x, y, self.network.classes))
        pointer, length = (ctypes.c_void_p * 1)(blob.ctypes.data), (ctypes.c_uint64 * 1)(len(blob))
        steps = self.lib.byz_batch_train(
            *self.which, model.ctypes.data, pointer, length, self.name.ctypes.data, SEED, ROUND, epochs, lr_shift, 1, 0, 1,
            self.scratch.ctypes.data,
        )  # fmt: skip
        assert steps in (epochs * len(y), steps if steps < 0 else None)
        return self.network.layout.unpack(model.tobytes()) if steps >= 0 else steps

    def encode(self, start, local, shifts, l2_bound):
        """The codes (d,)."""
        start, local = array(self.network.layout.pack(start)), array(self.network.layout.pack(local))
        codes, grid = np.zeros(self.network.layout.d, np.int8), np.array(shifts, np.int8)
        status = self.lib.byz_batch_encode(
            *self.which, start.ctypes.data, local.ctypes.data, grid.ctypes.data, l2_bound, self.name.ctypes.data, SEED, ROUND,
            1, 0, 1, codes.ctypes.data, self.scratch.ctypes.data,
        )  # fmt: skip
        assert status == 0
        return codes

    def describe(self, max_payload=240):
        """((d, model bytes, scratch bytes, arena bytes), layout hash), or a negative error."""
        sizes, sha256 = np.zeros(4, np.uint32), np.zeros(32, np.uint8)
        status = self.lib.byz_batch_describe(
            *self.which, max_payload, sizes.ctypes.data, sha256.ctypes.data, self.scratch.ctypes.data
        )
        return (tuple(sizes.tolist()), sha256.tobytes()) if status == 0 else status


def keys():
    return [derive_key(SEED, CLIENT, ROUND, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)]


def check(core, start, x, y, lr_shift, epochs=3):
    """Infer, train and encode in C; compare with NumPy; the trained model."""
    network = core.network
    np.testing.assert_array_equal(core.forward(start, x), forward(network, start, x))
    trained = train(network, start, x, y, *keys(), epochs, lr_shift)
    np.testing.assert_array_equal(core.train(start, x, y, epochs, lr_shift), trained)
    np.testing.assert_array_equal(core.forward(trained, x), forward(network, trained, x))
    shifts = network.layout.default_shifts(6)
    expected = encode(network.layout, start, trained, shifts, 300, derive_key(SEED, CLIENT, ROUND, Stream.CODES))
    np.testing.assert_array_equal(core.encode(start, trained, shifts, 300), expected)
    return trained


def draw(rng, network, n, extreme=0.1):
    """A model of the whole network and samples, some of whose values lie at their limits."""
    limits = network.whole.layout.limits.astype(np.int64)
    spread = rng.choice([64, 2048, 32_512], size=len(limits))
    model = np.clip(rng.integers(-spread, spread + 1), -limits, limits)
    model = np.where(rng.random(len(limits)) < extreme, np.sign(model) * limits, model).astype(np.int32)
    x = np.where(rng.random((n, network.features)) < extreme, rng.choice([-128, 0, 127]), rng.integers(-128, 128))
    return model, x.astype(np.int8), rng.integers(0, network.classes, n)
