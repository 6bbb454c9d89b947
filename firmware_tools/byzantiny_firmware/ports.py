"""Emulated boards for clients on a serial port: the coordinator opens the ports itself, as it would a real board's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.ports import Training
from byzantiny.records import FirmwareInfo
from byzantiny_firmware.images import MAX_PAYLOAD as MAX_PAYLOAD
from byzantiny_firmware.images import compiler_of, image_path
from byzantiny_firmware.sizes import elf_sizes
from byzantiny_firmware.unicorn import BoardHandle, start_board


class UnicornPorts:
    """One Unicorn board a device, each in a process of its own (`byzantiny.bodies.ports.Ports`)."""

    baud: int | None = None
    dtr = True

    def __init__(self, specs: Sequence[DeviceSpec], *, image: str) -> None:
        self.specs = list(specs)
        self._image = image
        self._boards: list[BoardHandle] = []
        try:
            self._boards.extend(start_board(spec, image) for spec in specs)  # all start at once ...
            self.urls = [board.url for board in self._boards]  # ... and are waited for in turn
        except BaseException:
            self.close()
            raise

    def training(self, slot: int) -> Training | None:
        """Return what the last training cost; None before the first."""
        stats = self._boards[slot].stats()
        return Training(stats.last_instructions, stats.last_steps) if stats.last_steps else None

    def firmware(self) -> list[FirmwareInfo]:
        """Return the image: its size from the ELF, its instructions per step from the last training."""
        path = image_path(self._image)
        sizes = elf_sizes(path, self._image)
        costs = [cost for cost in (self.training(slot) for slot in range(len(self._boards))) if cost is not None]
        steps = sum(cost.steps for cost in costs)
        return [
            FirmwareInfo(
                name=path.stem,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                compiler=compiler_of(path.name),
                flash_bytes=sizes.flash_bytes,
                ram_bytes=sizes.static_ram_bytes,
                instructions_per_step=sum(cost.instructions for cost in costs) / steps if steps else None,
            )
        ]

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a board."""
        self._boards[slot].reset(boot_id)

    def close(self) -> None:
        """End the boards; idempotent."""
        for board in self._boards:
            board.close()
        self._boards.clear()


def unicorn_m0(specs: Sequence[DeviceSpec]) -> UnicornPorts:
    """The ports `unicorn-m0`."""
    return UnicornPorts(specs, image="m0")


def unicorn_m3(specs: Sequence[DeviceSpec]) -> UnicornPorts:
    """The ports `unicorn-m3`."""
    return UnicornPorts(specs, image="m3")


def unicorn_m7(specs: Sequence[DeviceSpec]) -> UnicornPorts:
    """The ports `unicorn-m7`."""
    return UnicornPorts(specs, image="m7")


def unicorn_m4f(specs: Sequence[DeviceSpec]) -> UnicornPorts:
    """The ports `unicorn-m4f`."""
    return UnicornPorts(specs, image="m4f")
