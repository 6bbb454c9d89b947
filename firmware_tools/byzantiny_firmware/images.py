"""The firmware images by core and network: where they are, what they have RAM for, that they are those of these sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from byzantiny.wire.messages import DEFAULT_PAYLOAD
from byzantiny_firmware import build, zigcc
from byzantiny_firmware.errors import FirmwareError
from byzantiny_models.networks import NETWORKS

BOARD: Final = "mps2"
CORES: Final = build.BOARD_CORES[BOARD]
"""The names: the core an image is for."""
DEFAULT_NETWORK: Final = build.DEFAULT_NETWORK
MAX_PAYLOAD: Final = DEFAULT_PAYLOAD
"""What the images have buffers for (BYZ_BOARD_PAYLOAD of boards/mps2/main.c), in bytes."""
REMEDY: Final = "byzantiny firmware build"


def image_path(core: str, network: str = DEFAULT_NETWORK) -> Path:
    """The ELF file of a core's image for a network.

    Raises FirmwareError when there is none of that name, or it is not built from the sources that are here.

    >>> image_path("z80")
    Traceback (most recent call last):
    byzantiny_firmware.errors.FirmwareError: there is no image 'z80'; the images are m0, m3, m4f, m7
    """
    if core not in CORES:
        raise FirmwareError(f"there is no image {core!r}; the images are {', '.join(CORES)}")
    path = build.BUILT / build.image_name(BOARD, core, network)
    if network not in NETWORKS:
        raise FirmwareError(f"there is no image for the network {network!r}; there are {', '.join(NETWORKS)}")
    if not path.is_file():
        raise FirmwareError(f"the image {path.name} has not been built; run `{REMEDY}`")
    if build.CORE.is_dir():  # a checkout; an installed wheel has no sources to compare with
        now = zigcc.sources_sha256(build.FIRMWARE, build.image_sources(BOARD))
        if source_sha256() != now:
            raise FirmwareError(
                f"the image {path.name} was built from other sources ({source_sha256()[:12]}) than are here "
                f"({now[:12]}); run `{REMEDY}`"
            )
    return path


def source_sha256() -> str:
    """The hash of the sources the images were built from, in hex; its first 8 bytes are `fw_sha256` of their HELLO.

    Raises FirmwareError when nothing has been built.
    """
    try:
        manifest = json.loads((build.BUILT / build.MANIFEST).read_text(encoding="utf-8"))
        return str(manifest[f"image {BOARD}"]["source_sha256"])
    except (OSError, ValueError, KeyError) as error:
        raise FirmwareError(f"no firmware image has been built; run `{REMEDY}`") from error


def compiler_of(file_name: str) -> str:
    """Return the compiler that built a file of `_built`, as its build recorded it; empty when nothing is recorded."""
    try:
        manifest = json.loads((build.BUILT / build.MANIFEST).read_text(encoding="utf-8"))
        return next((str(unit["compiler"]) for unit in manifest.values() if file_name in unit["outputs"]), "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""
