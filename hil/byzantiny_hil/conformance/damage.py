"""One damaged frame for each reason a device counts, in the order of docs/wire.md 1."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from byzantiny.wire.codec import delimit, encode_frame
from byzantiny.wire.crc import crc32c
from byzantiny.wire.messages import CRC_BYTES, HEADER, Frame, Ping, Reject

NONCE: Final = 0x0DD


def damaged(reject: Reject, address: int) -> bytes:
    r"""Return bytes for the line (delimited) that a device at `address` drops for exactly this reason.

    >>> damaged(Reject.SIZE, 1)
    b'\x00\x06short\x00'
    """
    return _MAKERS[reject](address)


def _altered(own: int, **fields: int) -> bytes:
    """A PING whose header says something else, with a CRC that is right."""
    whole = encode_frame(Frame(Ping(NONCE), own), to_device=True)
    names = ("ver_type", "flags", "length", "address", "seq", "xfer", "offset")
    values = dict(zip(names, HEADER.unpack_from(whole), strict=True)) | fields
    body = HEADER.pack(*values.values()) + whole[HEADER.size : -CRC_BYTES]
    return delimit(body + struct.pack("<I", crc32c(body)))


def _bad_crc(address: int) -> bytes:
    whole = encode_frame(Frame(Ping(NONCE), address), to_device=True)
    return delimit(whole[:-1] + bytes([whole[-1] ^ 1]))


_MAKERS: Final[dict[Reject, Callable[[int], bytes]]] = {
    Reject.COBS: lambda _: b"\0\x09abc\0",  # a block of 8 bytes with 3 left
    Reject.SIZE: lambda _: delimit(b"short"),
    Reject.LENGTH: lambda address: _altered(address, length=5),
    Reject.CRC: _bad_crc,
    Reject.VERSION: lambda address: _altered(address, ver_type=0x2B),
    Reject.FLAGS: lambda address: _altered(address, flags=0x80),
    Reject.TYPE: lambda address: _altered(address, ver_type=0x1F),
    Reject.ADDRESS: lambda address: _altered(address, address=address % 65_534 + 1),
    Reject.PAYLOAD: lambda address: _altered(address, xfer=1),
}
