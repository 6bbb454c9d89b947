"""The one random-number generator: counter-based, so that C and vectorised NumPy agree whatever the loop order.

The mixer is the two-round multiply-xorshift hash of C. Wellons ("Prospecting for hash functions", 2018, `lowbias32`).
What differs: two key words enter, one before each multiplication, so that a draw is a function of (counter, key)
and needs no state. Keys come from SHA-256 over everything that makes a stream distinct; the mixer is no cryptographic
generator and is not used as one.
"""

from __future__ import annotations

import hashlib
import re
import struct
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError

MAX_SAMPLES = 65_535
"""Samples one client may hold: swap indices of the sample order are 16 bits."""

Key = tuple[int, int]
"""The two u32 words of a stream's key."""

_DOMAIN = b"byzantiny-rng-1"
_CLIENT_ID = re.compile(r"[a-z0-9-]{0,16}\Z")


class Stream(IntEnum):
    """What a key is for: two streams never share a number."""

    SAMPLE_ORDER = 0
    TRAINING = 1
    CODES = 2
    INITIAL_MODEL = 3
    COHORT = 4
    PARTITION = 5
    ATTACK = 6
    AGGREGATION = 7
    LINK = 8


def derive_key(seed: int, client_id: str, round_num: int, stream: int) -> Key:
    """Return the key `(k0, k1)` of one stream of one client in one round.

    `(k0, k1)` = first 8 bytes, two little-endian u32, of
    `SHA-256("byzantiny-rng-1" || seed u64 || client_id[16] || round u32 || stream u8)`.
    An empty `client_id` (16 zero bytes) is the experiment itself.

    Raises:
        InvalidValueError: a field beyond its width, or a client_id that is not 0-16 characters of `[a-z0-9-]`.

    Source: SPEC 2.

    >>> [f"{k:08x}" for k in derive_key(1, "dev-01", 1, Stream.TRAINING)]
    ['1e404739', 'c4e40331']
    """
    if not _CLIENT_ID.match(client_id):
        raise InvalidValueError(f"client_id {client_id!r} is not 1-16 characters of [a-z0-9-]; rename the client")
    for name, value, bits in (("seed", seed, 64), ("round_num", round_num, 32), ("stream", stream, 8)):
        if not 0 <= value < 1 << bits:
            raise InvalidValueError(f"{name} {value} is outside 0 .. 2^{bits} - 1; choose one within")
    message = _DOMAIN + struct.pack("<Q16sIB", seed, client_id.encode("ascii"), round_num, stream)
    k0, k1 = struct.unpack_from("<II", hashlib.sha256(message).digest())
    return k0, k1


def draw(i: ArrayLike, k0: ArrayLike, k1: ArrayLike) -> NDArray[np.uint32]:
    """Return the 32 random bits of counter `i` under the key `(k0, k1)`, elementwise with broadcasting.

    `x = i + k0; x ^= x >> 16; x *= 0x7feb352d; x += k1; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16`, modulo 2^32.
    Integers of any type and sign are taken modulo 2^32; scalars give a 0-d array.

    Source: SPEC 2.

    >>> [f"{int(x):08x}" for x in draw(np.arange(3), 1, 2)]
    ['5fb0f483', 'b688bfd8', '6e7dcf13']
    """
    # At least one dimension throughout: NumPy warns about the (wanted) overflow of scalars, never of arrays.
    scalar = np.ndim(i) == np.ndim(k0) == np.ndim(k1) == 0
    x = _u32(i) + _u32(k0)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x = x + _u32(k1)  # not in place: k1 may be what broadcasts
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x.reshape(()) if scalar else x


def _u32(value: ArrayLike) -> NDArray[np.uint32]:
    return np.atleast_1d(np.asarray(value)).astype(np.uint32, copy=False)


def step_noise(step: int, k0: int, k1: int, n: int) -> NDArray[np.uint32]:
    """Return the noise of elements 0 .. n-1 (flat layout offsets) at one training step, uint32 (n,).

    `a = draw(step, k0, k1); b = draw(step, k1, k0); noise_i = draw(i, a, b)`.

    Source: SPEC 2.

    >>> noise = step_noise(0, *derive_key(1, "dev-01", 1, Stream.TRAINING), 2410)
    >>> f"{int(noise[0]):08x} {int(noise[2409]):08x}"
    '282f37d6 4865e659'
    """
    return draw(np.arange(n, dtype=np.uint32), draw(step, k0, k1), draw(step, k1, k0))


def sample_order(n: int, epoch: int, k0: int, k1: int) -> NDArray[np.uint16]:
    """Return the order in which epoch `epoch` (from 0) visits a client's `n` samples, uint16 (n,).

    Fisher-Yates downwards from the identity: for i = n-1 .. 1,
    `j = ((draw(epoch * 65536 + i, k0, k1) >> 16) * (i + 1)) >> 16`, swap i and j.

    Raises:
        InvalidValueError: n outside 0 .. 65,535.

    Source: SPEC 2; Durstenfeld, CACM 7(7), 1964 (the shuffle).

    >>> sample_order(5, 0, 1, 2).tolist()
    [0, 2, 4, 3, 1]
    """
    if not 0 <= n <= MAX_SAMPLES:
        raise InvalidValueError(f"{n} samples: the sample order covers 0 .. {MAX_SAMPLES}; split the client")
    swaps = np.arange(n, dtype=np.uint32)
    targets = (((draw(swaps + np.uint32((epoch << 16) & 0xFFFFFFFF), k0, k1) >> 16) * (swaps + 1)) >> 16).tolist()
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = targets[i]
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.uint16)


def rng_for(seed: int, stream: int, *, round_num: int = 0, client_id: str = "") -> np.random.Generator:
    """Return a NumPy Generator for where the host needs distributions: `Generator(PCG64(SeedSequence([k0, k1])))`.

    permutation, choice, dirichlet, normal and integers agree on NumPy 1.26 and 2.x (tests pin them).

    Source: SPEC 2.

    >>> rng_for(1, Stream.PARTITION).permutation(5).tolist()
    [1, 4, 3, 2, 0]
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(derive_key(seed, client_id, round_num, stream))))
