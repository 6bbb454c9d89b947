"""What a body is: the thing that executes one or many clients, behind frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from byzantiny.records import FirmwareInfo

Frame = tuple[int, bytes]
"""(slot, one complete frame without COBS)."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Everything a body needs to be one device.

    `dataset` is the read-only blob of docs/wire.md 3; it is where the body can read it, never on the wire. So is `base`, the
    frozen part of the network where only some of it is trained.
    """

    client_id: str
    secret: bytes
    dataset: bytes
    network: str = "mlp-64-32-10"
    address: int = 1
    boot_id: int = 1
    max_payload: int = 240
    rx_credit: int = 32
    base: bytes = b""
    trainer: str = "int8-sr"
    """What it trains with; the C core, and so every other body than `numpy`, knows `int8-sr` alone."""


class Body(Protocol):
    """Executes the clients of its slots; `numpy`, `native`, `unicorn`, `qemu`, `board` behave alike, byte for byte."""

    realtime: bool
    """Work goes on between calls (a process, a board), so time cannot be virtual."""

    def exchange(self, frames: Sequence[Frame], now_ms: int) -> list[Frame]:
        """Deliver frames to slots and return what the slots have sent since; the first call returns the banners."""
        ...

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle one slot: its RAM is lost; its banner comes with the next exchange."""
        ...

    def close(self) -> None:
        """Release processes, ports and memory."""
        ...


@runtime_checkable
class Described(Protocol):
    """A body, or ports, that can say what they run; what is not described is not in the manifest."""

    def firmware(self) -> Sequence[FirmwareInfo]:
        """Return what runs here, with its hash and what it costs."""
        ...
