"""Generates the C headers and tables of the core from the Python definitions, so that a number exists once.

`python -m byzantiny_firmware.headers` writes `firmware_tools/core/generated/`; with `--check` it writes nothing and
exits with status 1 if a committed file differs. The generated files are committed: building the firmware needs none of
the packages that define the numbers.
"""

from __future__ import annotations

import enum
import re
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from byzantiny.wire import messages
from byzantiny_firmware.network_tables import image_source, networks_header, networks_source
from byzantiny_firmware.writing import COMMAND, opening
from byzantiny_models import bases
from byzantiny_models.encoding import MAX_L2_BOUND
from byzantiny_models.networks import LIMITS, MASTER_FRAC, NETWORKS
from byzantiny_models.quantization import EXP_LUT
from byzantiny_models.rng import Stream
from byzantiny_models.training import LR_SHIFTS

GENERATED = Path(__file__).resolve().parents[1] / "core" / "generated"

STRUCTS: dict[str, tuple[struct.Struct, tuple[str, ...]]] = {
    "HEADER": (messages.HEADER, ("ver_type", "flags", "length", "address", "seq", "xfer", "offset")),
    "HELLO": (
        messages.HELLO,
        (
            "proto_min",
            "proto_max",
            "max_payload",
            "device_id",
            "fw_sha256",
            "build_id",
            "caps",
            "max_object",
            "boot_id",
            "rx_credit",
            "reset_reason",
            "zero",
            "n_samples",
            "data_sha256",
        ),
    ),
    "HELLO_ACK": (messages.HELLO_ACK, ("proto", "zero", "max_payload", "credit", "zero2", "boot_id")),
    "START": (messages.START, ("round", "kind", "total", "chunk", "sha256")),
    "ACK": (messages.ACK, ("next", "sack", "credit", "status")),
    "RECEIPT": (messages.RECEIPT, ("round", "verdict", "reason", "zero", "sha256")),
    "ABORT": (messages.ABORT, ("status",)),
    "ROUND": (messages.ROUND, ("round", "offer_bytes", "offer_sha256")),
    "METRIC": (
        messages.METRIC,
        (
            *(f"reject_{reject.name.lower()}" for reject in messages.Reject),
            "frames_received",
            "frames_sent",
            "training_steps",
            "stack_bytes",
        ),
    ),
    "PING": (messages.PING, ("nonce",)),
    "OFFER": (
        messages.OFFER_FIXED,
        (
            "magic",
            "proto",
            "kind",
            "round",
            "seed",
            "nonce",
            "model_sha256",
            "layout_sha256",
            "model_bytes",
            "l2_bound",
            "deadline_ms",
            "epochs",
            "lr_shift",
            "n_tensors",
            "zero",
        ),
    ),
    "MANIFEST": (
        messages.MANIFEST,
        (
            "magic",
            "proto",
            "kind",
            "key_id",
            "device_id",
            "round",
            "offer_sha256",
            "counter",
            "n_samples",
            "payload_bytes",
            "payload_sha256",
        ),
    ),
    "DATASET_HEADER": (messages.DATASET_HEADER, ("magic", "n", "features", "classes", "zero")),
    "BASE_HEADER": (bases.HEADER, ("magic", "tensors", "zero", "trainable", "layout_sha256")),
}
"""The structures on the wire and the names of their fields, in order; pad bytes have no name."""

ENUMS: dict[str, type[enum.IntEnum | enum.IntFlag]] = {
    "TYPE": messages.Type,
    "FLAG": messages.Flag,
    "KIND": messages.Kind,
    "STATUS": messages.Status,
    "VERDICT": messages.Verdict,
    "REASON": messages.Reason,
    "REJECT": messages.Reject,
    "RESET": messages.ResetReason,
    "CAP": messages.Cap,
}

CONSTANTS = (
    "PROTO",
    "HEADER_BYTES",
    "CRC_BYTES",
    "OVERHEAD_BYTES",
    "CONTROL_MAX_BYTES",
    "UART_PAYLOAD_MAX",
    "DEFAULT_PAYLOAD",
    "WINDOW_CHUNKS",
    "BROADCAST",
    "HOST_ADDRESS",
    "SHA_BYTES",
    "CLIENT_ID_BYTES",
    "UPDATE_HEADER_BYTES",
    "MAX_TENSORS",
    "MAX_SHIFT",
)


