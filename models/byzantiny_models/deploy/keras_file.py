"""What lies in a `.keras` archive or an `.h5` file, before anything of it is believed: names, sizes, the configuration.

A `.keras` file is a zip of `config.json`, `metadata.json` and `model.weights.h5`. It is never unpacked onto the disk, and no
member is read beyond what it may hold, whatever the archive says of itself. An `.h5` file has its configuration in an HDF5
attribute, which only the process that has Keras, and so h5py, can read.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Any, Final

from byzantiny_models.deploy.model_file import MOST_BYTES, ModelFileError

ZIP: Final = b"PK\x03\x04"
HDF5: Final = b"\x89HDF\r\n\x1a\n"
CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"
MOST_MEMBERS: Final = 64
MOST_CONFIG_BYTES: Final = 4 << 20
_ENTRY: Final = b"PK\x01\x02"
"""What every entry of a zip's directory begins with."""


def is_keras(data: bytes) -> bool:
    r"""Whether these are the first bytes of a zip or of HDF5.

    >>> is_keras(b"PK\x03\x04..."), is_keras(b"TFL3")
    (True, False)
    """
    return data.startswith((ZIP, HDF5))


def read_archive(data: bytes, where: str) -> tuple[Any, bytes]:
    """Return a `.keras` archive's configuration, as JSON has it, and its HDF5 file of weights.

    Raises:
        ModelFileError: no zip, a member that is missing, too large or leaves the folder, a configuration that is no JSON;
            nothing else, on any bytes.
    """
    if data.count(_ENTRY) > MOST_MEMBERS:  # counted before zipfile makes an object of each
        raise ModelFileError(
            f"{where}: {data.count(_ENTRY)} members; a .keras file has 3, the limit is {MOST_MEMBERS}: this is none"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                _check_name(member.filename, where)
            config = _member(archive, CONFIG, MOST_CONFIG_BYTES, where)
            weights = _member(archive, WEIGHTS, MOST_BYTES, where)
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"{where} is a damaged .keras archive: {error}; save the model again") from None
    if not weights.startswith(HDF5):
        raise ModelFileError(
            f"{where}, {WEIGHTS}, offset 0: {weights[:8]!r} is not the signature of HDF5; save the model again"
        )
    return read_json(config, f"{where}, {CONFIG}"), weights


def read_json(text: bytes | str, where: str) -> Any:
    """Return what JSON says.

    Raises:
        ModelFileError: no JSON, or one nested too deeply to be a configuration.
    """
    if len(text) > MOST_CONFIG_BYTES:
        raise ModelFileError(f"{where}: {len(text)} bytes of configuration; the limit is {MOST_CONFIG_BYTES}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{where} is not JSON: {str(error)[:120]}; save the model again") from None


def _check_name(name: str, where: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ModelFileError(f"{where}: member {name[:80]!r} leaves the folder; do not trust this file")


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int, where: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ModelFileError(f"{where} has no {name}; save it with Keras 3 as .keras, or with Keras 2 as .h5") from None
    if info.file_size > most_bytes:
        raise ModelFileError(f"{where}: {name} unpacks to {info.file_size} bytes; the limit is {most_bytes}")
    with archive.open(info) as member:
        data = member.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ModelFileError(f"{where}: {name} unpacks to more than {most_bytes} bytes, against what the archive says")
    return data
