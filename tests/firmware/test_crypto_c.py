"""SHA-256, HMAC, HKDF, CRC-32C and COBS in C: published vectors, and Python's own implementations on random input."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import random

import pytest

from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import cobs_decode, cobs_encode
from byzantiny.wire.crc import crc32c
from byzantiny.wire.errors import WireError
from byzantiny_firmware import library

U64 = ctypes.c_uint64


@pytest.fixture(scope="module")
def lib():
    return library.load()


def _sha256(lib, data, pieces=None):
    pieces = [len(data)] if pieces is None else pieces
    digest = ctypes.create_string_buffer(32)
    lib.byz_test_sha256(data, (U64 * len(pieces))(*pieces), len(pieces), digest)
    return digest.raw


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        # FIPS 180-4 / NIST's example values and SHA256ShortMsg.rsp
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"),
        (b"\xc9\x8c\x8e\x55", "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)  # fmt: skip
def test_sha256_has_the_published_vectors(lib, message, digest):
    assert _sha256(lib, message).hex() == digest


def test_sha256_equals_hashlib_at_every_length_around_the_blocks(lib):
    source = random.Random(1)
    for length in [*range(200), 4904, 70_000]:
        data = source.randbytes(length)
        assert _sha256(lib, data) == hashlib.sha256(data).digest()


def test_sha256_does_not_depend_on_how_the_data_is_cut(lib):
    source = random.Random(2)
    for _ in range(300):
        data = source.randbytes(source.randrange(400))
        cuts = sorted(source.randrange(len(data) + 1) for _ in range(5))
        pieces = [b - a for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert _sha256(lib, data, pieces) == hashlib.sha256(data).digest()


def _hmac(lib, key, data):
    mac = ctypes.create_string_buffer(32)
    lib.byz_test_hmac(key, U64(len(key)), data, U64(len(data)), mac)
    return mac.raw


RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    (b"\xaa" * 131, (b"This is a test using a larger than block-size key and a larger than block-size data. The key needs "
     b"to be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "data", "mac"), RFC_4231, ids=[f"TC{i + 1}" for i in range(7)])
def test_hmac_has_the_vectors_of_rfc_4231(lib, key, data, mac):
    assert _hmac(lib, key, data).hex().startswith(mac)  # TC5 is truncated to 128 bits


def test_hmac_equals_python(lib):
    source = random.Random(3)
    for length in [0, 1, 31, 32, 63, 64, 65, 128, 200]:
        key, data = source.randbytes(length), source.randbytes(source.randrange(300))
        assert _hmac(lib, key, data) == hmac.digest(key, data, "sha256")


def test_a_tag_verifies_and_no_one_bit_change_of_it_does(lib):
    key, data = random.Random(4).randbytes(32), b"manifest" * 14
    tag = hmac.digest(key, data, "sha256")[:16]
    assert lib.byz_test_tag_verify(key, data, U64(len(data)), tag) == 0
    for bit in range(128):
        wrong = bytearray(tag)
        wrong[bit // 8] ^= 1 << bit % 8
        assert lib.byz_test_tag_verify(key, data, U64(len(data)), bytes(wrong)) == -5


RFC_5869 = [
    ("0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
    (bytes(range(0x50)).hex(), bytes(range(0x60, 0xB0)).hex(), bytes(range(0xB0, 0x100)).hex(),
     ("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9"
     "aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")),
    ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "salt", "info", "okm"), RFC_5869, ids=["TC1", "TC2", "TC3"])
def test_hkdf_has_the_vectors_of_rfc_5869(lib, secret, salt, info, okm):
    secret, salt, info, okm = (bytes.fromhex(text) for text in (secret, salt, info, okm))
    out = ctypes.create_string_buffer(len(okm))
    arguments = [item for part in (salt, secret, info) for item in (part, U64(len(part)))]
    assert lib.byz_test_hkdf(*arguments, out, U64(len(okm))) == 0
    assert out.raw == okm
    assert lib.byz_test_hkdf(*arguments, out, U64(255 * 32 + 1)) == -1


def test_device_keys_equal_the_hosts(lib):
    secret = random.Random(5).randbytes(32)
    keys = derive_keys(secret)
    for info, expected in [(b"byzantiny-up-1", keys.up), (b"byzantiny-down-1", keys.down)]:
        out = ctypes.create_string_buffer(32)
        lib.byz_test_hkdf_key(secret, U64(32), info, U64(len(info)), out)
        assert out.raw == expected


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (bytes.fromhex("01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000"
                       "0000"), 0xD9963A56),
    ],
)  # fmt: skip
def test_crc32c_has_the_vectors_of_rfc_3720(lib, data, crc):
    lib.byz_test_crc32c.restype = ctypes.c_uint32
    assert lib.byz_test_crc32c(0, data, U64(len(data))) == crc


def test_crc32c_equals_python_and_continues(lib):
    lib.byz_test_crc32c.restype = ctypes.c_uint32
    source = random.Random(6)
    for length in [0, 1, 2, 3, 255, 1000]:
        data = source.randbytes(length)
        cut = source.randrange(length + 1)
        head = lib.byz_test_crc32c(0, data[:cut], U64(cut))
        whole = lib.byz_test_crc32c(ctypes.c_uint32(head), data[cut:], U64(length - cut))
        assert whole == lib.byz_test_crc32c(0, data, U64(length)) == crc32c(data)


def _encode(lib, data, *, capacity=None, delimiters=0):
    out = ctypes.create_string_buffer(len(data) + len(data) // 254 + 8)
    n = lib.byz_test_cobs_encode(data, U64(len(data)), out, U64(len(out) if capacity is None else capacity), delimiters)
    return out.raw[:n] if n >= 0 else n


def _decode(lib, data):
    buffer = ctypes.create_string_buffer(data, max(len(data), 1))
    n = lib.byz_test_cobs_decode(buffer, U64(len(data)))
    return buffer.raw[:n] if n >= 0 else n


COBS = [
    ("", "01"), ("00", "0101"), ("0000", "010101"), ("110022", "02110222"), ("11223300", "0411223301"),
    ("11223344", "0511223344"), ("11000000", "0211010101"), ("11" * 254, "ff" + "11" * 254),
    ("11" * 255, "ff" + "11" * 254 + "0211"), ("11" * 254 + "00", "ff" + "11" * 254 + "0101"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "coded"), COBS, ids=range(len(COBS)))
def test_cobs_has_the_published_vectors(lib, plain, coded):
    plain, coded = bytes.fromhex(plain), bytes.fromhex(coded)
    assert _encode(lib, plain) == coded
    assert _decode(lib, coded) == plain
    assert _encode(lib, plain, delimiters=3) == b"\0" + coded + b"\0"
    assert _encode(lib, plain, delimiters=3, capacity=len(coded) + 2) == b"\0" + coded + b"\0"
    for capacity in range(len(coded) + 2):
        assert _encode(lib, plain, delimiters=3, capacity=capacity) == -2


@pytest.mark.parametrize("coded", ["", "00", "0511", "0211", "ff11", "03110022", "030011", "0200", "02110200"])
def test_cobs_refuses_what_is_no_encoding(lib, coded):
    expected = -3
    if coded == "0211":  # one byte and nothing missing: the shortest valid neighbour
        expected = b"\x11"
    assert _decode(lib, bytes.fromhex(coded)) == expected


def test_cobs_equals_python_in_both_directions(lib):
    source = random.Random(7)
    for _ in range(3000):
        length = source.choice([0, 1, 2, 20, 253, 254, 255, 256, 507, 508, 509, 600])
        zeros = source.choice([0.0, 0.01, 0.5])
        data = bytes(0 if source.random() < zeros else source.randrange(1, 256) for _ in range(length))
        assert _encode(lib, data) == cobs_encode(data)
        assert _decode(lib, cobs_encode(data)) == data
        noise = source.randbytes(source.randrange(1, 40)).replace(b"\0", b"\1")
        try:
            expected = cobs_decode(noise)
        except WireError:
            expected = -3
        assert _decode(lib, noise) == expected
