"""Who a device is, what it asks of its caller, and the ids of its transfers (docs/wire.md 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from byzantiny.wire.auth import Keys
from byzantiny.wire.messages import PROTO, Hello, Offer, ResetReason

_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What a device knows of itself; sizes in bytes, `d` coordinates in `n_tensors` tensors.

    `shifts_fit` and `model_fits` are its layout's own limits (the spread of the exponents; every value inside its
    format, docs/wire.md 5); a relay, whose body checks them anyway, leaves them out.
    """

    client_id: str
    keys: Keys
    address: int
    boot_id: int
    max_payload: int
    rx_credit: int
    fw_sha256: bytes
    build_id: int
    caps: int
    max_object: int
    n_samples: int
    data_sha256: bytes
    layout_sha256: bytes
    model_bytes: int
    d: int
    n_tensors: int
    reset_reason: ResetReason = ResetReason.POWER_ON
    key_id: int = 0
    shifts_fit: Callable[[tuple[int, ...]], bool] | None = None
    model_fits: Callable[[bytes], bool] | None = None

    def hello(self) -> Hello:
        """What it says of itself."""
        return Hello(
            PROTO, PROTO, self.max_payload, self.client_id, self.fw_sha256, self.build_id, self.caps, self.max_object,
            self.boot_id, self.rx_credit, self.reset_reason, self.n_samples, self.data_sha256,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Training is due: on this model, under this offer (`offer_body` are the bytes its hash names)."""

    offer: Offer
    offer_body: bytes
    model: bytes


def transfer_id(n: int, boot_id: int, address: int) -> int:
    """The device's n-th transfer id: `draw(n, boot_id, address)` of SPEC 2, which may be 0 (the caller skips it).

    >>> [hex(transfer_id(n, 1, 2)) for n in (0, 1, 2)]
    ['0x5fb0f483', '0xb688bfd8', '0x6e7dcf13']
    """
    x = (n + boot_id) & _MASK
    x ^= x >> 16
    x = (x * 0x7FEB352D + address) & _MASK
    x ^= x >> 15
    x = x * 0x846CA68B & _MASK
    return x ^ x >> 16
