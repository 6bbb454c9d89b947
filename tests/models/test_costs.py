"""Costs counted from a network's table, against counting its layers' loops and packing the very objects."""

from __future__ import annotations

import pytest

from byzantiny.experiment.costs import network_costs, scope_costs
from byzantiny.wire.auth import derive_keys, manifest_for, seal_offer, seal_update
from byzantiny.wire.codec import encode_offer
from byzantiny.wire.messages import Offer
from byzantiny_models.costs import inference_macs, training_macs
from byzantiny_models.deploy.template import load_template
from byzantiny_models.layers import WEIGHTED, Dense
from byzantiny_models.networks import NETWORKS, Network, initial_model


def counted(network: Network) -> int:
    """Every multiplication of a forward pass, output by output."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, WEIGHTED):
            taps = 1
            for size in layer.kernel_shape[1:]:
                taps *= size
            outputs = 1
            for size in layer.output_shape:
                outputs *= size
            total += outputs * taps
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_an_inference_multiplies_each_output_by_its_taps(name):
    assert inference_macs(NETWORKS[name]) == counted(NETWORKS[name])


def test_a_training_step_adds_a_gradient_a_kernel_and_an_error_below():
    network = NETWORKS["mlp-64-32-10"]
    start = initial_model(network, 1)
    assert training_macs(network) == 2 * 64 * 32 + 3 * 32 * 10
    assert training_macs(network.scoped("last-layer", start)) == 64 * 32 + 2 * 32 * 10
    assert training_macs(network.scoped("biases", start)) == 64 * 32 + 2 * 32 * 10


@pytest.mark.parametrize("name", ["mlp-64-32-10", "conv1d-imu"])
@pytest.mark.parametrize("scope", ["all", "last-layer", "biases"])
def test_bytes_of_a_round_are_those_of_the_objects(name, scope):
    network = NETWORKS[name].scoped(scope, initial_model(NETWORKS[name], 1))
    layout, keys = network.layout, derive_keys(bytes(32))
    model = layout.pack(initial_model(network, 1))
    offer = Offer(
        1, 1, bytes(16), bytes(32), layout.sha256, len(model), 0, 60_000, 1, 5, layout.default_shifts(6),
    )  # fmt: skip
    found = scope_costs(NETWORKS[name])[scope]
    assert found["down_bytes"] == len(seal_offer(encode_offer(offer), keys.down)) + len(model)
    codes = bytes(layout.d)
    manifest = manifest_for("dev-01", 1, bytes(32), 1, 60, codes)
    assert found["up_bytes"] == len(seal_update(manifest, keys.up, codes))
    assert found == network_costs(network)


def test_a_network_of_one_s_own_has_no_file():
    own = Network("own", (Dense(4, 2, "linear"),))
    assert "tflite_bytes" not in network_costs(own)
    assert network_costs(NETWORKS["cnn-8x8"])["tflite_bytes"] == len(load_template("cnn-8x8").data)
