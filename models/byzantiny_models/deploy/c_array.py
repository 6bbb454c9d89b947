"""A model as C source: for firmware that runs the exported `.tflite` with TFLM."""

from __future__ import annotations

import hashlib
import re

from byzantiny_models.deploy.model_file import ModelFileError

_PER_LINE = 16
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")


def c_array(data: bytes, name: str) -> str:
    """Return a C header with the bytes as a constant, 16-aligned array and their number.

    Raises:
        ModelFileError: a name that is no C identifier.

    >>> print(c_array(b"TFL3", "model").splitlines()[-5])
    alignas(16) static const uint8_t model[4] = {
    """
    if not _NAME.match(name):
        raise ModelFileError(f"{name!r} is no C name: letters, digits and underscores, not first a digit, at most 63")
    lines = [", ".join(f"0x{byte:02x}" for byte in data[i : i + _PER_LINE]) for i in range(0, len(data), _PER_LINE)]
    guard = f"{name.upper()}_H"
    return (
        f"/* {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n"
        "#include <stdalign.h>\n#include <stdint.h>\n\n"
        f"#define {name.upper()}_BYTES {len(data)}u\n\n"
        f"alignas(16) static const uint8_t {name}[{len(data)}] = {{\n"
        + "".join(f"    {line},\n" for line in lines)
        + "};\n\n#endif\n"
    )
