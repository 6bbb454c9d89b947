"""The body `native`: the C client for a whole fleet, one call for all frames, the interpreter's lock released."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.base import DeviceSpec
from byzantiny.records import FirmwareInfo
from byzantiny.wire.codec import encode_client_id
from byzantiny.wire.messages import DATASET_HEADER, DATASET_HEADER_BYTES, PAYLOAD_SIZES, Cap
from byzantiny_firmware import library
from byzantiny_firmware.attacked import attacked_library
from byzantiny_firmware.described import library_info
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.native_batch import NativeBatch
from byzantiny_firmware.provision import network_of
from byzantiny_models.networks import NETWORKS

_BANNER: Final = (1 << 64) - 1
_ALIGN: Final = 64
_ANSWERS: Final = 4096
_OUT_BYTES: Final = 4 << 20
_BURST: Final = 32
_FRAMES_PER_THREAD: Final = 64
"""Below this a second thread costs more than it saves."""
_ANSWER: Final = np.dtype([("offset", "<u8"), ("length", "<u4"), ("slot", "<u4")])
_ERRORS: Final = {
    -1: "an address outside 1..65534, a max_payload that is not one of the wire's, or an rx_credit of 0",
    -2: "more samples than there is room for",
    -6: "a data set that is not one for this network (docs/wire.md 3)",
    -7: "a base with a value beyond its format",
    -8: "a base that is not one of this network (docs/wire.md 3)",
}


class _Device(ctypes.Structure):
    """`byz_fleet_device_t` of core/native/byz_fleet.h."""

    _fields_ = (
        ("dataset", ctypes.c_void_p),
        ("dataset_bytes", ctypes.c_uint64),
        ("base", ctypes.c_void_p),
        ("base_bytes", ctypes.c_uint64),
        ("device_id", ctypes.c_uint8 * 16),
        ("secret", ctypes.c_uint8 * 32),
        ("fw_sha256", ctypes.c_uint8 * 8),
        ("net_index", ctypes.c_uint32),
        ("caps", ctypes.c_uint32),
        ("boot_id", ctypes.c_uint32),
        ("samples", ctypes.c_uint32),
        ("address", ctypes.c_uint16),
        ("max_payload", ctypes.c_uint16),
        ("rx_credit", ctypes.c_uint16),
        ("reset_reason", ctypes.c_uint16),
    )


def _prepared(native: ctypes.CDLL) -> ctypes.CDLL:
    pointer, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    native.byz_fleet_slot_bytes.restype, native.byz_fleet_slot_bytes.argtypes = u64, (ctypes.POINTER(_Device),)
    native.byz_fleet_burst_bytes.restype, native.byz_fleet_burst_bytes.argtypes = u64, (u32,)
    native.byz_fleet_boot.restype = ctypes.c_int32
    native.byz_fleet_boot.argtypes = (pointer, ctypes.POINTER(_Device))
    native.byz_fleet_exchange.restype = u64
    native.byz_fleet_exchange.argtypes = (
        pointer, pointer, pointer, pointer, u64, u64, ctypes.c_char_p, u32, u32, pointer, u64, pointer, u64,
        ctypes.POINTER(u64),
    )  # fmt: skip
    return native


def samples_of(dataset: bytes) -> int:
    """The number of samples a data set claims to have; 0 where it is too short to say.

    >>> samples_of(DATASET_HEADER.pack(b"BYZD", 3, 64, 10, 0))
    3
    """
    return int(DATASET_HEADER.unpack_from(dataset)[1]) if len(dataset) >= DATASET_HEADER_BYTES else 0


class _Output:
    """The buffers one thread's answers go into."""

    def __init__(self, out_bytes: int) -> None:
        self.out = np.empty(out_bytes, np.uint8)
        self.answers = np.empty(_ANSWERS, _ANSWER)
        self.n_answers = ctypes.c_uint64()

    def take(self) -> list[tuple[int, bytes]]:
        """(slot, frame) of every answer, in the order they were given."""
        records = self.answers[: self.n_answers.value]
        if not len(records):
            return []
        raw = self.out[: int(records["offset"][-1]) + int(records["length"][-1])].tobytes()
        ends = records["offset"] + records["length"]
        return [
            (slot, raw[start:end])
            for slot, start, end in zip(
                records["slot"].tolist(), records["offset"].tolist(), ends.tolist(), strict=True
            )
        ]


