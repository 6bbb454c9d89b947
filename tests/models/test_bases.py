"""The frozen part of a network as bytes, and networks that train what is left."""

import contextlib
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.bases import HEADER, pack_base, unpack_base
from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, Conv2D, Dense, Flatten, Network, initial_model

MLP = NETWORKS["mlp-64-32-10"]
CNN = Network("n", (Conv2D((4, 4, 1), 2, (3, 3)), Flatten((2, 2, 2)), Dense(8, 3, "linear")))
NAMES = [spec.name for spec in CNN.layout.tensors]


def random_model(seed, layout=CNN.layout):
    rng = np.random.default_rng(seed)
    return rng.integers(-layout.limits, layout.limits, endpoint=True).astype(np.int32)


def test_the_bytes_are_those_of_the_page():  # docs/wire.md 3
    model = random_model(1)
    blob = pack_base(CNN.layout, ["conv2d0/kernel", "dense0/bias"], model)
    magic, tensors, zero, mask = struct.unpack_from("<4sHHI", blob)
    assert (magic, tensors, zero, mask) == (b"BYZB", 4, 0, 0b1001)
    assert blob[12:44] == CNN.layout.sha256
    assert struct.unpack_from("<2i", blob, 44) == tuple(model[18:20]), "the frozen bias of the convolution comes first"
    assert struct.unpack_from("<24b", blob, 52) == tuple(min(127, (v + 128) >> 8) for v in model[20:44])
    assert len(blob) == 76


@given(seed=st.integers(0, 999), mask=st.integers(1, 14))
def test_a_base_survives_packing(seed, mask):
    model, trained = random_model(seed), [name for i, name in enumerate(NAMES) if mask >> i & 1]
    trainable, frozen = unpack_base(CNN.layout, pack_base(CNN.layout, trained, model))
    assert [name for name, kept in zip(NAMES, trainable, strict=True) if kept] == trained
    for spec, kept, where in zip(CNN.layout.tensors, trainable, CNN.layout.slices, strict=True):
        expected = np.minimum((model[where] + 128) >> 8, 127) if spec.dtype == "int16" else model[where]
        assert np.array_equal(frozen[where], np.zeros_like(expected) if kept else expected)


@pytest.mark.parametrize("trained", [[], NAMES, ["conv2d0/kernel", "conv2d1/kernel"]])
def test_a_base_freezes_something_that_exists_and_not_all(trained):
    with pytest.raises(LayoutError, match="choose at least one and not all of conv2d0/kernel, conv2d0/bias"):
        pack_base(CNN.layout, trained, random_model(1))


GOOD = pack_base(CNN.layout, ["dense0/kernel"], random_model(2))


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (GOOD[:20], "at least 44"),
        (b"BYZU" + GOOD[4:], "no base"),
        (GOOD[:6] + b"\1" + GOOD[7:], "reserved word 1"),
        (GOOD[:4] + b"\5" + GOOD[5:], "5 tensors"),
        (GOOD[:12] + bytes(32) + GOOD[44:], "000000000000"),
        (GOOD[:8] + bytes(4) + GOOD[12:], "mask 0x0"),
        (GOOD[:8] + b"\x0f" + GOOD[9:], "mask 0xf"),
        (GOOD[:8] + b"\x14" + GOOD[9:], "mask 0x14"),
        (GOOD[:-1], "need 82"),
        (GOOD + b"\0", "need 82"),
        (GOOD[:-1] + b"\x80", r"conv2d0/kernel exceeds \+-127"),
        (GOOD[:44] + struct.pack("<i", -(2**24)) + GOOD[48:], r"conv2d0/bias exceeds \+-16777215"),
    ],
)
def test_bytes_that_are_no_base_of_the_network_are_refused(blob, why):
    with pytest.raises(LayoutError, match=why):
        CNN.with_base(blob)


@given(blob=st.binary(max_size=120))
def test_no_bytes_do_more_than_raise_a_layout_error(blob):
    for candidate in (blob, HEADER.pack(b"BYZB", 4, 0, 2, CNN.layout.sha256) + blob):
        with contextlib.suppress(LayoutError):
            unpack_base(CNN.layout, candidate)


def test_scopes_by_name():
    start = initial_model(MLP, 1)
    assert MLP.scoped("all") is MLP
    assert [t.name for t in MLP.scoped("last-layer", start).layout.tensors] == ["dense1/kernel", "dense1/bias"]
    assert [t.name for t in MLP.scoped("biases", start).layout.tensors] == ["dense0/bias", "dense1/bias"]
    chosen = MLP.scoped(("dense1/bias", "dense0/kernel"), start)
    assert [(t.name, t.offset, t.byte_offset) for t in chosen.layout.tensors] == [
        ("dense0/kernel", 0, 0), ("dense1/bias", 2048, 4096)
    ]  # fmt: skip
    assert chosen.scoped("all") == MLP
    assert chosen.scoped("biases", start) == MLP.scoped("biases", start)


def test_fewer_tensors_are_fewer_bytes_in_both_directions():
    start = initial_model(MLP, 1)
    sizes = {scope: MLP.scoped(scope, start).layout for scope in ("all", "last-layer", "biases")}
    assert {scope: (layout.d, layout.model_bytes) for scope, layout in sizes.items()} == {
        "all": (2410, 4904), "last-layer": (330, 680), "biases": (42, 168)
    }  # fmt: skip


@pytest.mark.parametrize("scope", ["first-layer", ["dense7/bias"], [], ["dense0/bias", "dense7/bias"]])
def test_an_unknown_scope_is_refused(scope):
    with pytest.raises(InvalidValueError):
        MLP.scoped(scope, initial_model(MLP, 1))


def test_what_is_frozen_needs_values():
    with pytest.raises(InvalidValueError, match="give a start model"):
        MLP.scoped("biases")


def test_the_hash_binds_the_whole_network_the_scope_and_every_frozen_value():
    start = initial_model(MLP, 1)
    head = MLP.scoped("last-layer", start)
    assert head.layout.sha256 == hashlib.sha256(MLP.layout.sha256 + hashlib.sha256(head.base).digest()).digest()
    other = start.copy()
    other[5] += 256
    hashes = {
        network.layout.sha256
        for network in (MLP, head, MLP.scoped("last-layer", other), MLP.scoped("biases", start),
                        MLP.scoped(("dense1/kernel",), start))
    }  # fmt: skip
    assert len(hashes) == 5
    same = start.copy()
    same[5] = (min(127, (start[5] + 128) >> 8)) << 8  # another master of the same int8 weight
    assert MLP.scoped("last-layer", same).layout == head.layout


def test_project_and_merge_are_inverse_on_what_is_trained():
    start = initial_model(MLP, 3)
    for scope in ("all", "last-layer", "biases", ("dense0/kernel",)):
        network = MLP.scoped(scope, start)
        part = network.project(start)
        assert np.array_equal(part, initial_model(network, 3))
        merged = network.merge(part)
        assert np.array_equal(network.project(merged), part)
        x = np.random.default_rng(1).integers(-128, 128, (20, 64))
        assert np.array_equal(forward(network, part, x), forward(MLP, start, x))
        assert np.array_equal(forward(MLP, merged, x), forward(MLP, start, x))
