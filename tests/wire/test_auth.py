"""HKDF and HMAC against the vectors of their RFCs, and the seals of objects."""

import hashlib

import pytest

from byzantiny.wire.auth import derive_keys, hkdf_sha256, manifest_for, seal_offer, seal_update, tag, verify
from byzantiny.wire.codec import split_offer, split_update

HKDF = [  # RFC 5869, A.1 to A.3
    (
        "0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(80)).hex(), bytes(range(0x60, 0xB0)).hex(), bytes(range(0xB0, 0x100)).hex(),
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        "0b" * 22, "", "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]  # fmt: skip
HMAC = [  # RFC 4231, the first 16 bytes of the tag; case 5 is the truncation case
    ("0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b"),
    (b"Jefe".hex(), b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
    ("aa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a7"),
    ("0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    ("aa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f"),
]


@pytest.mark.parametrize(("secret", "salt", "info", "expected"), HKDF)
def test_hkdf_of_rfc_5869(secret: str, salt: str, info: str, expected: str) -> None:
    raw = [bytes.fromhex(text) for text in (secret, salt, info, expected)]
    assert hkdf_sha256(raw[0], salt=raw[1], info=raw[2], length=len(raw[3])) == raw[3]


@pytest.mark.parametrize(("key", "data", "expected"), HMAC)
def test_tag_of_rfc_4231(key: str, data: bytes, expected: str) -> None:
    assert tag(bytes.fromhex(key), data).hex() == expected


def test_keys_differ_by_direction_and_device() -> None:
    keys = [key for secret in (bytes(32), b"\1" * 32) for key in (derive_keys(secret).up, derive_keys(secret).down)]
    assert len(set(keys)) == 4
    assert derive_keys(bytes(32)).up == hkdf_sha256(bytes(32), info=b"byzantiny-up-1")
    assert derive_keys(bytes(32)).down == hkdf_sha256(bytes(32), info=b"byzantiny-down-1")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"not {length}"):
        derive_keys(bytes(length))


@pytest.mark.parametrize("length", [0, 8161])
def test_hkdf_has_a_limit(length: int) -> None:
    with pytest.raises(ValueError, match="8160"):
        hkdf_sha256(b"x", length=length)


def test_every_changed_bit_and_every_cut_fails_to_verify() -> None:
    key, data = b"k" * 32, b"some manifest"
    good = tag(key, data)
    assert verify(key, data, good)
    for bit in range(128):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert not verify(key, data, bytes(bad))
    assert not any(verify(key, data, good[:n]) for n in range(16))
    assert not verify(key, data + b"\0", good)


def test_sealed_objects_come_apart_again() -> None:
    keys = derive_keys(bytes(32))
    body = b"b" * 120
    assert split_offer(seal_offer(body, keys.down)) == (body, tag(keys.down, body))
    manifest = manifest_for("dev-01", 3, bytes(32), 9, 60, b"codes")
    parts = split_update(seal_update(manifest, keys.up, b"codes"))
    assert (parts.manifest, parts.codes) == (manifest, b"codes")
    assert verify(keys.up, parts.manifest_bytes, parts.tag)
    assert manifest.payload_sha256 == hashlib.sha256(b"codes").digest()
