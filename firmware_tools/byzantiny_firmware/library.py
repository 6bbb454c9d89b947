"""Loads the native library: the C core as a shared object, the best variant for this processor.

In a checkout the library must have been built from the sources as they are now; a stale one is refused, because it
would answer with yesterday's arithmetic. Calls release the interpreter's lock (ctypes.CDLL). Which variants run, and
`BYZANTINY_NATIVE_VARIANT`, are those of the kernels (`byzantiny.kernels.cpu`); there is no library called `numpy`.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

from byzantiny.kernels import cpu
from byzantiny_firmware import build
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.zigcc import CompileError

REMEDY = "byzantiny firmware build"

_U8P, _I8P = ctypes.POINTER(ctypes.c_uint8), ctypes.POINTER(ctypes.c_int8)
_U32, _U64, _P = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p

_NETWORK = (_U32, ctypes.c_char_p, _U64)
"""A network by its number, and the base of its frozen part (or None) with its length."""

PROTOTYPES: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "byz_source_sha256": (ctypes.c_char_p, ()),
    "byz_batch_scratch_bytes": (_U64, (_U32,)),
    "byz_batch_train": (
        ctypes.c_int64,
        (*_NETWORK, _P, ctypes.POINTER(_P), ctypes.POINTER(_U64), _P, _U64, _U32, _U32, _U32, _U32, _U32, _U32, _P),
    ),
    "byz_batch_encode": (ctypes.c_int64, (*_NETWORK, _P, _P, _P, _U32, _P, _U64, _U32, _U32, _U32, _U32, _P, _P)),
    "byz_batch_forward": (ctypes.c_int64, (*_NETWORK, _P, _P, _U32, _U32, _P, _P)),
    "byz_batch_describe": (ctypes.c_int64, (*_NETWORK, _U32, _P, _P, _P)),
    "byz_count_block": (None, (_P, _U64, _U32, _P)),
}
"""Function -> result and arguments. Arrays are `c_void_p`: pass `array.ctypes.data`."""


def supported_variants() -> tuple[str, ...]:
    """The names of the variants this processor can run, the best first.

    >>> "v9" in supported_variants()
    False
    """
    built = {variant.name for variant in build.native_variants()}
    return tuple(name for name in cpu.supported_variants() if name in built)


def variant_name() -> str:
    """The variant that `load` takes: the environment's, or the best this processor can run.

    Raises:
        FirmwareError: the environment names `numpy` or one that does not exist here, or there is none for this platform.
    """
    try:
        asked = cpu.asked_variant()
    except cpu.VariantError as error:
        raise FirmwareError(str(error)) from None
    if asked == cpu.NUMPY:
        raise FirmwareError(
            f"{cpu.VARIANT_ENV}={asked} rules the native library out, and it is needed here; unset it, "
            f"or use the body `numpy`"
        )
    supported = supported_variants()
    if not supported:
        raise FirmwareError(
            f"there is no native library for {platform.system()} on {platform.machine()}; use the body `numpy`"
        )
    return asked or supported[0]


def library_path(name: str) -> Path:
    """Where the library of a variant is."""
    variant = next(variant for variant in build.native_variants() if variant.name == name)
    return build.BUILT / variant.file_name("byz")


def load() -> ctypes.CDLL:
    """The native library, loaded at the first call.

    Raises:
        FirmwareError: it is missing, stale or cannot be loaded; the message names the remedy.
    """
    return load_variant(variant_name())


@functools.cache
def load_variant(name: str) -> ctypes.CDLL:
    """The native library in one variant; `load` in tests and comparisons.

    Raises:
        FirmwareError: it is missing, stale or cannot be loaded; the message names the remedy.
    """
    path = library_path(name)
    library = open_library(path)
    _refuse_stale(path, library.byz_source_sha256().decode("ascii"))
    return library


@functools.cache
def open_library(path: Path) -> ctypes.CDLL:
    """The library in a file, whichever sources it is from.

    Raises:
        FirmwareError: it is missing or cannot be loaded; the message names the remedy.
    """
    if not path.is_file():
        raise FirmwareError(f"the native library {path.name} has not been built; run `{REMEDY}`")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise FirmwareError(f"the native library {path} cannot be loaded: {error}; run `{REMEDY}`") from error
    for function, (result, arguments) in PROTOTYPES.items():
        try:
            bound = getattr(library, function)
        except AttributeError as error:
            raise FirmwareError(f"the native library {path} lacks {function}; run `{REMEDY}`") from error
        bound.restype, bound.argtypes = result, arguments
    return library


def _refuse_stale(path: Path, built_from: str) -> None:
    if not build.in_checkout():
        return
    now = build.native_sha256()
    if built_from != now:
        raise FirmwareError(
            f"the native library {path.name} was built from other sources ({built_from[:12]}) than are here ({now[:12]}); "
            f"run `{REMEDY}`"
        )


def rebuild(*, force: bool = False) -> list[Path]:
    """Build everything that is out of date; the paths of everything.

    Raises:
        FirmwareError: no compiler, or a source that does not compile.
    """
    try:
        return build.build_all(force=force)
    except CompileError as error:
        raise FirmwareError(str(error)) from error
