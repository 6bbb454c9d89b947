"""Loads the C kernels: the best variant this processor runs, or the one asked for; NumPy where there is none.

`BYZANTINY_NATIVE_VARIANT` overrides the choice (`kernels.cpu`). A missing library is no error, and `backend()` says so;
a library built from other sources than the checkout's is one: its results could differ.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from byzantiny.errors import ByzantinyError
from byzantiny.kernels.cpu import NUMPY, VARIANT_ENV, VariantError, asked_variant, supported_variants

REBUILD = "python -m byzantiny_firmware.build"
"""The command that builds the native libraries in a checkout."""

_HERE = Path(__file__).parent


class KernelError(ByzantinyError):
    """The native kernels cannot be used as asked: an unknown or missing variant, or a stale library."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Which kernels run, and why: `variant` is numpy, v2, v3, v4, icelake, or generic off x86-64."""

    variant: str
    reason: str
    path: Path | None = None


def source_sha256(folder: Path = _HERE / "csrc") -> str | None:
    """Return the SHA-256 over the C sources, as the build computes it; None where there are none.

    Per file, by name: the name, NUL, the length in decimal, NUL, the content with LF line ends.
    """
    files = sorted(
        (file.relative_to(folder).as_posix(), file) for suffix in "ch" for file in folder.rglob(f"*.{suffix}")
    )
    digest = hashlib.sha256()
    for name, file in files:
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest() if files else None


class Library:
    """One loaded library: its functions by name, and what it was built from."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self.source_sha256 = bytes(self.function("source_sha256", restype=ctypes.c_char_p)()).decode()

    def function(self, name: str, *argtypes: Any, restype: Any = None) -> Any:
        """Return `byz_kernels_<name>` with its argument types set; a call of it releases the GIL.

        Raises:
            AttributeError: the library has none.
        """
        function = getattr(self._library, f"byz_kernels_{name}")
        function.argtypes, function.restype = argtypes, restype
        return function


@lru_cache(maxsize=1)
def select() -> tuple[Backend, Library | None]:
    """Return the backend in use and its library, None for NumPy; decided once per process.

    Raises:
        KernelError: the override names no variant, or one this machine lacks; the library is stale.
    """
    try:
        asked = asked_variant()
    except VariantError as error:
        raise KernelError(str(error)) from None
    if asked == NUMPY:
        return Backend(NUMPY, f"{VARIANT_ENV}={NUMPY}"), None
    for variant in (asked,) if asked else supported_variants():
        path = library_path(variant)
        if path.exists():
            return Backend(variant, "asked for" if asked else "best this processor runs", path), load(path)
    if asked:
        raise KernelError(f"{VARIANT_ENV}={asked}: {library_path(asked)} does not exist; build it with `{REBUILD}`")
    return Backend(NUMPY, f"no native library in {_HERE / '_built'}; build it with `{REBUILD}`"), None


def library_path(variant: str) -> Path:
    """Return where the build puts a variant."""
    prefix, suffix = {"win32": ("", ".dll"), "darwin": ("lib", ".dylib")}.get(sys.platform, ("lib", ".so"))
    return _HERE / "_built" / f"{prefix}byzkernels_{variant}{suffix}"


def load(path: Path) -> Library:
    """Load one library.

    Raises:
        KernelError: it cannot be loaded, or it was built from other sources than those beside it.
    """
    try:
        library = Library(path)
    except (OSError, AttributeError) as error:
        raise KernelError(f"{path} cannot be loaded: {error}; rebuild it with `{REBUILD}`") from error
    expected = source_sha256()
    if expected is not None and library.source_sha256 != expected:
        raise KernelError(
            f"{path} was built from sources {library.source_sha256[:12]!r}, the checkout has {expected[:12]!r}; "
            f"rebuild it with `{REBUILD}`, or set {VARIANT_ENV}={NUMPY}"
        )
    return library
