"""Counts as bytes: what an edge gateway sends of its clients, and what a coordinator believes of it: nothing unchecked.

Little-endian. 64 bytes of header: magic `BYZC`, version u16, tensors u16, clients n u32, coordinates d u32, carries u32,
12 zero bytes, SHA-256 of the layout. Then the shifts, i8, padded with zeros to a multiple of 8 bytes; the n client ids of 16
bytes, sorted; the carries, u64, ascending; the table, u16. Every length follows from the header, and equal counts are
equal bytes. There is no checksum: the transfer that carries them has one, and the sums catch what is no table.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from byzantiny.kernels import counts as kernel
from byzantiny.updates.counts import UpdateCounts
from byzantiny.updates.errors import InvalidBatchError
from byzantiny.wire.messages import CLIENT_ID_BYTES
from byzantiny.wire.objects import decode_client_id, encode_client_id
from byzantiny_models.networks import Layout

MAGIC: Final = b"BYZC"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sHHIII12x32s")


def encode_counts(counts: UpdateCounts) -> bytes:
    """Return counts as bytes; their trace stays behind: what stages did to clients is for the coordinator to do again.

    Raises:
        InvalidBatchError: a client id that the wire does not know, or counts that stages have acted on.

    >>> from byzantiny.updates import UpdateBatch
    >>> counted = UpdateCounts.of(UpdateBatch.from_rows(np.array([[5], [7]], dtype=np.int8)))
    >>> blob = encode_counts(counted)
    >>> len(blob), decode_counts(blob, counted.layout, counted.shifts).columns.median().tolist()
    (32872, [12])
    """
    if counts.trace:
        raise InvalidBatchError("counts that stages have acted on: send them as they came, the coordinator has stages")
    try:
        ids = b"".join(map(encode_client_id, counts.client_ids))
        shifts = struct.pack(f"<{len(counts.shifts)}b{-len(counts.shifts) % 8}x", *counts.shifts)
    except (ValueError, struct.error) as error:
        raise InvalidBatchError(f"counts that do not fit their bytes: {error}") from error
    layout = counts.layout
    header = _HEADER.pack(
        MAGIC, VERSION, len(counts.shifts), counts.n, counts.d, len(counts.carries), layout.sha256
    )  # fmt: skip
    return b"".join(
        [header, shifts, ids, counts.carries.astype("<u8").tobytes(), counts.table.astype("<u2", copy=False).tobytes()]
    )


def decode_counts(
    blob: bytes, layout: Layout, shifts: Sequence[int], cohort: Collection[str] | None = None
) -> UpdateCounts:
    """Return the counts that `encode_counts` wrote, of this layout and grid, of clients of the cohort if one is given.

    Raises:
        InvalidBatchError: anything else: another version, layout or grid, a length that does not follow from the header, a
            client outside the cohort, out of order or twice, counts of a coordinate that do not add up to n.
    """
    tensors, n, carried = _read_header(blob, layout)
    ids_from = _HEADER.size + tensors + -tensors % 8
    carries_from = ids_from + n * CLIENT_ID_BYTES
    table_from = carries_from + 8 * carried
    shape = kernel.table_shape(layout.d)
    expected = table_from + 2 * int(np.prod(shape, dtype=object))
    if len(blob) != expected:
        raise InvalidBatchError(f"counts of {len(blob)} bytes: {n} clients and {carried} carries make {expected}")
    announced = struct.unpack_from(f"<{tensors}b", blob, _HEADER.size)
    if announced != tuple(shifts) or any(blob[_HEADER.size + tensors : ids_from]):
        raise InvalidBatchError(f"counts on the grid {announced}: {tuple(shifts)} was offered")
    places = np.frombuffer(blob, "<u8", carried, carries_from)
    if places.size and int(places.max()) >= 1 << 63:
        raise InvalidBatchError(f"a carry at {int(places.max())}: the table has {2 * (len(blob) - table_from)} bins")
    return UpdateCounts(
        table=np.frombuffer(blob, "<u2", -1, table_from).astype(np.uint16, copy=False).reshape(shape),
        carries=places.astype(np.int64),
        layout=layout,
        shifts=announced,
        client_ids=_read_ids(blob[ids_from:carries_from], cohort),
    )


def _read_header(blob: bytes, layout: Layout) -> tuple[int, int, int]:
    if len(blob) < _HEADER.size:
        raise InvalidBatchError(f"counts of {len(blob)} bytes: the header alone has {_HEADER.size}")
    magic, version, tensors, n, d, carried, sha256 = _HEADER.unpack_from(blob)
    if (magic, version) != (MAGIC, VERSION):
        raise InvalidBatchError(
            f"{magic!r} version {version}: this release reads {MAGIC!r} version {VERSION}; update the older side"
        )
    if sha256 != layout.sha256 or d != layout.d or tensors != len(layout.tensors) or any(blob[20:32]):
        raise InvalidBatchError(f"counts of {d} coordinates of another layout: this one has {layout.d}")
    return tensors, n, carried


def _read_ids(raw: bytes, cohort: Collection[str] | None) -> tuple[str, ...]:
    try:
        ids = tuple(decode_client_id(raw[i : i + CLIENT_ID_BYTES]) for i in range(0, len(raw), CLIENT_ID_BYTES))
    except ValueError as error:
        raise InvalidBatchError(f"counts of a client that has no name: {error}") from error
    if cohort is not None:
        strangers = set(ids).difference(cohort)
        if strangers:
            raise InvalidBatchError(
                f"counts of {len(strangers)} clients, {min(strangers)!r} the first, outside the cohort of {len(cohort)}"
            )
    return ids
