"""What a network costs in a federation: memory and work of a device, the objects of a round. One function for all who show it."""

from __future__ import annotations

from contextlib import suppress

from byzantiny.wire.codec import max_frame_bytes
from byzantiny.wire.messages import DEFAULT_PAYLOAD, OFFER_FIXED_BYTES, TAG_BYTES, UPDATE_HEADER_BYTES
from byzantiny_models import costs
from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.deploy.ptq import weight_bytes
from byzantiny_models.deploy.template import load_template
from byzantiny_models.networks import SCOPES, Network, initial_model


def network_costs(network: Network, payload_bytes: int = DEFAULT_PAYLOAD) -> dict[str, int]:
    """Return what a network, whole or in part, costs a device and a round, by name; counted, nothing is measured.

    `training_arena_bytes`: the firmware's RAM for models, scratch and one frame, without stack and client.
    `activation_bytes`: int8 activations of an inference held at once. `weight_flash_bytes`: int8 kernels and int32 biases.
    `tflite_bytes`: the deployed file; left out where there is no template. `*_macs`: multiply-accumulates.
    `down_bytes`, `up_bytes`: the objects of a client's round, offer and model down, update up, before framing.

    >>> from byzantiny_models.networks import NETWORKS
    >>> found = network_costs(NETWORKS["mlp-64-32-10"])
    >>> found["inference_macs"], found["training_arena_bytes"], found["down_bytes"], found["up_bytes"]
    (2368, 10328, 5040, 2538)
    """
    layout = network.layout
    shifts = -(-len(layout.tensors) // 4) * 4
    found = {
        "parameters": layout.d,
        "model_bytes": layout.model_bytes,
        "inference_macs": costs.inference_macs(network),
        "training_macs": costs.training_macs(network),
        "training_arena_bytes": costs.arena_bytes(network, max_frame_bytes(payload_bytes)),
        "activation_bytes": costs.activation_bytes(network),
        "weight_flash_bytes": weight_bytes(network, 8),
        "base_flash_bytes": len(network.base),
        "down_bytes": OFFER_FIXED_BYTES + shifts + TAG_BYTES + layout.model_bytes,
        "up_bytes": UPDATE_HEADER_BYTES + layout.d,
    }
    with suppress(ModelFileError):  # a network of somebody's own has no template here
        found["tflite_bytes"] = len(load_template(network.name).data)
    return found


def scope_costs(network: Network) -> dict[str, dict[str, int]]:
    """Return `network_costs` by update scope.

    >>> from byzantiny_models.networks import NETWORKS
    >>> {scope: found["up_bytes"] for scope, found in scope_costs(NETWORKS["mlp-64-32-10"]).items()}
    {'all': 2538, 'last-layer': 458, 'biases': 170}
    """
    start = initial_model(network.whole, seed=1)
    return {scope: network_costs(network.whole.scoped(scope, start)) for scope in SCOPES}
