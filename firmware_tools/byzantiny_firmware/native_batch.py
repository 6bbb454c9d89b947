"""Batch training in C beneath the frames: one call for the clients of a round, the interpreter's lock released."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.batch import alike
from byzantiny.wire.codec import encode_client_id
from byzantiny.wire.messages import Offer
from byzantiny_firmware import library
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.provision import TRAINER
from byzantiny_models.networks import NETWORKS


class NativeBatch:
    """The clients of `specs`, all of one network and base; what comes out is what their frames would carry.

    Raises FirmwareError for networks that differ, or a call that the library refuses.
    """

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self._lib = library.load()
        network, trainer = alike(specs)
        if trainer != TRAINER:
            raise FirmwareError(f"a batch with trainer {trainer!r}; the C core has {TRAINER!r}: use body numpy")
        self._layout, self._outputs = network.layout, network.outputs
        self._index = list(NETWORKS).index(network.name)
        self._which = (self._index, network.base or None, len(network.base))
        self._blobs = [spec.dataset for spec in specs]  # the addresses below are into these
        self._addresses = np.array(
            [ctypes.cast(ctypes.c_char_p(blob), ctypes.c_void_p).value for blob in self._blobs], np.uint64
        )
        self._lengths = np.array([len(blob) for blob in self._blobs], np.uint64)
        ids = b"".join(encode_client_id(spec.client_id) for spec in specs)
        self._ids = np.frombuffer(ids, np.uint8).reshape(len(specs), 16)
        self._scratch = np.zeros(self._lib.byz_batch_scratch_bytes(self._index) // 8 + 1, np.uint64)

    def models(self, slots: Sequence[int], start: npt.NDArray[np.int32], offer: Offer) -> npt.NDArray[np.int32]:
        """Return the models that the slots have trained, int32 (len(slots), d)."""
        trained = self._train(np.asarray(slots), self._layout.pack(start), offer)
        size = self._layout.model_bytes
        return np.stack([self._layout.unpack(trained[i * size : (i + 1) * size].tobytes()) for i in range(len(slots))])

    def updates(self, slots: Sequence[int], start: npt.NDArray[np.int32], offer: Offer) -> npt.NDArray[np.int8]:
        """Return the codes that the slots would send, int8 (len(slots), d)."""
        chosen, blob, n = np.asarray(slots), self._layout.pack(start), len(slots)
        trained = self._train(chosen, blob, offer)
        ids, shifts = np.ascontiguousarray(self._ids[chosen]), np.array(offer.shifts, np.int8)
        codes = np.empty((n, self._layout.d), np.int8)
        before = np.frombuffer(bytearray(blob), np.uint8)
        status = self._lib.byz_batch_encode(
            *self._which, before.ctypes.data, trained.ctypes.data, shifts.ctypes.data, offer.l2_bound,
            ids.ctypes.data, offer.seed, offer.round_num, n, 0, n, codes.ctypes.data, self._scratch.ctypes.data,
        )  # fmt: skip
        _check(status)
        return codes

    def outputs(self, model: npt.NDArray[np.int32], x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Return what a model answers to samples (N, features), int8 (N, outputs)."""
        rows, blob = np.ascontiguousarray(x), np.frombuffer(bytearray(self._layout.pack(model)), np.uint8)
        answers = np.empty((len(rows), self._outputs), np.int8)
        status = self._lib.byz_batch_forward(
            *self._which, blob.ctypes.data, rows.ctypes.data, len(rows), rows.shape[1], answers.ctypes.data,
            self._scratch.ctypes.data,
        )  # fmt: skip
        _check(status)
        return answers

    def _train(self, chosen: npt.NDArray[np.int64], blob: bytes, offer: Offer) -> npt.NDArray[np.uint8]:
        n = len(chosen)
        models = np.frombuffer(bytearray(blob * n), np.uint8)
        addresses, lengths = self._addresses[chosen], self._lengths[chosen]
        ids = np.ascontiguousarray(self._ids[chosen])
        pointers = addresses.ctypes.data_as(ctypes.POINTER(ctypes.c_void_p))
        sizes = lengths.ctypes.data_as(ctypes.POINTER(ctypes.c_uint64))
        status = self._lib.byz_batch_train(
            *self._which, models.ctypes.data, pointers, sizes, ids.ctypes.data, offer.seed,
            offer.round_num, offer.epochs, offer.lr_shift, n, 0, n, self._scratch.ctypes.data,
        )  # fmt: skip
        _check(status)
        return models


def _check(status: int) -> None:
    if status < 0:
        raise FirmwareError(
            f"the native library refuses a batch: error {status}; the data set does not fit the network"
        )
