"""What a network costs whoever runs it: multiplications, working memory, flash. Counted from its table, exact, no measurement.

Instructions are measured, not computed (`byzantiny_firmware`); bytes on the wire are the host's (`byzantiny.experiment.costs`).
"""

from __future__ import annotations

from byzantiny_models.networks import Network
from byzantiny_models.plans import LayerPlan, layer_plans


def inference_macs(network: Network) -> int:
    """Return the multiply-accumulates of one inference: `rows * fan_in * positions`, summed; pooling only adds.

    A tap that falls on padding counts like any other: the device multiplies by its zero.

    >>> from byzantiny_models.networks import NETWORKS
    >>> inference_macs(NETWORKS["mlp-64-32-10"]), inference_macs(NETWORKS["cnn-8x8"])
    (2368, 21664)
    """
    return sum(_macs(plan) for plan in layer_plans(network))


def training_macs(network: Network) -> int:
    """Return the multiply-accumulates of one training step: forward, and per layer the error below and the kernel's gradient.

    A layer takes part with `rows * fan_in * positions` each: the error below where something under it is trained, the
    gradient where its kernel is.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> training_macs(network), training_macs(network.scoped("biases", initial_model(network, 1)))
    (5056, 2688)
    """
    plans = layer_plans(network)
    return sum(_macs(plan) * (1 + plan.backward + (plan.kernel is not None)) for plan in plans)


def scratch_bytes(network: Network, *, output: int = 1, error: int = 2, total: int = 4) -> int:
    """Return what `byz_train_scratch_bytes` computes: sums, weights and patch of a convolution, errors, outputs.

    Another trainer's outputs, errors and sums may have other sizes than those of INT8-SR, in bytes each.

    >>> from byzantiny_models.networks import NETWORKS
    >>> scratch_bytes(NETWORKS["mlp-64-32-10"])
    256
    """
    plans = layer_plans(network)
    sums = weights = patch = errors = 0
    for plan in plans:
        below = plan.inputs if plan.backward else 0
        if plan.kind == "dense":
            sums = max(sums, plan.outputs, below)
        elif plan.window is not None and plan.kind == "conv":
            sums = max(sums, plan.rows, plan.fan_in, plan.window.channels)
            weights, patch = max(weights, plan.rows * plan.fan_in), max(patch, plan.fan_in)
        trained = plan.backward or plan.kernel is not None or plan.bias is not None
        errors = max(errors, plan.outputs + below) if trained else errors
    parts = (total * sums, weights, patch, error * errors, output * sum(plan.outputs for plan in plans))
    return sum(-(-part // 4) * 4 for part in parts)


def arena_bytes(network: Network, frame_bytes: int, samples: int = 0) -> int:
    """Return what `byz_client_arena_bytes` computes: two models, the scratch, a frame, the order of the samples.

    >>> from byzantiny_models.networks import NETWORKS
    >>> arena_bytes(NETWORKS["mlp-64-32-10"], 260)
    10328
    """
    model = network.layout.model_bytes
    return sum(-(-part // 8) * 8 for part in (model, model, scratch_bytes(network), frame_bytes, 2 * samples))


def activation_bytes(network: Network) -> int:
    """Return the int8 activations that an inference holds at once: the largest layer's inputs and outputs.

    A lower bound of an interpreter's tensor arena, which keeps its own records there too.

    >>> from byzantiny_models.networks import NETWORKS
    >>> activation_bytes(NETWORKS["mlp-64-32-10"])
    96
    """
    return max(plan.inputs + plan.outputs for plan in layer_plans(network))


def _macs(plan: LayerPlan) -> int:
    if plan.kind == "pool":
        return 0
    return plan.rows * plan.fan_in * (1 if plan.window is None else plan.window.positions)
