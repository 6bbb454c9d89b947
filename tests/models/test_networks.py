"""Layouts and networks: places, bytes, hashes, limits, the initial model."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError, LayoutError, ModelsError
from byzantiny_models.networks import NETWORKS, Dense, Layout, Network, TensorSpec, initial_model
from byzantiny_models.rng import Stream

MLP = NETWORKS["mlp-64-32-10"]


def test_the_digits_network_has_the_documented_layout():  # docs/architecture.md, SPEC 3
    tensors = [(t.name, t.shape, t.dtype, t.frac, t.offset, t.byte_offset) for t in MLP.layout.tensors]
    assert tensors == [
        ("dense0/kernel", (32, 64), "int16", 14, 0, 0),
        ("dense0/bias", (32,), "int32", 12, 2048, 4096),
        ("dense1/kernel", (10, 32), "int16", 14, 2080, 4224),
        ("dense1/bias", (10,), "int32", 11, 2400, 4864),
    ]
    assert (MLP.layout.d, MLP.layout.model_bytes, MLP.features, MLP.classes) == (2410, 4904, 64, 10)


def test_the_layout_hash_is_that_of_the_canonical_json():
    text = (
        '[{"dtype":"int16","frac":14,"name":"dense0/kernel","shape":[32,64]},'
        '{"dtype":"int32","frac":12,"name":"dense0/bias","shape":[32]},'
        '{"dtype":"int16","frac":14,"name":"dense1/kernel","shape":[10,32]},'
        '{"dtype":"int32","frac":11,"name":"dense1/bias","shape":[10]}]'
    )
    assert MLP.layout.sha256 == hashlib.sha256(text.encode()).digest()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("change", [{"name": "x"}, {"shape": (4,)}, {"dtype": "int32"}, {"frac": 13}])
def test_every_field_of_a_tensor_changes_the_layout_hash(change):
    fields = {"name": "w", "shape": (2, 2), "dtype": "int16", "frac": 14}
    assert Layout((TensorSpec(**fields),)).sha256 != Layout((TensorSpec(**{**fields, **change}),)).sha256


def models(layout=MLP.layout):
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(-layout.limits, layout.limits, endpoint=True).astype(np.int32)
    )


@given(model=models())
def test_a_model_survives_packing(model):
    blob = MLP.layout.pack(model)
    assert len(blob) == MLP.layout.model_bytes
    assert np.array_equal(MLP.layout.unpack(blob), model)


def test_packing_is_little_endian_int16_and_int32_without_padding():  # docs/wire.md 3
    layout = Layout((TensorSpec("w", (1,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    assert layout.pack(np.array([-2, 0x010203])) == bytes.fromhex("feff03020100")


@pytest.mark.parametrize(("index", "limit"), [(0, 32_512), (2048, 2**24 - 1), (2400, 2**24 - 1)])
def test_beyond_the_saturation_limit_nothing_is_packed_unpacked_or_saturated_away(index, limit):
    for sign in (-1, 1):
        model = np.zeros(2410, dtype=np.int64)
        model[index] = sign * limit
        blob = MLP.layout.pack(model)
        model[index] += sign
        assert MLP.layout.saturate(model)[index] == sign * limit
        with pytest.raises(LayoutError, match=rf"coordinate {index} is {sign * (limit + 1)}.*{limit}.*saturate"):
            MLP.layout.pack(model)
        width = 2 if limit == 32_512 else 4
        start = next(
            t.byte_offset + (index - t.offset) * width for t in reversed(MLP.layout.tensors) if t.offset <= index
        )
        forged = blob[:start] + (sign * (limit + 1)).to_bytes(width, "little", signed=True) + blob[start + width :]
        with pytest.raises(LayoutError, match="saturate"):
            MLP.layout.unpack(forged)


def test_the_least_int32_does_not_pass_for_a_small_one():
    model = np.zeros(2410, dtype=np.int32)
    model[2048] = -(2**31)  # its absolute value overflows
    with pytest.raises(LayoutError):
        MLP.layout.check(model)


@pytest.mark.parametrize("bad", [np.zeros(2409, dtype=np.int32), np.zeros(2410), np.zeros((1, 2410), dtype=np.int32)])
def test_what_is_no_model_is_refused_by_name(bad):
    with pytest.raises(LayoutError, match="2410"):
        MLP.layout.pack(bad)


@pytest.mark.parametrize("length", [0, 4903, 4905])
def test_a_model_of_another_length_is_refused(length):
    with pytest.raises(LayoutError, match=rf"{length} bytes.*4904"):
        MLP.layout.unpack(bytes(length))


def test_layout_errors_are_value_errors_of_the_models_family():
    assert issubclass(LayoutError, ValueError)
    assert issubclass(LayoutError, ModelsError)


def test_default_shifts_make_all_exponents_equal():
    for base in range(3, 13):
        shifts = MLP.layout.default_shifts(base)
        assert shifts == (base, base - 2, base, base - 3)
        assert set(MLP.layout.exponents(shifts)) == {base - 14}


@pytest.mark.parametrize("base", [2, 13])
def test_a_base_shift_that_no_tensor_can_have_is_refused(base):
    with pytest.raises(LayoutError, match="choose another base"):
        MLP.layout.default_shifts(base)


@pytest.mark.parametrize("shifts", [(0, 0, 0), (13, 0, 0, 0), (-1, 0, 0, 0), (0, 12, 0, 12)])
def test_shifts_that_do_not_fit_are_refused(shifts):
    with pytest.raises(LayoutError):
        MLP.layout.exponents(shifts)


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (TensorSpec("w", (2,), "int8", 7),),
        (TensorSpec("w", (0,), "int16", 14),),
        (TensorSpec("w", (2,), "int16", 14), TensorSpec("w", (2,), "int16", 14)),
        (TensorSpec("w", (2,), "int16", 14, offset=1),),
        (TensorSpec("w", (2,), "int16", 14, 0, byte_offset=2),),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(tensors):
    with pytest.raises(LayoutError):
        Layout(tensors)


def test_equal_layouts_are_equal_however_the_offsets_were_given():
    bare = Layout((TensorSpec("w", (3,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    assert Layout(bare.tensors) == bare
    assert hash(Layout(bare.tensors)) == hash(bare)


@pytest.mark.parametrize(
    "layers",
    [
        (),
        (Dense(4, 3, "relu"),),
        (Dense(4, 3, "relu"), Dense(4, 2, "linear")),
        (Dense(0, 2, "linear"),),
    ],
)
def test_a_network_that_does_not_chain_is_refused(layers):
    with pytest.raises(InvalidValueError):
        Network("bad", layers)


def test_initial_model_follows_its_formula(pure):
    k0, k1 = pure.key(7, "", 0, Stream.INITIAL_MODEL)
    model = initial_model(MLP, 7)
    for fan_in, bound, where in ((64, 5016, range(2048)), (32, 7094, range(2080, 2400))):
        assert bound**2 <= 6 * 2**28 // fan_in < (bound + 1) ** 2
        expected = [((pure.draw(i, k0, k1) >> 16) * (2 * bound + 1) >> 16) - bound for i in where]
        assert model[where.start : where.stop].tolist() == expected
    assert not model[2048:2080].any()
    assert not model[2400:].any()


def test_initial_model_is_pinned():
    digest = hashlib.sha256(MLP.layout.pack(initial_model(MLP, 1))).hexdigest()
    assert digest[:16] == "0584c4fa406be145"


def test_initial_weights_fill_their_range_evenly():
    weights = initial_model(MLP, 3)[:2048]
    assert abs(weights.mean()) < 4 * 5016 / np.sqrt(3 * 2048)
    assert abs(weights.std() * np.sqrt(3) / 5016 - 1) < 0.05


def test_a_fan_in_of_one_stays_within_the_masters_limit():
    network = Network("narrow", (Dense(1, 400, "relu"), Dense(400, 2, "linear")))
    assert np.abs(initial_model(network, 1)).max() <= 32_512
