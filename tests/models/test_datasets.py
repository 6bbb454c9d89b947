"""The data set's bytes: docs/wire.md 3, and that no byte string does anything but load or be refused."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.datasets import pack, unpack
from byzantiny_models.errors import DatasetError

GOOD = pack([[1, -128], [127, 0]], [3, 0], classes=4)


def test_the_bytes_are_those_of_the_definition():  # docs/wire.md 3
    header = b"BYZD" + struct.pack("<IHHI", 2, 2, 4, 0)
    assert bytes(GOOD) == header + bytes([1, 0x80, 3, 0x7F, 0, 0])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), features=st.integers(1, 40), classes=st.integers(1, 256))
def test_a_data_set_survives_packing(seed, n, features, classes):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-128, 128, (n, features)).astype(np.int8), rng.integers(0, classes, n).astype(np.uint8)
    got_x, got_y, got_classes = unpack(pack(x, y, classes))
    assert (got_x.dtype, got_y.dtype, got_classes) == (np.int8, np.uint8, classes)
    assert np.array_equal(got_x, x)
    assert np.array_equal(got_y, y)


@given(blob=st.one_of(st.binary(max_size=64), st.binary(max_size=40).map(lambda tail: GOOD[:8] + tail)))
def test_any_bytes_load_or_are_refused(blob):
    try:
        x, y, classes = unpack(blob)
    except DatasetError:
        return
    assert pack(x, y, classes) == blob


@given(position=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_loads_or_is_refused(position, bit):
    broken = bytearray(GOOD)
    broken[position] ^= 1 << bit
    try:
        x, y, classes = unpack(broken)
    except DatasetError:
        return
    assert pack(x, y, classes) == bytes(broken)


def test_every_broken_field_is_named():
    def forged(n=2, features=2, classes=4, zero=0, magic=b"BYZD", tail=GOOD[16:]):
        return magic + struct.pack("<IHHI", n, features, classes, zero) + tail

    for blob, named in (
        (GOOD[:15], "15 bytes"),
        (forged(magic=b"BYZU"), "magic"),
        (forged(zero=1), "reserved word 1"),
        (forged(n=0), "n 0"),
        (forged(n=65_536), "n 65536"),
        (forged(features=0), "features 0"),
        (forged(classes=0), "classes 0"),
        (forged(classes=257), "classes 257"),
        (forged(n=3), "need 25"),
        (GOOD + b"\0", "need 22"),
        (forged(classes=3), "label 3"),
    ):
        with pytest.raises(DatasetError, match=named):
            unpack(blob)


@pytest.mark.parametrize(
    ("x", "y", "classes"),
    [
        ([[1, 2]], [0, 0], 2),
        ([1, 2], [0, 0], 2),
        ([[1.0]], [0], 2),
        ([[1]], [0.0], 2),
        ([[128]], [0], 2),
        ([[-129]], [0], 2),
        ([[1]], [2], 2),
        ([[1]], [-1], 2),
        ([[1]], [0], 257),
        (np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int), 2),
        (np.zeros((2, 0), dtype=int), [0, 0], 2),
        (np.zeros((65_536, 1), dtype=np.int8), np.zeros(65_536, dtype=int), 2),
    ],
)
def test_what_is_no_data_set_is_not_packed(x, y, classes):
    with pytest.raises(DatasetError):
        pack(x, y, classes)
