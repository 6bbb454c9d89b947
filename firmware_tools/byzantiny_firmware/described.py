"""What a body says it runs, for the manifest: by name and hash, with compiler, footprint and instructions counted."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from byzantiny.bodies.ports import Training
from byzantiny.records import FirmwareInfo
from byzantiny_firmware.images import CORES, DEFAULT_NETWORK, compiler_of, source_sha256
from byzantiny_firmware.inference_cost import inference_cost
from byzantiny_firmware.sizes import elf_sizes


def image_info(path: Path, image: str, network: str = DEFAULT_NETWORK) -> FirmwareInfo:
    """Describe an ELF file; read when the boards start, since it may be rebuilt while they run."""
    sizes = elf_sizes(path, image)
    return msgspec.structs.replace(
        _info(path),
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.static_ram_bytes,
        instructions_per_inference=inference_cost(network, image, source_sha256()) if image in CORES else None,
    )


@functools.cache
def library_info(path: Path) -> FirmwareInfo:
    """Describe a native library: once, since it is loaded once."""
    return _info(path)


def with_cost(info: FirmwareInfo, trainings: Iterable[Training | None]) -> FirmwareInfo:
    """Add the instructions per step over the last trainings; None where nothing was counted.

    >>> with_cost(FirmwareInfo(name="m0", sha256=""), [Training(300, 2), None, Training(100, 2)]).instructions_per_step
    100.0
    """
    counted = [cost for cost in trainings if cost is not None]
    steps = sum(cost.steps for cost in counted)
    per_step = sum(cost.instructions for cost in counted) / steps if steps else None
    return msgspec.structs.replace(info, instructions_per_step=per_step)


def _info(path: Path) -> FirmwareInfo:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return FirmwareInfo(name=path.stem, sha256=sha256, compiler=compiler_of(path.name))
