"""INT8-SR with int16 masters: the product, which every body runs (training.py; DESIGN 4)."""

from __future__ import annotations

from byzantiny_models.costs import scratch_bytes
from byzantiny_models.inference import forward
from byzantiny_models.networks import Network
from byzantiny_models.trainers.base import (
    EVERY_HEAD,
    EVERY_LAYER,
    EVERY_MACHINE,
    EVERY_SCOPE,
    Trainer,
    TrainerInfo,
)
from byzantiny_models.training import train_many


def training_bytes(network: Network) -> int:
    """Return the two models of a device and its work space: what the C core's arena holds.

    >>> from byzantiny_models.networks import NETWORKS
    >>> training_bytes(NETWORKS["mlp-64-32-10"])
    10064
    """
    return 2 * network.layout.model_bytes + scratch_bytes(network)


INT8_SR = Trainer(
    TrainerInfo(
        name="int8-sr",
        formula="w16 -= SR(sum e a, frac_e + frac_a + k - 14); forward and backward with w8 = (w16 + 128) >> 8; batch 1",
        layers=EVERY_LAYER,
        heads=EVERY_HEAD,
        scopes=EVERY_SCOPE,
        lr_shifts=(4, 14),
        memory="2 x (2 weights + 4 biases) + errors (int16) and outputs (int8) of one sample",
        core=True,
        same_bytes=EVERY_MACHINE,
        limits="256 classes; sums of a layer within int32 (docs/training.md)",
        paper="this project; kin: M. Wang et al., NITI, TPDS 2022 (arXiv 2009.13108); S. Gupta et al., ICML 2015",
    ),
    train_many,
    forward,
    training_bytes,
)
