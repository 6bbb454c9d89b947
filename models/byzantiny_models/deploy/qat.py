"""Quantization-aware training: Keras trains on weights that are rounded to a few bits in every forward pass; in its own process."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.deploy.programs import run_program
from byzantiny_models.deploy.ptq import as_real, from_real, requantize, step_exponents
from byzantiny_models.deploy.template import describe
from byzantiny_models.networks import Network

_PROGRAM = "byzantiny_models.deploy.keras_qat"


def train_quantized(
    network: Network,
    model: ArrayLike,
    x: NDArray[np.int8],
    y: NDArray[Any],
    bits: int,
    epochs: int,
    *,
    seed: int = 1,
    python: str = sys.executable,
) -> NDArray[np.int32]:
    """Return a model int32 (d,) trained on from `model` so that `bits` bits a weight cost less, and quantized to them.

    Adam, 32 samples a step, on x int8 (n, features); activations are rounded and clamped as the device's, frozen tensors stay.
    Its bytes depend on TensorFlow's version and the machine: it is an evaluation, on no path of a round.

    Raises:
        MissingDependencyError: `python` has no TensorFlow.
        InvalidValueError: bits outside 2 .. 8 (ModelFileError, its subclass: the training failed).
        LayoutError: not a model of the network.
    """
    step_exponents(network, model, bits)  # refuses what cannot be quantized before TensorFlow is started
    whole = network.whole.layout
    told = {**describe(network.whole), "bits": bits, "epochs": epochs, "seed": seed, "head": network.head}
    arrays: dict[str, NDArray[Any]] = {
        "description": np.frombuffer(json.dumps(told).encode(), np.uint8),
        "model": as_real(whole, network.merge(model)),
        "trainable": np.array(network.trainable),
        "x": x,
        "y": y,
    }
    given = io.BytesIO()
    np.savez(given, **arrays)  # type: ignore[arg-type]
    said = run_program(_PROGRAM, given.getvalue(), "quantization-aware training", python=python)
    trained = np.load(io.BytesIO(said), allow_pickle=False)
    return requantize(network, network.project(from_real(whole, trained)), bits)
