"""Reading what a user names, writing what a user asked for: whole, within limits, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from byzantiny_models.deploy.model_file import MOST_BYTES, ModelFileError


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return a file's bytes.

    Raises:
        ModelFileError: there is none, it cannot be read, or it is larger than the limit.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise ModelFileError(
                f"{path}: {path.stat().st_size} bytes; the limit is {most_bytes}, no microcontroller holds more"
            )
        with path.open("rb") as file:
            return file.read(most_bytes)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); name a file that is there") from None


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files so that each is there whole or, if any cannot be written, none is; one that was there is replaced last.

    Raises:
        OSError: the disk is full, a folder is missing or forbidden.
    """
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in files}
    try:
        for path, data in files.items():
            temporaries[path].write_bytes(data)
        for path, temporary in temporaries.items():
            os.replace(temporary, path)  # noqa: PTH105 - atomic, and Path.replace says nothing more
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