class NativeBody:
    """Many devices as slots of the native library. Thousands are fine: a slot takes about 12 KB and its samples' order.

    `threads` (default: the processors there are) share the slots; what comes out does not depend on it. With `attack`, and its
    parameters, they run firmware that lies (`byzantiny_firmware.attacked`).

    Raises FirmwareError for a device that cannot be (unknown network, a data set for another network, a bad address).

    >>> body = NativeBody([])
    >>> body.exchange([], 0), body.close()
    ([], None)
    """

    realtime: bool = False
    batch = NativeBatch
    """Training in process, without frames."""

    def __init__(
        self, specs: Sequence[DeviceSpec], *, threads: int | None = None, attack: str | None = None, **parameters: int
    ) -> None:
        path = library.library_path(library.variant_name())
        if attack is not None and specs:
            path = attacked_library(specs[0].network, attack, parameters)
        self._native = _prepared(library.load() if attack is None else library.open_library(path))
        self._info = library_info(path)
        self._specs = list(specs)
        self._devices = [self._device(spec) for spec in self._specs]
        self._memory = [self._slot_memory(device) for device in self._devices]
        self._addresses = np.array([_aligned_address(block) for block in self._memory], np.uint64)
        largest = max((spec.max_payload for spec in self._specs), default=PAYLOAD_SIZES[0])
        out_bytes = max(_OUT_BYTES, 2 * int(self._native.byz_fleet_burst_bytes(largest)))
        self._outputs = [_Output(out_bytes) for _ in range(max(1, threads or os.cpu_count() or 1))]
        self._pool: ThreadPoolExecutor | None = None
        self._banners: list[int] = []
        for slot in range(len(self._specs)):
            self._boot(slot)

    def exchange(self, frames: Sequence[tuple[int, bytes]], now_ms: int) -> list[tuple[int, bytes]]:
        """Deliver the frames and return every answer, slot by slot in order; `now_ms` is not needed."""
        del now_ms
        banners, self._banners = self._banners, []
        n = len(banners) + len(frames)
        if not n:
            return []
        slots = np.fromiter(chain(banners, (slot for slot, _ in frames)), np.uint32, n)
        if int(slots.max()) >= len(self._specs):
            raise FirmwareError(f"slot {int(slots.max())}: this body has {len(self._specs)}")
        lengths = np.zeros(n, np.uint32)
        lengths[len(banners) :] = [len(frame) for _, frame in frames]
        offsets = np.cumsum(lengths, dtype=np.uint64) - lengths
        offsets[: len(banners)] = _BANNER
        data = b"".join(frame for _, frame in frames)
        parts = min(len(self._outputs), 1 + n // _FRAMES_PER_THREAD)
        if parts == 1:
            answers = self._part(0, 1, slots, offsets, lengths, data)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(len(self._outputs), thread_name_prefix="byz-native")
            done = self._pool.map(lambda part: self._part(part, parts, slots, offsets, lengths, data), range(parts))
            answers = list(chain.from_iterable(done))
        answers.sort(key=itemgetter(0))  # stable: within a slot, as they were given
        return answers

    def firmware(self) -> list[FirmwareInfo]:
        """Return the library, in the variant that this processor runs."""
        return [self._info]

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a slot: what it held is gone, and its banner comes with the next exchange."""
        self._devices[slot].boot_id = boot_id
        self._boot(slot)

    def close(self) -> None:
        """Release the threads and the memory."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._memory.clear()
        self._specs.clear()

    def _part(
        self,
        part: int,
        parts: int,
        slots: npt.NDArray[np.uint32],
        offsets: npt.NDArray[np.uint64],
        lengths: npt.NDArray[np.uint32],
        data: bytes,
    ) -> list[tuple[int, bytes]]:
        output = self._outputs[part]
        answers: list[tuple[int, bytes]] = []
        at, n = 0, len(slots)
        while at < n:
            at = self._native.byz_fleet_exchange(
                self._addresses.ctypes.data, slots.ctypes.data, offsets.ctypes.data, lengths.ctypes.data, at, n, data,
                part, parts, output.out.ctypes.data, output.out.nbytes, output.answers.ctypes.data, _ANSWERS,
                ctypes.byref(output.n_answers),
            )  # fmt: skip
            answers += output.take()
        return answers

    def _device(self, spec: DeviceSpec) -> _Device:
        network_of(spec)  # or a sentence that says what is wrong with it
        if len(spec.secret) != 32:
            raise FirmwareError(f"the secret of {spec.client_id} has {len(spec.secret)} bytes; 32 are needed")
        device = _Device()
        # The pointers are into the bytes objects, which self._specs keeps alive; their contents are 4-aligned.
        device.dataset = ctypes.cast(ctypes.c_char_p(spec.dataset), ctypes.c_void_p).value
        device.dataset_bytes = len(spec.dataset)
        device.base = ctypes.cast(ctypes.c_char_p(spec.base), ctypes.c_void_p).value
        device.base_bytes = len(spec.base)
        try:
            device.device_id[:] = encode_client_id(spec.client_id)
        except ValueError as error:
            raise FirmwareError(str(error)) from error
        device.secret[:] = spec.secret
        device.fw_sha256[:] = bytes.fromhex(self._native.byz_source_sha256().decode("ascii"))[:8]
        device.net_index = list(NETWORKS).index(spec.network)
        device.caps = Cap.TRAIN_INT8_SR
        device.boot_id = spec.boot_id
        device.samples = min(samples_of(spec.dataset), 65_535)
        device.address, device.max_payload, device.rx_credit = spec.address, spec.max_payload, spec.rx_credit
        return device

    def _slot_memory(self, device: _Device) -> npt.NDArray[np.uint8]:
        size = self._native.byz_fleet_slot_bytes(ctypes.byref(device))
        return np.zeros(size + _ALIGN, np.uint8)

    def _boot(self, slot: int) -> None:
        status = self._native.byz_fleet_boot(int(self._addresses[slot]), ctypes.byref(self._devices[slot]))
        if status:
            why = _ERRORS.get(status, f"error {status}")
            raise FirmwareError(f"the device {self._specs[slot].client_id} does not start: {why}")
        if slot not in self._banners:
            self._banners.append(slot)


def _aligned_address(block: npt.NDArray[np.uint8]) -> int:
    address: Any = block.ctypes.data
    return -(-int(address) // _ALIGN) * _ALIGN
