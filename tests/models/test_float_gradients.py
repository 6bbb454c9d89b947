"""Gradients against differences of the loss, of weights and inputs, for every kind of layer and either head."""

from __future__ import annotations

import numpy as np
import pytest

from byzantiny_models.float_gradients import gradients, outputs, scaled_inputs
from byzantiny_models.float_training import forward_float, to_float
from byzantiny_models.networks import NETWORKS, initial_model

SOME = ["mlp-64-32-10", "cnn-8x8", "conv1d-imu", "autoencoder-32"]


@pytest.mark.parametrize("name", SOME)
def test_a_gradient_is_the_difference_of_the_loss(name):
    network, rng = NETWORKS[name], np.random.default_rng(0)
    model = to_float(network.layout, initial_model(network, 1)).astype(float)
    model += rng.normal(0, 0.02, model.shape)  # biases off 0, so that no activation sits on its kink
    x = rng.normal(0, 0.5, (3, network.features))
    y = rng.integers(0, network.outputs, 3)
    found = gradients(network, model, x, y)
    for _ in range(6):
        way, step = rng.normal(size=model.shape), 1e-6
        ahead = gradients(network, model + step * way, x, y).loss - gradients(network, model - step * way, x, y).loss
        assert ahead / (2 * step) == pytest.approx(found.model @ way, rel=2e-4, abs=1e-7)
    if network.head == "softmax":
        way = rng.normal(size=x.shape)
        ahead = gradients(network, model, x + 1e-6 * way, y).loss - gradients(network, model, x - 1e-6 * way, y).loss
        assert ahead / 2e-6 == pytest.approx((found.inputs * way).sum(), rel=2e-4, abs=1e-7)


@pytest.mark.parametrize("name", SOME)
def test_outputs_are_those_of_the_float_control(name):
    network = NETWORKS[name]
    x = np.random.default_rng(1).integers(-128, 128, (5, network.features)).astype(np.int8)
    model = to_float(network.layout, initial_model(network, 1))
    assert np.allclose(
        outputs(network, model, scaled_inputs(network, x))[-1], forward_float(network, model, x), atol=1e-4
    )


def test_a_frozen_layer_has_no_gradient_and_passes_the_error_on():
    network = NETWORKS["mlp-64-32-10"]
    start = (initial_model(network, 1) + 128) // 256 * 256  # a base holds int8 weights
    whole, scoped = to_float(network.layout, start), network.scoped("last-layer", start)
    x, y = np.random.default_rng(2).normal(0, 0.5, (4, 64)), np.array([1, 2, 3, 4])
    of_all, of_last = gradients(network, whole, x, y), gradients(scoped, whole[-scoped.layout.d :], x, y)
    assert np.allclose(of_last.model, of_all.model[-scoped.layout.d :], atol=1e-12)
    assert np.allclose(of_last.inputs, of_all.inputs, atol=1e-12)
