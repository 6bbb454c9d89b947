"""Fewer bits a weight: still an integer model of the same network, on the device's grid; and what that is worth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.ptq import BITS, bits_table, from_real, requantize, step_exponents, weight_bytes
from byzantiny_models.deploy.template import load_template, patch, shown
from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.float_training import to_float, train_float
from byzantiny_models.inference import activations, forward
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.quantization import derive_weights
from byzantiny_models.tasks import load_task

TINY = Network("tiny", (Dense(3, 2, "relu"), Dense(2, 2, "linear")))


def models(limit=32_512):
    kernel, bias = st.integers(-limit, limit), st.integers(-(1 << 24) + 1, (1 << 24) - 1)
    parts = [
        st.lists(kernel if spec.dtype == "int16" else bias, min_size=spec.elements, max_size=spec.elements)
        for spec in TINY.layout.tensors
    ]
    return st.tuples(*parts).map(lambda lists: np.concatenate(lists).astype(np.int32))


@given(models(), st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_weights_have_so_many_levels_and_lie_on_the_int8_grid(model, bits):
    quantized = requantize(TINY, model, bits)
    for spec, where, s in zip(TINY.layout.tensors, TINY.layout.slices, step_exponents(TINY, model, bits), strict=True):
        if spec.dtype == "int32":
            assert np.array_equal(quantized[where], model[where]), "biases keep their width"
            continue
        levels = quantized[where] / 2.0 ** (14 - s)
        assert (levels == np.rint(levels)).all()
        assert np.abs(levels).max() <= 2 ** (bits - 1) - 1
        assert np.array_equal(derive_weights(quantized[where]) * 256, quantized[where]), "exact on the device's grid"


@given(models(), st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_the_step_is_the_best_of_all_seven(model, bits):
    """In fractions, by the definition: no other power of two has a smaller squared error."""

    def error(values, s):
        most = min(2 ** (bits - 1) - 1, int(Fraction(127) * 2**s / 64))
        levels = [max(-most, min(most, (2 * Fraction(v, 1 << 14) * 2**s + 1) // 2)) for v in values]
        return sum((Fraction(q) / 2**s - Fraction(v, 1 << 14)) ** 2 for q, v in zip(levels, values, strict=True))

    for spec, where, s in zip(TINY.layout.tensors, TINY.layout.slices, step_exponents(TINY, model, bits), strict=True):
        if spec.dtype == "int16":
            values = model[where].tolist()
            assert error(values, s) <= min(error(values, other) for other in range(7)) * (1 + Fraction(1, 10**9))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_eight_bits_are_what_the_device_computes_with_already(name):
    network = NETWORKS[name]
    model = initial_model(network, 3)
    x = np.random.default_rng(1).integers(-128, 128, (40, network.features)).astype(np.int8)
    once = requantize(network, model, 8)
    assert all(
        np.array_equal(a, b) for a, b in zip(activations(network, once, x), activations(network, model, x), strict=True)
    )


@pytest.mark.parametrize("bits", BITS)
def test_quantizing_again_changes_nothing(bits):
    network = NETWORKS["cnn-8x8"]
    once = requantize(network, initial_model(network, 2), bits)
    assert np.array_equal(requantize(network, once, bits), once)


def test_a_float_model_is_quantized_from_its_floats():
    real = np.array([0.3, -0.3, 0.02, 0.7, -0.7, 0.1, 0.5, -0.25, 0.9, -0.9, 0.9, 0.4, 1e-3, -1e-3])
    model = requantize(TINY, real, 4)
    assert step_exponents(TINY, real, 4)[0] == 3  # 7 levels of 1/8 hold 0.7; of 1/16 they would not
    assert (model[:6] / 2**14).tolist() == [0.25, -0.25, 0, 0.75, -0.75, 0.125]
    assert model[6:8].tolist() == [2048, -1024]  # biases of the first layer: Q12
    assert from_real(TINY.layout, real)[6:8].tolist() == [2048, -1024]


def test_what_is_no_model_or_no_number_of_bits_is_refused():
    for bits in (1, 9, 0, -3):
        with pytest.raises(InvalidValueError, match=f"{bits} bits a weight: choose from 2 to 8"):
            requantize(TINY, np.zeros(14, np.int32), bits)
    with pytest.raises(InvalidValueError, match="coordinate 3 is not finite"):
        requantize(TINY, np.array([0, 0, 0, np.nan] + [0.0] * 10), 4)
    with pytest.raises(LayoutError, match=r"a model of shape \(3,\)"):
        requantize(TINY, np.zeros(3), 4)
    with pytest.raises(LayoutError, match="limit is"):
        requantize(TINY, np.full(14, 40_000), 4)


def test_a_scoped_network_keeps_its_frozen_part():
    network = NETWORKS["mlp-64-32-10"]
    start = initial_model(network, 4)
    head = network.scoped("last-layer", start)
    quantized = requantize(head, head.project(start), 2)
    assert quantized.shape == (head.layout.d,)
    kept = head.merge(quantized)[:2048]
    assert np.array_equal(derive_weights(kept), derive_weights(start[:2048]))


def test_packed_bytes_are_counted_by_hand():
    assert weight_bytes(TINY, 3) == -(-6 * 3 // 8) + -(-4 * 3 // 8) + 4 * 4


def test_digits_lose_little_at_four_bits_and_much_at_two(digits):
    """reference/tflite.md 6 has 96.0 at 4 bits and 20.9 at 2 with per-channel scales; here the order must be the same."""
    task = load_task("digits")
    network = task.network
    start = to_float(network.layout, initial_model(network, 1))
    real = train_float(network, start, task.train_x, task.train_y, np.random.default_rng(1), epochs=8)
    template = load_template(network.name)
    rows = bits_table(
        network,
        real,
        task.test_x,
        lambda outputs: float((outputs.argmax(axis=1) == task.test_y).mean()),
        template,
        lambda data, x: run(parse_model(data), x),
    )
    by_bits = {row.bits: row for row in rows}
    assert list(by_bits) == [8, 4, 3, 2]
    assert all(row.exported_score == row.integer_score for row in rows)
    assert by_bits[8].integer_score > 0.94
    assert by_bits[4].integer_score > by_bits[8].integer_score - 0.03
    assert by_bits[2].integer_score < by_bits[4].integer_score
    assert [row.weight_bytes for row in rows] == sorted((row.weight_bytes for row in rows), reverse=True)
    four = requantize(network, real, 4)
    data = patch(template, network, four)
    x = task.test_x
    assert np.array_equal(run(parse_model(data), shown(network, x)), forward(network, four, x))
