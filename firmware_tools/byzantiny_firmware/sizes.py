"""What an image costs: flash and static RAM from its ELF sections, stack by the firmware's own painting.

Flash is code, constants and the initial values of .data; static RAM is .data and .bss, the buffers of model, codes and
frames included. The stack is reserved on top of that, and what is left of RAM holds the order of the samples (2 bytes
each); a network that is trained in part leaves more. The data set and the base are in flash.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import CORES, DEFAULT_NETWORK, MAX_PAYLOAD, image_path
from byzantiny_firmware.network_tables import arena_bytes
from byzantiny_models.networks import Network

ORDER_BYTES: Final = 2
FLASH_BUDGET_BYTES: Final = 24 << 10
STATIC_RAM_BUDGET_BYTES: Final = 16 << 10
"""What a client of mlp-64-32-10 may take at a payload of 240 bytes, for the small cores (a test)."""
RAM_LIMIT_BYTES: Final = 64 << 10
"""What a microcontroller that trains any network of the zoo has at most."""
_ALLOCATED: Final = 2


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """Bytes of one image."""

    image: str
    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    stack_reserved_bytes: int
    spare_bytes: int
    network: str = DEFAULT_NETWORK

    @property
    def flash_bytes(self) -> int:
        """What is programmed: code, constants, initial values."""
        return self.text_bytes + self.rodata_bytes + self.data_bytes

    @property
    def static_ram_bytes(self) -> int:
        """What is always taken, the stack apart."""
        return self.data_bytes + self.bss_bytes

    @property
    def max_samples(self) -> int:
        """How many samples the rest of RAM has room for the order of."""
        return self.spare_bytes // ORDER_BYTES

    @property
    def ram_bytes(self) -> int:
        """The RAM of the microcontroller that the image is linked for."""
        return self.stack_reserved_bytes + self.static_ram_bytes + self.spare_bytes

    def samples_with(self, network: Network, max_payload: int) -> int:
        """How many samples the order has room for where the arena is that of `network` (a part, perhaps) at a payload."""
        saved = arena_bytes(network.whole, MAX_PAYLOAD) - arena_bytes(network, max_payload)
        return (self.spare_bytes + saved) // ORDER_BYTES


@functools.cache
def elf_sizes(path: Path, image: str, network: str = DEFAULT_NETWORK) -> ImageSizes:
    """The sizes of an ELF file; raises FirmwareError when pyelftools is missing or the file is no image of ours."""
    sections = _sections(path)
    if not {".text", ".bss", ".spare"} <= sections.keys():
        raise FirmwareError(
            f"{path} lacks .text, .bss or .spare: it is no image of ours; run `byzantiny firmware build`"
        )
    text, rodata, data, bss, stack, spare = (
        sections.get(name, 0) for name in (".text", ".rodata", ".data", ".bss", ".stack", ".spare")
    )
    return ImageSizes(image, text, rodata, data, bss, stack, spare, network)


def _sections(path: Path) -> dict[str, int]:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise FirmwareError(f'{error}; install pyelftools with `pip install "byzantiny[emulator]"`') from error
    try:
        with path.open("rb") as file:
            allocated: list[Any] = [s for s in ELFFile(file).iter_sections() if s["sh_flags"] & _ALLOCATED]
            return {section.name: int(section["sh_size"]) for section in allocated}
    except (OSError, ELFError) as error:
        raise FirmwareError(f"{path} cannot be read as an ELF file: {error}; run `byzantiny firmware build`") from error


def image_sizes(core: str, network: str = DEFAULT_NETWORK) -> ImageSizes:
    """The sizes of a built image by its core's name and its network; raises FirmwareError when it is missing or stale."""
    return elf_sizes(image_path(core, network), core, network)


def all_sizes(network: str = DEFAULT_NETWORK) -> list[ImageSizes]:
    """The sizes of a network's images."""
    return [image_sizes(core, network) for core in CORES]
