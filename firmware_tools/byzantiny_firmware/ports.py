"""Emulated boards for clients on a serial port: the coordinator opens the ports itself, as it would a real board's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.ports import Training
from byzantiny.records import FirmwareInfo
from byzantiny_firmware.images import MAX_PAYLOAD as MAX_PAYLOAD
from byzantiny_firmware.unicorn import BoardHandle, firmware_of, image_of, start_board


class UnicornPorts:
    """One Unicorn board a device, each in a process of its own (`byzantiny.bodies.ports.Ports`)."""

    baud: int | None = None
    dtr = True

    def __init__(
        self, specs: Sequence[DeviceSpec], *, image: str, attack: str | None = None, **parameters: int
    ) -> None:
        self.specs = list(specs)
        self._boards: list[BoardHandle] = []
        try:
            images = [image_of(spec, image, attack, parameters) for spec in specs]
            self._boards.extend(starmap(start_board, zip(specs, images, strict=True)))  # all start at once ...
            self.urls = [board.url for board in self._boards]  # ... and are waited for in turn
        except BaseException:
            self.close()
            raise

    def training(self, slot: int) -> Training | None:
        """Return what the last training cost; None before the first."""
        return self._boards[slot].training()

    def firmware(self) -> list[FirmwareInfo]:
        """Return the image: its size from the ELF, its instructions per step from the last training."""
        return firmware_of(self._boards)

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a board."""
        self._boards[slot].reset(boot_id)

    def close(self) -> None:
        """End the boards; idempotent."""
        for board in self._boards:
            board.close()
        self._boards.clear()


def unicorn_m0(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornPorts:
    """The ports `unicorn-m0`."""
    return UnicornPorts(specs, image="m0", attack=attack, **parameters)


def unicorn_m3(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornPorts:
    """The ports `unicorn-m3`."""
    return UnicornPorts(specs, image="m3", attack=attack, **parameters)


def unicorn_m7(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornPorts:
    """The ports `unicorn-m7`."""
    return UnicornPorts(specs, image="m7", attack=attack, **parameters)


def unicorn_m4f(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornPorts:
    """The ports `unicorn-m4f`."""
    return UnicornPorts(specs, image="m4f", attack=attack, **parameters)
