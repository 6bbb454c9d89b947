"""The provisioning block: who a device is and what it learns from, outside the firmware (core/byz_provision.h).

The image is the same for every device. An emulator maps the block at `ADDRESS`, a board has it in a page of flash.
"""

from __future__ import annotations

import struct
from typing import Final

from byzantiny.bodies.base import DeviceSpec
from byzantiny.wire.codec import encode_client_id
from byzantiny.wire.crc import crc32c
from byzantiny.wire.messages import DATASET_HEADER, DATASET_HEADER_BYTES, PAYLOAD_SIZES, ResetReason
from byzantiny_firmware.errors import FirmwareError
from byzantiny_models.errors import LayoutError
from byzantiny_models.networks import NETWORKS, Network

ADDRESS: Final = 0x0010_0000
"""Where the MPS2 image looks for it: SSRAM 1, above the 256 KB that stand for flash."""
TRAINER: Final = "int8-sr"
"""What the C core trains with."""
REGION_BYTES: Final = 0x0030_0000
MAGIC: Final = b"BYZP"
VERSION: Final = 2
BLOCK: Final = struct.Struct("<4sHBx16s32sHHH2xIII")
"""magic, version, reset_reason, device_id, secret, address, max_payload, rx_credit, boot_id, dataset_bytes, base_bytes;
a CRC-32C of all that, the base (padded to a multiple of 4) and the data set follow."""
HEADER_BYTES: Final = BLOCK.size + 4


def provision(
    spec: DeviceSpec,
    *,
    reset_reason: ResetReason = ResetReason.POWER_ON,
    max_payload: int | None = None,
    max_samples: int | None = None,
) -> bytes:
    """The block, the base and the data set of one device; `max_payload` and `max_samples` are what its image has RAM for.

    Raises FirmwareError for a value that the device would refuse (it could not say so: it has no identity yet).

    >>> spec = DeviceSpec("dev-01", bytes(32), b"BYZD" + bytes(12))
    >>> blob = provision(spec)
    >>> blob[:4], len(blob) - HEADER_BYTES
    (b'BYZP', 16)
    """
    if not 1 <= spec.address <= 65_534:
        raise FirmwareError(f"address {spec.address} of {spec.client_id} is outside 1..65534; choose another")
    if spec.max_payload not in PAYLOAD_SIZES:
        raise FirmwareError(f"max_payload {spec.max_payload} of {spec.client_id} is not one of {PAYLOAD_SIZES}")
    if max_payload is not None and spec.max_payload > max_payload:
        raise FirmwareError(
            f"max_payload {spec.max_payload} of {spec.client_id} is above the {max_payload} bytes this image has "
            "buffers for; lower it"
        )
    if len(spec.secret) != 32 or spec.rx_credit < 1:
        raise FirmwareError(f"{spec.client_id}: the secret has 32 bytes and rx_credit is at least 1")
    samples = DATASET_HEADER.unpack_from(spec.dataset)[1] if len(spec.dataset) >= DATASET_HEADER_BYTES else 0
    if max_samples is not None and samples > max_samples:
        raise FirmwareError(
            f"{spec.client_id} has {samples} samples; the RAM of this image has room for the order of {max_samples}: "
            "give the device fewer"
        )
    base = spec.base + bytes(-len(spec.base) % 4)
    room = REGION_BYTES - HEADER_BYTES - len(base)
    if len(spec.dataset) > room:
        raise FirmwareError(
            f"the data set of {spec.client_id} has {len(spec.dataset)} bytes; {room} fit: give the device fewer samples"
        )
    try:
        client_id = encode_client_id(spec.client_id)
        head = BLOCK.pack(
            MAGIC, VERSION, reset_reason, client_id, spec.secret, spec.address, spec.max_payload, spec.rx_credit,
            spec.boot_id, len(spec.dataset), len(spec.base),
        )  # fmt: skip
    except (ValueError, struct.error) as error:
        raise FirmwareError(f"{spec.client_id} cannot be provisioned: {error}") from error
    return head + struct.pack("<I", crc32c(head)) + base + spec.dataset


def network_of(spec: DeviceSpec) -> Network:
    """The network of a device, with its base.

    Raises FirmwareError for a network that there is not, a base of another one, or a trainer that is not the C core's.

    >>> network_of(DeviceSpec("dev-01", bytes(32), b"", network="cnn-8x8")).features
    64
    """
    if spec.network not in NETWORKS:
        raise FirmwareError(f"network {spec.network!r} of {spec.client_id} is not one of {', '.join(NETWORKS)}")
    if spec.trainer != TRAINER:
        raise FirmwareError(
            f"{spec.client_id} trains with {spec.trainer!r}; the C core has {TRAINER!r}: use body numpy"
        )
    try:
        return NETWORKS[spec.network].with_base(spec.base)
    except LayoutError as error:
        raise FirmwareError(f"the base of {spec.client_id}: {error}") from error


def with_boot_id(blob: bytes, boot_id: int) -> bytes:
    """The same block after a power cycle, as `provision` would write it.

    >>> again = with_boot_id(provision(DeviceSpec("dev-01", bytes(32), b"")), 7)
    >>> again == provision(DeviceSpec("dev-01", bytes(32), b"", boot_id=7))
    True
    """
    fields = list(BLOCK.unpack_from(blob))
    fields[8] = boot_id
    head = BLOCK.pack(*fields)
    return head + struct.pack("<I", crc32c(head)) + blob[HEADER_BYTES:]
