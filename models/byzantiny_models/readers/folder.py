"""A folder of files that nobody vouches for: a directory, or a .zip that is read where it is and never unpacked."""

from __future__ import annotations

import gzip
import hashlib
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers.samples import Source

MOST_FILE_BYTES = 1 << 30
"""The most that one file may have, packed or unpacked: EMNIST's largest is 547 MB, raw UCI HAR's 11 MB."""


@dataclass(eq=False)
class Folder:
    """Files by their names relative to `path`, with `/`; `sources` records each one that was read.

    Raises:
        DatasetError: neither a directory nor a .zip, a .zip with a name that leads out of it.
    """

    path: Path
    sources: list[Source] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None
        if self.path.is_dir():
            return
        if not zipfile.is_zipfile(self.path):
            raise DatasetError(f"{self.path} is neither a folder nor a .zip; give the folder that holds the files")
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise DatasetError(f"{self.path} cannot be read: {error}; unpack it, or fetch it again") from error
        for info in self._archive.infolist():
            _refuse_escape(self.path, info)

    def names(self, pattern: str = "**/*") -> tuple[str, ...]:
        """Return the names of the files that match, sorted.

        Raises:
            DatasetError: the directory cannot be listed.
        """
        if self._archive is not None:
            files = (info.filename for info in self._archive.infolist() if not info.is_dir())
            return tuple(sorted(name for name in files if _matches(name, pattern)))
        try:
            found = [path for path in self.path.glob(pattern) if path.is_file()]
        except OSError as error:
            raise DatasetError(f"{self.path} cannot be listed: {error.strerror}; check its permissions") from error
        return tuple(sorted(path.relative_to(self.path).as_posix() for path in found))

    def read(self, name: str) -> bytes:
        """Return a file's bytes, those of a .gz unpacked; at most 1 GiB.

        Raises:
            DatasetError: no such file, one that leads out of the folder, a damaged or an enormous one.
        """
        raw = self._raw(name)
        self.sources.append(Source(name, len(raw), hashlib.sha256(raw).hexdigest()))
        return _gunzip(f"{self.path}/{name}", raw) if name.endswith(".gz") else raw

    def _raw(self, name: str) -> bytes:
        where = f"{self.path}/{name}"
        try:
            if self._archive is not None:
                with self._archive.open(name) as stream:
                    raw = stream.read(MOST_FILE_BYTES + 1)
            else:
                inside = (self.path / name).resolve()
                if not inside.is_relative_to(self.path.resolve()):
                    raise DatasetError(f"{where} leads out of the folder to {inside}; copy the file into it")
                with inside.open("rb") as stream:
                    raw = stream.read(MOST_FILE_BYTES + 1)
        except (KeyError, FileNotFoundError):
            raise DatasetError(f"{where} does not exist; complete the folder") from None
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise DatasetError(f"{where} cannot be read: {error}; fetch it again") from error
        if len(raw) > MOST_FILE_BYTES:
            raise DatasetError(f"{where} has more than {MOST_FILE_BYTES} bytes; no data set read here does, split it")
        return raw


def _gunzip(where: str, raw: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(raw)) as stream:
            data = stream.read(MOST_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{where} is no whole .gz file: {error}; fetch it again") from error
    if len(data) > MOST_FILE_BYTES:
        raise DatasetError(f"{where} unpacks to more than {MOST_FILE_BYTES} bytes; no data set read here does")
    return data


def _refuse_escape(path: Path, info: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(info.filename.replace("\\", "/"))
    link = stat.S_ISLNK(info.external_attr >> 16)
    if parts.is_absolute() or ".." in parts.parts or any(":" in part for part in parts.parts) or link:
        raise DatasetError(f"{path} holds {info.filename!r}, which leads out of the folder; it is no data set")


def _matches(name: str, pattern: str) -> bool:
    """`**/` is any number of folders, `*` no `/`; the archive's names are matched as a directory's would be."""
    path = PurePosixPath(name)
    if pattern.startswith("**/"):
        return path.match(pattern[3:])
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)
