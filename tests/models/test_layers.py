"""Layers: shapes as TensorFlow has them, tables that say who sees whom, networks that chain or say where they do not."""

import hashlib
import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import activations
from byzantiny_models.layers import AveragePool1D, AveragePool2D, Conv1D, Conv2D, Dense, Flatten
from byzantiny_models.networks import NETWORKS, Network, initial_model
from byzantiny_models.plans import layer_plans
from byzantiny_models.windows import average_pool, gather, scatter, spread_error, taps, uses

HEAD = (Flatten((2, 2, 3)), Dense(12, 4, "linear"))

# Worked by hand, (input, kernel, stride) -> valid outputs, same outputs, padding before; 13, 6, 5 is TensorFlow's own example.
SHAPES = {
    (28, 3, 1): (26, 28, 1), (28, 3, 2): (13, 14, 0), (14, 3, 2): (6, 7, 0), (7, 2, 2): (3, 4, 0), (13, 6, 5): (2, 3, 1),
    (128, 5, 2): (62, 64, 1), (8, 4, 1): (5, 8, 1), (5, 1, 3): (2, 2, 0), (3, 3, 3): (1, 1, 0),
}  # fmt: skip


@pytest.mark.parametrize(("size", "kernel", "stride"), SHAPES)
def test_outputs_and_padding_are_tensorflows(size, kernel, stride):
    valid, same, before = SHAPES[size, kernel, stride]
    assert Conv1D((size, 2), 3, kernel, stride).output_shape == (valid, 3)
    layer = Conv1D((size, 2), 3, kernel, stride, "same")
    assert (layer.output_shape, layer.window.pad_left, layer.window.pad_top) == ((same, 3), before, 0)
    square = Conv2D((size, 3, 2), 3, (kernel, 2), (stride, 1), "same")
    assert (square.output_shape, square.window.pad_top) == ((same, 3, 3), before)


windows = st.builds(
    lambda size, kernel, strides, padding, c: Conv2D((*size, c), 2, kernel, strides, padding).window,
    st.tuples(st.integers(4, 7), st.integers(4, 7)), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from(["valid", "same"]), st.integers(1, 3),
)  # fmt: skip


@given(window=windows)
def test_the_tables_say_who_sees_whom_by_the_definition(window):
    table = taps(window)
    for y, x in itertools.product(range(window.out_height), range(window.out_width)):
        row = iter(table[y * window.out_width + x])
        for i, j, c in itertools.product(
            range(window.kernel_height), range(window.kernel_width), range(window.channels)
        ):
            iy, ix = y * window.stride_height - window.pad_top + i, x * window.stride_width - window.pad_left + j
            inside = 0 <= iy < window.height and 0 <= ix < window.width
            nothing = window.height * window.width * window.channels
            assert next(row) == ((iy * window.width + ix) * window.channels + c if inside else nothing)
    assert uses(window).shape[1] <= window.covers


@given(window=windows, seed=st.integers(0, 1000))
def test_scattering_is_the_transpose_of_gathering(window, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (3, window.height * window.width * window.channels))
    g = rng.integers(-9, 10, (3, *taps(window).shape))
    assert np.array_equal((gather(window, x) * g).sum((1, 2)), (x * scatter(window, g)).sum(1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 9, 25])
