"""CRC-32C against published vectors and against the definition, bit by bit."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.wire.crc import crc32c

# RFC 3720 B.4, and the check value of the CRC catalogue; the read PDU is the RFC's 48-byte SCSI read (10) command.
READ_PDU = bytes.fromhex(
    "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000"
)
VECTORS = [
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (READ_PDU, 0xD9963A56),
    (b"", 0),
]


def bit_by_bit(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_vectors(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@given(st.binary(max_size=80))
def test_equals_the_definition_and_continues(data: bytes) -> None:
    assert crc32c(data) == bit_by_bit(data)
    for cut in range(len(data) + 1):
        assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_residue_is_not_zero_so_appended_zeros_show() -> None:
    frame = os.urandom(40)
    whole = frame + crc32c(frame).to_bytes(4, "little")
    assert crc32c(whole) ^ 0xFFFFFFFF == 0xB798B438
    assert crc32c(whole + b"\0") != crc32c(whole)
