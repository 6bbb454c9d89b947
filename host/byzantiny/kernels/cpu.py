"""Which variants of the native libraries this processor runs, and which one is asked for: kernels and clients alike.

`BYZANTINY_NATIVE_VARIANT` names one: v2, v3, v4, icelake (generic off x86-64), or `numpy` for none. With `numpy` the kernels run
in NumPy, emulated boards count their instructions in Python, and the body `native`, which is nothing but C, is refused.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from byzantiny.errors import ByzantinyError

VARIANT_ENV: Final = "BYZANTINY_NATIVE_VARIANT"
NUMPY: Final = "numpy"
FLAGS: Final = {
    "v2": frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    "v3": frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}),
    "v4": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    "icelake": frozenset({"avx512_bitalg", "avx512vbmi", "avx512_vbmi2", "avx512_vnni", "avx512_vpopcntdq", "gfni"}),
}
"""What each x86-64 level adds to the one below it (x86-64 psABI), as Linux names it: `pni` is SSE3, `abm` has lzcnt.

`icelake` is no level of the psABI: v4 and what Ice Lake, and Zen 4, brought for bytes, dot products and popcounts."""

_CPUINFO: Final = Path("/proc/cpuinfo")


class VariantError(ByzantinyError):
    """The environment names a variant that does not exist or that this processor cannot run."""


def supported_variants(flags: frozenset[str] | None = None) -> tuple[str, ...]:
    """Return the native variants this processor (or one with these flags) runs, best first.

    >>> supported_variants(FLAGS["v2"] | FLAGS["v3"])
    ('v3', 'v2')
    """
    if flags is None and platform.machine().lower() not in ("x86_64", "amd64"):
        return ("generic",)
    have = cpu_flags() if flags is None else flags
    levels: list[str] = []
    for level, needed in FLAGS.items():
        if not needed <= have:
            break
        levels.insert(0, level)
    return tuple(levels)


def asked_variant() -> str | None:
    """Return the variant the environment names: `numpy` or one that runs here; None where it names none.

    Raises:
        VariantError: it names another.
    """
    asked = os.environ.get(VARIANT_ENV)
    known = (NUMPY, *supported_variants())
    if asked and asked not in known:
        raise VariantError(
            f"{VARIANT_ENV}={asked}: this processor runs {', '.join(known)}; name one of them or unset it"
        )
    return asked or None


def cpu_flags() -> frozenset[str]:
    """Return the processor's flags as Linux names them."""
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return FLAGS["v2"]  # elsewhere only v2 is built; every x86-64 such systems still support has it
    return frozenset(flags.partition(":")[2].split())
