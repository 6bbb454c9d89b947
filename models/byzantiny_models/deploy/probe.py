"""A small model whose answers tell the arithmetics apart: two convolutions, a pooling and a dense layer.

Its scales are powers of two, so that products fall on ties, which is where the roundings differ most. `probe.tflite` is the
network below, exported as any other (template.py) and patched with the weights below; a test rebuilds it from there.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.layers import AveragePool2D, Conv2D, Dense, Flatten
from byzantiny_models.networks import Network

NETWORK: Final = Network(
    "probe",
    (
        Conv2D((6, 6, 1), 6, (3, 3)),
        Conv2D((4, 4, 6), 8, (3, 3)),
        AveragePool2D((2, 2, 8)),
        Flatten((1, 1, 8)),
        Dense(8, 8, "linear"),
    ),
)
SAMPLES: Final = 200


def probe_weights() -> NDArray[np.int32]:
    """Return the probe's model, int32 (d,): kernels within +-12,000, biases within +-20,000."""
    rng = np.random.default_rng(0)
    limits = [12_000 if spec.dtype == "int16" else 20_000 for spec in NETWORK.layout.tensors]
    parts = [
        rng.integers(-limit, limit + 1, spec.elements)
        for spec, limit in zip(NETWORK.layout.tensors, limits, strict=True)
    ]
    return np.concatenate(parts).astype(np.int32)


@cache
def probe_model() -> bytes:
    """Return the probe's `.tflite`."""
    return (resources.files("byzantiny_models.deploy") / "probe.tflite").read_bytes()


def probe_inputs() -> NDArray[np.int8]:
    """Return the questions, int8 (200, 6, 6, 1)."""
    return np.random.default_rng(1).integers(-128, 128, (SAMPLES, 6, 6, 1)).astype(np.int8)