def field_offsets(layout: struct.Struct, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, offset and size of every field of a packed structure.

    >>> field_offsets(struct.Struct("<IB3xI"), ("round", "kind", "total"))
    [('round', 0, 4), ('kind', 4, 1), ('total', 8, 4)]
    """
    fields: list[tuple[str, int, int]] = []
    offset = 0
    remaining = iter(names)
    for count, code in re.findall(r"(\d*)([a-zA-Z])", layout.format):
        size = struct.calcsize("<" + code)
        repeat = int(count or 1)
        if code == "x":
            offset += repeat
        elif code == "s":
            fields.append((next(remaining), offset, repeat))
            offset += repeat
        else:
            for _ in range(repeat):
                fields.append((next(remaining), offset, size))
                offset += size
    if next(remaining, None) is not None or offset != layout.size:
        raise ValueError(f"the names {tuple(names)} do not fit the format {layout.format!r}")
    return fields


def _magic(value: bytes) -> str:
    return f"0x{int.from_bytes(value, 'little'):08x}U /* {value.decode('ascii')} */"


def wire_header() -> str:
    """`byz_wire.h`: ids, sizes, limits and field offsets of the wire."""
    lines = [
        *opening("byzantiny.wire.messages", "The wire's numbers (docs/wire.md)."),
        "#ifndef BYZ_WIRE_H",
        "#define BYZ_WIRE_H",
        "",
        '#include "../byz_util.h"',
        "",
    ]
    lines += [f"#define BYZ_{name} {getattr(messages, name)}U" for name in CONSTANTS]
    lines.append(f"#define BYZ_MAGIC_OBJECT {_magic(messages.MAGIC)}")
    lines.append(f"#define BYZ_MAGIC_DATASET {_magic(messages.DATASET_MAGIC)}")
    lines.append(f"#define BYZ_MAGIC_BASE {_magic(bases.MAGIC)}")
    sizes = ", ".join(f"{size}U" for size in messages.PAYLOAD_SIZES)
    lines += [
        "",
        "/* The DATA maxima that can be negotiated, ascending: an initialiser. */",
        f"#define BYZ_PAYLOAD_SIZES {{ {sizes} }}",
        f"#define BYZ_PAYLOAD_SIZES_COUNT {len(messages.PAYLOAD_SIZES)}U",
        f"#define BYZ_PAYLOAD_MAX {max(messages.PAYLOAD_SIZES)}U",
    ]
    for prefix, members in ENUMS.items():
        lines += ["", f"/* {members.__name__} */"]
        lines += [f"#define BYZ_{prefix}_{member.name} {member.value}U" for member in _members(members)]
        if issubclass(members, enum.IntFlag):
            lines.append(f"#define BYZ_{prefix}_ALL {sum(member.value for member in _members(members))}U")
        elif [member.value for member in _members(members)] == list(range(len(_members(members)))):
            lines.append(f"#define BYZ_{prefix}_COUNT {len(_members(members))}U")
        if not issubclass(members, enum.IntFlag):  # every value is below 32: bit v says that v is known
            lines.append(f"#define BYZ_{prefix}_KNOWN 0x{sum(1 << member.value for member in _members(members)):08x}U")
    for prefix, (layout, names) in STRUCTS.items():
        lines += ["", f"/* {prefix}: byte offsets */"]
        fields = field_offsets(layout, names)
        lines += [f"#define BYZ_{prefix}_{name.upper()} {offset}U" for name, offset, _ in fields]
        if f"{prefix}_BYTES" not in CONSTANTS:
            lines.append(f"#define BYZ_{prefix}_BYTES {layout.size}U")
    lines += ["", "/* What the code takes for granted. */"]
    for prefix, (layout, names) in STRUCTS.items():
        last, offset, size = field_offsets(layout, names)[-1]
        pad = layout.size - offset - size
        tail = f" + {pad}U" if pad else ""
        lines.append(
            f"BYZ_ASSERT(BYZ_{prefix}_BYTES == BYZ_{prefix}_{last.upper()} + {size}U{tail}, wire_{prefix.lower()});"
        )
    lines += [
        "BYZ_ASSERT(BYZ_OVERHEAD_BYTES == BYZ_HEADER_BYTES + BYZ_CRC_BYTES, wire_overhead);",
        "BYZ_ASSERT(BYZ_UPDATE_HEADER_BYTES == BYZ_MANIFEST_BYTES + 16U, wire_update_header);",
        "BYZ_ASSERT(BYZ_HELLO_BYTES <= BYZ_CONTROL_MAX_BYTES && BYZ_METRIC_BYTES <= BYZ_CONTROL_MAX_BYTES, wire_control);",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _members(members: type[enum.IntEnum | enum.IntFlag]) -> list[enum.IntEnum | enum.IntFlag]:
    # Python 3.10 lists a flag's zero member, later versions do not; __members__ lists it everywhere.
    return list(members.__members__.values())


def crc32c_table(bits: int) -> list[int]:
    """The table that advances a reflected CRC-32C by `bits` bits at a time (RFC 3720 B.4: polynomial 0x1edc6f41).

    >>> [f"{entry:08x}" for entry in crc32c_table(4)[:3]]
    ['00000000', '105ec76f', '20bd8ede']
    """
    table = []
    for index in range(1 << bits):
        crc = index
        for _ in range(bits):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


def _array(declaration: str, values: Sequence[str], per_line: int) -> list[str]:
    rows = [values[i : i + per_line] for i in range(0, len(values), per_line)]
    return [f"{declaration} = {{", *("    " + ", ".join(row) + "," for row in rows), "};"]


TABLES_SOURCE = "byzantiny_models.quantization and .training"


def tables_header() -> str:
    """`byz_tables.h`: the declarations of the tables, and the limits that C and NumPy must agree on."""
    return "\n".join(
        [
            *opening(TABLES_SOURCE, "Constant tables, and the limits that C and NumPy share."),
            "#ifndef BYZ_TABLES_H",
            "#define BYZ_TABLES_H",
            "",
            '#include "../byz_codes.h"',
            '#include "../byz_fixed.h"',
            '#include "../byz_train.h"',
            "",
            "/* round(65535 * exp(-d / 8)): d is how far a Q3 logit lies below the largest. */",
            f"extern const uint16_t byz_exp[{len(EXP_LUT)}];",
            "",
            "/* CRC-32C by four bits (boards), by eight (BYZ_NATIVE). */",
            "extern const uint32_t byz_crc_nibble[16];",
            "#if defined(BYZ_NATIVE)",
            "extern const uint32_t byz_crc_byte[256];",
            "#endif",
            "",
            f"BYZ_ASSERT(BYZ_WEIGHT_MAX == {LIMITS['int16']}, weight_max);",
            f"BYZ_ASSERT(BYZ_BIAS_MAX == {LIMITS['int32']}, bias_max);",
            f"BYZ_ASSERT(BYZ_WEIGHT_FRAC == {MASTER_FRAC}, weight_frac);",
            f"BYZ_ASSERT(BYZ_LR_SHIFT_MIN == {LR_SHIFTS[0]} && BYZ_LR_SHIFT_MAX == {LR_SHIFTS[-1]}, lr_shift);",
            f"BYZ_ASSERT(BYZ_L2_BOUND_MAX == {MAX_L2_BOUND - 1}U, l2_bound);",
            *(
                f"BYZ_ASSERT(BYZ_STREAM_{stream.name} == {stream.value}, stream_{stream.name.lower()});"
                for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING, Stream.CODES, Stream.INITIAL_MODEL, Stream.ATTACK)
            ),
            "",
            "#endif",
            "",
        ]
    )


def tables_source() -> str:
    """`byz_tables.c`: the exponential and the CRC tables."""
    return "\n".join(
        [
            *opening(TABLES_SOURCE, "Constant tables."),
            '#include "byz_tables.h"',
            "",
            *_array("const uint16_t byz_exp[256]", [f"{int(value)}U" for value in np.asarray(EXP_LUT)], 16),
            "",
            *_array("const uint32_t byz_crc_nibble[16]", [f"0x{value:08x}U" for value in crc32c_table(4)], 8),
            "",
            "#if defined(BYZ_NATIVE)",
            *_array("const uint32_t byz_crc_byte[256]", [f"0x{value:08x}U" for value in crc32c_table(8)], 8),
            "#endif",
            "",
        ]
    )


IMAGES = GENERATED.parents[1] / "boards" / "mps2" / "images"

GENERATORS: dict[str, Callable[[], str]] = {
    "byz_wire.h": wire_header,
    "byz_tables.h": tables_header,
    "byz_tables.c": tables_source,
    "byz_networks.h": networks_header,
    "byz_networks.c": networks_source,
}
"""File name -> generator, in `core/generated/`."""


def generated() -> dict[Path, str]:
    """Return every generated file with its text; the images' are one file a network."""
    files = {GENERATED / name: generate() for name, generate in GENERATORS.items()}
    return files | {IMAGES / f"{name}.c": image_source(network) for name, network in NETWORKS.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the generated files, or compare them with `--check`; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"usage: {COMMAND} [--check]\n")
        return 2
    differing = []
    files = generated()
    for path, text in files.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            differing.append(path.name)
            if not arguments:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
    for path in sorted(set(IMAGES.glob("*.c")) - set(files)):  # of a network that is no more
        differing.append(path.name)
        if not arguments:
            path.unlink()
    verb = "differs from its definition; run `" + COMMAND + "`" if arguments else "written"
    sys.stdout.write("".join(f"{name}: {verb}\n" for name in differing))
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
