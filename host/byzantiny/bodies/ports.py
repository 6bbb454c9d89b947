"""Devices that are reached by serial ports: emulated boards in processes of their own, and real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final, Protocol

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.registry import load_from


@dataclass(frozen=True, slots=True)
class Training:
    """What a device's last local training cost, as far as its carrier can tell."""

    instructions: int
    """Emulated, exact; never cycles."""
    steps: int


class Ports(Protocol):
    """One port per device, in the order of the specs; entry point group `byzantiny.ports`."""

    @property
    def urls(self) -> Sequence[str]:
        """URLs as pyserial takes them: `socket://127.0.0.1:4711`, `/dev/serial/by-id/...`."""
        ...

    @property
    def baud(self) -> int | None:
        """Line rate for the retransmission times; None where there is no line."""
        ...

    @property
    def dtr(self) -> bool:
        """Whether opening a port may raise DTR, which is the reset line of many boards."""
        ...

    @property
    def specs(self) -> Sequence[DeviceSpec]:
        """What is really there: a real board has the secret and the address it was provisioned with."""
        ...

    def training(self, slot: int) -> Training | None:
        """Return the cost of the last training, or None where it is not counted."""
        ...

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle one device."""
        ...

    def close(self) -> None:
        """End the processes, release the boards."""
        ...


PortsFactory = Callable[..., Ports]
"""(specs) -> Ports; for the group's `board`, (specs, board=NAME, round_num=the first round it will be offered)."""

GROUP: Final = "byzantiny.ports"


def port_names() -> list[str]:
    """Return what can be reached by serial port, by name."""
    return sorted(point.name for point in entry_points(group=GROUP))


def load_ports(name: str) -> PortsFactory:
    """Return the factory of one kind of ports; raises BodyError naming what is known, or the extra that is missing."""
    factory: PortsFactory = load_from(GROUP, name)
    return factory
