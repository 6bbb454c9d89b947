"""`.tflite` files in NumPy: each runtime's very integers, and a reader that no bytes can surprise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.deploy.arithmetic import ARITHMETICS, quantize_multiplier, requantize
from byzantiny_models.deploy.interpreter import run, run_all
from byzantiny_models.deploy.model_file import ModelFileError, parse_model
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.quantization import requantize as device_requantize

DATA = Path(__file__).parent / "data" / "deploy"
NAMES = ("mlp", "cnn", "same", "imu")
FILES = {name: (DATA / f"{name}.tflite").read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def answers():
    with np.load(DATA / "answers.npz") as file:
        return dict(file)


def inputs(model, count=300):
    return np.random.default_rng(1).integers(-128, 128, (count, *model.tensors[model.input].shape[1:])).astype(np.int8)


@pytest.mark.parametrize("arithmetic", ["tflm-double", "ruy", "xnnpack-fp32", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_s_answers_are_reproduced_to_the_bit(answers, name, arithmetic):
    """Recorded from TFLM, tflite-runtime 2.14 and TF 2.21 (data/deploy/make.py): random weights, any scales."""
    model = parse_model(FILES[name], name)
    assert np.array_equal(run(model, inputs(model), arithmetic), answers[f"{name}/{arithmetic}"])


def test_the_arithmetics_can_be_told_apart(answers):
    """Otherwise the test above would hold whichever of them was computed."""
    for name in ("cnn", "imu"):
        model = parse_model(FILES[name], name)
        own = {a: run(model, inputs(model, 1000), a) for a in ARITHMETICS}
        for a in ("tflm-double", "ruy", "mixed"):
            for b in ("single", "xnnpack-fp32"):
                assert (own[a] != own[b]).sum() > 100
        assert (own["tflm-double"] != own["ruy"]).any()
        assert (own["tflm-double"] != own["mixed"]).any()


def test_tflm_answers_the_same_here():
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", exc_type=ImportError)
    for name in NAMES:
        model = parse_model(FILES[name], name)
        micro = runtime.Interpreter.from_bytes(FILES[name])
        x = inputs(model, 100)
        ours = run(model, x)
        for sample, expected in zip(x, ours, strict=True):
            micro.set_input(sample[None], 0)
            micro.invoke()
            assert np.array_equal(micro.get_output(0)[0], expected)


def exact(value, scale, arithmetic):
    """The definitions in fractions and Python integers, written apart from the code."""
    q, shift = quantize_multiplier(scale)
    if arithmetic in ("single", "mixed"):
        product = Fraction(value * q, 1 << (31 - shift))
        if arithmetic == "mixed" and product < 0:
            return -int((-product + Fraction(1, 2)) // 1)
        return int((product + Fraction(1, 2)) // 1)
    product = (value << max(shift, 0)) * q
    high = product + (1 << 30 if product >= 0 else 1 - (1 << 30))
    high = high >> 31 if high >= 0 else -((-high) >> 31)  # C divides towards zero
    part = Fraction(high, 1 << max(-shift, 0))
    if arithmetic == "ruy":
        return int((part + Fraction(1, 2)) // 1)
    return int((abs(part) + Fraction(1, 2)) // 1) * (1 if part >= 0 else -1)


@given(
    st.integers(-(1 << 27), 1 << 27),
    st.floats(2.0**-20, 0.99) | st.integers(1, 14).map(lambda k: 2.0**-k),
    st.sampled_from(["single", "mixed", "ruy", "tflm-double"]),
)
def test_requantisation_is_its_definition_in_fractions(value, scale, arithmetic):
    scaled = requantize(np.array([value]), np.array([scale]), arithmetic, dense=True)
    assert scaled.tolist() == [exact(value, scale, arithmetic)]


@given(st.integers(-(1 << 30), 1 << 30), st.integers(1, 14))
def test_with_power_of_two_scales_tflm_s_rounding_is_the_device_s(value, k):
    acc = np.array([value])
    scaled = requantize(acc, np.array([2.0**-k]), "tflm-double", dense=False)
    assert scaled.tolist() == device_requantize(acc.astype(np.int32), k).tolist()


@given(st.floats(2.0**-30, 1e6))
def test_a_multiplier_holds_31_bits_of_the_scale(real):
    q, shift = quantize_multiplier(real)
    assert 1 << 30 <= q <= (1 << 31) - 1
    assert abs(Fraction(q, 1 << 31) * Fraction(2) ** shift / Fraction(real) - 1) <= Fraction(1, 1 << 30)


def test_an_unknown_arithmetic_is_refused_by_name():
    with pytest.raises(InvalidValueError, match="'float' is not one of tflm-double, ruy"):
        requantize(np.array([1]), np.array([0.5]), "float", dense=True)


def test_every_tensor_on_the_way_is_shown_and_of_the_file_s_shape():
    model = parse_model(FILES["cnn"], "cnn")
    values = run_all(model, inputs(model, 5))
    assert len(values) == len(model.operators) + 1
    assert all(values[i].shape == (5, *model.tensors[i].shape[1:]) for i in values)


def test_a_file_says_what_it_holds():
    model = parse_model(FILES["cnn"], "cnn")
    assert [op.name for op in model.operators] == [
        "CONV_2D", "CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED",
    ]  # fmt: skip
    conv, pool = model.operators[0], model.operators[2]
    assert (conv.activation, conv.padding, conv.strides) == ("relu", "VALID", (1, 1))
    assert (pool.window, pool.strides) == ((2, 2), (2, 2))
    weights = model.tensors[conv.inputs[1]]
    assert (weights.shape, len(weights.scales), weights.axis) == ((8, 3, 3, 1), 8, 0)
    assert FILES["cnn"][weights.offset : weights.offset + 72] == model.constant(conv.inputs[1]).tobytes()
    scales = np.frombuffer(FILES["cnn"], "<f4", 8, weights.scales_offset)
    assert scales.tolist() == list(weights.scales)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((1, 63), np.int8), "the model takes int8 of (n, 64)"),
        (np.zeros((1, 64), np.int16), "inputs of int16"),
    ],
)
def test_inputs_of_another_shape_or_type_are_refused(x, said):
    with pytest.raises(ModelFileError) as error:
        run(parse_model(FILES["mlp"], "mlp"), x)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not the identifier b'TFL3'"),
        (b"\0" * 100, "is not the identifier"),
        (b"\x1c\0\0\0TFL3" + b"\xff" * 50, "damaged"),
        (FILES["mlp"][:200], ""),
        (FILES["mlp"][:-400], ""),
    ],
)
def test_bytes_that_are_no_whole_model_are_refused_by_file(data, said):
    with pytest.raises(ModelFileError) as error:
        parse_model(data, "model.tflite")
    assert said in str(error.value)
    assert str(error.value).startswith("model.tflite")


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("byzantiny_models.deploy.model_file.MOST_BYTES", 100)
    with pytest.raises(ModelFileError, match="5040 bytes; the limit is 100"):
        parse_model(FILES["mlp"], "mlp")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("mlp", 25, "operator 0 is SOFTMAX; supported are"), ("cnn", 36, "operator 3 is GATHER"), ("mlp", 300, "")],
)
def test_an_operator_that_is_not_supported_is_refused_by_name(name, code, said):
    """The operator code is changed in the file, as if another model had been given."""
    from tflite.Model import Model

    data = bytearray(FILES[name])
    root = Model.GetRootAsModel(data, 0)
    wanted = {"mlp": 9, "cnn": 22}[name]  # FULLY_CONNECTED, RESHAPE
    for i in range(root.OperatorCodesLength()):
        table = root.OperatorCodes(i)._tab
        if root.OperatorCodes(i).BuiltinCode() == wanted or root.OperatorCodes(i).DeprecatedBuiltinCode() == wanted:
            for slot, size in ((4, 1), (10, 4)):
                if at := table.Offset(slot):
                    value = min(code, 127) if size == 1 else code
                    data[table.Pos + at : table.Pos + at + size] = value.to_bytes(size, "little")
    with pytest.raises(ModelFileError) as error:
        parse_model(bytes(data), name)
    assert said in str(error.value)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_any_damage_gives_a_model_or_an_error_of_its_own(name, changes, cut):
    data = bytearray(FILES[name])
    for at, value in changes:
        data[at % len(data)] = value
    if cut > 20:
        del data[-cut * 20 :]
    try:
        model = parse_model(bytes(data), "damaged.tflite")
        out = run(model, np.zeros((1, *model.tensors[model.input].shape[1:]), np.int8))
    except ModelFileError:
        return
    assert out.dtype == np.int8


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_identifier_are_refused_or_read(data):
    with pytest.raises(ModelFileError):
        parse_model(data[:4].ljust(4, b"\0") + b"TFL3" + data[4:], "x")