def test_the_mean_of_a_window_is_rounded_half_away_from_zero(n):
    window = AveragePool1D((n, 1), n).window
    sums = range(-128 * n, 127 * n + 1, max(1, n // 3))
    rows = np.array([[total // n + (j < total % n) for j in range(n)] for total in sums])
    expected = [
        int(Fraction(total, n) + Fraction(1, 2) * (1 if total >= 0 else -1)) for total in sums
    ]  # int() truncates
    assert average_pool(window, rows.astype(np.int32)).ravel().tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 9, 16, 25])
def test_pooling_shares_an_error_to_nearest_with_ties_upwards(n):
    window = AveragePool1D((n, 1), n).window
    errors = np.array([-32_768, -32_767, *range(-60, 61), 32_767], dtype=np.int32)
    expected = [(Fraction(int(e), n) + Fraction(1, 2)).__floor__() for e in errors]
    assert np.array_equal(spread_error(window, errors[:, None]), np.repeat(np.array(expected)[:, None], n, axis=1))
    if n & (n - 1) == 0 and n > 1:
        k = n.bit_length() - 1
        assert expected == [(int(e) + (1 << (k - 1))) >> k for e in errors], "the rounding shift"


def test_a_rest_at_the_border_is_in_no_window():
    window = AveragePool2D((3, 5, 1), (2, 2)).window
    shares = spread_error(window, np.array([[8, 12]], dtype=np.int32)).reshape(3, 5)
    assert shares.tolist() == [[2, 2, 3, 3, 0], [2, 2, 3, 3, 0], [0, 0, 0, 0, 0]]


def test_one_dimension_is_a_height_of_one():
    one = Network(
        "n", (Conv1D((9, 2), 4, 3, 2, "same"), AveragePool1D((5, 4), 2), Flatten((2, 4)), Dense(8, 3, "linear"))
    )
    two = Network(
        "n",
        (Conv2D((1, 9, 2), 4, (1, 3), (1, 2), "same"), AveragePool2D((1, 5, 4), (1, 2)), Flatten((1, 2, 4)),
         Dense(8, 3, "linear")),
    )  # fmt: skip
    model, x = initial_model(one, 1), np.random.default_rng(1).integers(-128, 128, (5, 18))
    for a, b in zip(activations(one, model, x), activations(two, model, x), strict=True):
        assert np.array_equal(a, b)


def test_a_same_convolution_sees_zeros_around_the_image():
    network = Network("n", (Conv2D((2, 2, 1), 1, (3, 3), padding="same", activation="linear"), Flatten((2, 2, 1)),
                            Dense(4, 2, "linear")))  # fmt: skip
    model = np.zeros(network.layout.d, dtype=np.int32)
    model[:9] = 64 << 8  # weights of 1.0: each output is the sum of the pixels in its window, here all four
    assert activations(network, model, [[1, 2, 3, 4]])[0].tolist() == [[5, 5, 5, 5]]  # 10 in Q6 is 5 in Q5


CHAINS = {
    "(2, 2, 3), but layer 0 (conv2d) gives (2, 2, 2)": (Conv2D((4, 4, 1), 2, (3, 3)), *HEAD),
    "layer 1 (dense) takes (12,), but layer 0 (conv2d) gives (2, 2, 3)": (Conv2D((4, 4, 1), 3, (3, 3)), HEAD[1]),
    "layer 1 (flatten) takes (2, 2, 3), but layer 0 (average-pool2d) gives (1, 1, 3)": (AveragePool2D((2, 2, 3)), *HEAD),
    "layer 1 (conv1d) takes (4, 2), but layer 0 (conv2d) gives (1, 4, 2)": (
        Conv2D((1, 4, 1), 2, (1, 1)), Conv1D((4, 2), 1, 1), Flatten((4, 1)), Dense(4, 2, "linear")),
    "layer 0: conv2d: a window of (5, 5) does not fit into (4, 4)": (Conv2D((4, 4, 1), 3, (5, 5)), *HEAD),
    "layer 0: average-pool1d: a window of (1, 3) does not fit into (1, 2)": (AveragePool1D((2, 1), 3),),
    "layer 0: conv2d: Conv2D(input_shape=(4, 4, 1), filters=0": (Conv2D((4, 4, 1), 0, (3, 3)), *HEAD),
    "strides=(0, 1)": (Conv2D((4, 4, 1), 3, (3, 3), (0, 1)), *HEAD),
    "'tanh' is neither": (Conv2D((4, 4, 1), 3, (3, 3), activation="tanh"), *HEAD),
    "'full' is neither": (Conv2D((4, 4, 1), 3, (3, 3), padding="full"), *HEAD),
    "the last layer is a linear Dense": (Conv2D((4, 4, 1), 3, (3, 3)), HEAD[0]),
    "ends with Dense(inputs=12, outputs=4, activation='relu')": (HEAD[0], Dense(12, 4, "relu")),
}  # fmt: skip


@pytest.mark.parametrize("message", CHAINS)
def test_layers_that_do_not_chain_are_named_with_both_shapes(message):
    with pytest.raises(InvalidValueError) as caught:
        Network("bad", CHAINS[message])
    assert message in str(caught.value)
    assert str(caught.value).startswith("network bad")


def test_a_reconstruction_has_as_many_outputs_as_inputs():
    with pytest.raises(InvalidValueError, match="3 outputs for 4 inputs"):
        Network("bad", (Dense(4, 3, "linear"),), head="squared-error")
    with pytest.raises(InvalidValueError, match="head 'hinge'"):
        Network("bad", (Dense(4, 4, "linear"),), head="hinge")


CNN = Network("n", (Conv2D((6, 6, 2), 4, (3, 3)), AveragePool2D((4, 4, 4)), Flatten((2, 2, 4)), Dense(16, 3, "linear")))


def test_the_tensors_of_a_convolution_are_ohwi_and_named_by_kind():
    tensors = [(t.name, t.shape, t.dtype, t.frac, t.offset) for t in CNN.layout.tensors]
    assert tensors == [
        ("conv2d0/kernel", (4, 3, 3, 2), "int16", 14, 0), ("conv2d0/bias", (4,), "int32", 12, 72),
        ("dense0/kernel", (3, 16), "int16", 14, 76), ("dense0/bias", (3,), "int32", 11, 124),
    ]  # fmt: skip
    assert (CNN.features, CNN.outputs, CNN.classes) == (72, 3, 3)
    assert [plan.kind for plan in layer_plans(CNN)] == ["conv", "pool", "dense"]


ALIKE = {  # networks with the very same tensors
    "strides": (Conv2D((9, 9, 2), 4, (3, 3), (2, 2)), AveragePool2D((4, 4, 4)), *CNN.layers[2:]),
    "padding": (Conv2D((4, 4, 2), 4, (3, 3), padding="same"), *CNN.layers[1:]),
    "pool": (CNN.layers[0], AveragePool2D((4, 4, 4), (4, 1)), Flatten((1, 4, 4)), CNN.layers[3]),
    "activation": (Conv2D((6, 6, 2), 4, (3, 3), activation="linear"), *CNN.layers[1:]),
}


@pytest.mark.parametrize("what", ALIKE)
def test_networks_with_equal_tensors_that_compute_otherwise_have_other_hashes(what):
    other = Network("n", ALIKE[what])
    assert [(t.name, t.shape) for t in other.layout.tensors] == [(t.name, t.shape) for t in CNN.layout.tensors]
    assert other.layout.sha256 != CNN.layout.sha256
    assert other.layout != CNN.layout


def test_the_hash_of_a_convolution_binds_tensors_and_layers_as_the_page_says():  # docs/wire.md 3
    def sha256(value):
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).digest()

    tensors = [{"dtype": t.dtype, "frac": t.frac, "name": t.name, "shape": list(t.shape)} for t in CNN.layout.tensors]
    layers = [
        {"kind": "conv2d", "input_shape": [6, 6, 2], "filters": 4, "kernel": [3, 3], "strides": [1, 1],
         "padding": "valid", "activation": "relu"},
        {"kind": "average-pool2d", "input_shape": [4, 4, 4], "pool": [2, 2]},
        {"kind": "flatten", "input_shape": [2, 2, 4]},
        {"kind": "dense", "inputs": 16, "outputs": 3, "activation": "linear"},
    ]  # fmt: skip
    seal = sha256(tensors) + sha256({"head": "softmax", "layers": layers})
    assert CNN.layout.sha256 == hashlib.sha256(seal).digest()


def test_a_network_of_relu_layers_keeps_the_hash_of_its_tensors_alone():
    assert NETWORKS["mlp-64-32-10"].layout.seal == b""
    assert NETWORKS["mlp-64-32-10"].layout.sha256.hex()[:16] == "d7fa820d7d0517ba"
    linear = Network("n", (Dense(64, 32, "linear"), Dense(32, 10, "linear")))
    assert linear.layout.sha256 != NETWORKS["mlp-64-32-10"].layout.sha256


def test_a_filter_draws_its_first_weights_within_its_fan_in():
    model = initial_model(CNN, 1)
    assert 8500 < np.abs(model[:72]).max() <= 9459  # isqrt(6 * 2^28 / 18)
    assert not model[72:76].any()
    assert np.abs(model[76:124]).max() <= 10_033
