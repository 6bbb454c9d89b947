"""Keys and tags: HKDF-SHA-256 (RFC 5869) and HMAC-SHA-256 truncated to 128 bits (RFC 2104, RFC 4231 case 5).

One key per direction, so a tag cannot be reflected. An object is tagged once, over its manifest or body.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from byzantiny.wire.messages import TAG_BYTES, Manifest
from byzantiny.wire.objects import encode_manifest

SECRET_BYTES: Final = 32
_INFO_UP: Final = b"byzantiny-up-1"
_INFO_DOWN: Final = b"byzantiny-down-1"


@dataclass(frozen=True, slots=True)
class Keys:
    """A device's keys: `up` tags what it sends, `down` what it is sent."""

    up: bytes
    down: bytes


def hkdf_sha256(secret: bytes, *, salt: bytes = b"", info: bytes = b"", length: int = 32) -> bytes:
    """`length` bytes derived from `secret` (RFC 5869); raises ValueError over 255 blocks of 32.

    >>> hkdf_sha256(b"secret", info=b"purpose", length=4).hex()
    'eced7de9'
    """
    if not 0 < length <= 255 * 32:
        raise ValueError(f"HKDF-SHA-256 gives 1 to 8160 bytes, not {length}")
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    block, out = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(extracted, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def derive_keys(secret: bytes) -> Keys:
    """The up and down key of a device's 32-byte secret; raises ValueError on another length.

    >>> keys = derive_keys(bytes(32))
    >>> keys.up != keys.down, len(keys.up)
    (True, 32)
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a device's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    return Keys(hkdf_sha256(secret, info=_INFO_UP), hkdf_sha256(secret, info=_INFO_DOWN))


def tag(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256(key, data), its first 16 bytes.

    >>> tag(b"key", b"data").hex()
    '5031fe3d989c6d1537a013fa6e739da2'
    """
    return hmac.digest(key, data, "sha256")[:TAG_BYTES]


def verify(key: bytes, data: bytes, claimed: bytes) -> bool:
    """Whether `claimed` is the tag of `data`, in time that does not depend on where they differ.

    >>> verify(b"key", b"data", tag(b"key", b"data")), verify(b"key", b"data", bytes(16))
    (True, False)
    """
    return hmac.compare_digest(tag(key, data), claimed)


def seal_offer(body: bytes, down_key: bytes) -> bytes:
    """The offer object of one device: body || tag.

    >>> len(seal_offer(bytes(120), bytes(32)))
    136
    """
    return body + tag(down_key, body)


def seal_update(manifest: Manifest, up_key: bytes, codes: bytes) -> bytes:
    """The update object: manifest || tag || codes; what the manifest says of the codes is the caller's affair.

    >>> len(seal_update(Manifest(0, "dev-01", 1, bytes(32), 1, 60, 3, bytes(32)), bytes(32), b"abc"))
    131
    """
    head = encode_manifest(manifest)
    return head + tag(up_key, head) + codes


def manifest_for(
    device_id: str, round_num: int, offer_sha256: bytes, counter: int, n_samples: int, codes: bytes, key_id: int = 0
) -> Manifest:
    """The honest manifest of `codes`: their length and SHA-256 filled in.

    >>> manifest_for("dev-01", 1, bytes(32), 1, 60, b"abc").payload_bytes
    3
    """
    digest = hashlib.sha256(codes).digest()
    return Manifest(key_id, device_id, round_num, offer_sha256, counter, n_samples, len(codes), digest)
