"""A chain of layers: how a device has them, how Keras builds the same, and where each layer's numbers are; Keras is not needed.

Normalizations are folded into the weights: `w g, (b - mean) g + beta` with `g = gamma / sqrt(variance + epsilon)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy.importing import Imported
from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layers import WEIGHTED, Dense, Layer
from byzantiny_models.networks import Head, Network

Arrays = Mapping[str, Sequence[NDArray[Any]]]
"""A Keras layer's name to its weights, in Keras's order."""


@dataclass(frozen=True)
class Step:
    """One Keras layer to build so that it can hold or pass on what the file's layer does: its class and plain arguments."""

    kind: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """Where a weighted layer's numbers are: the Keras layer, whether it has a bias, the normalization folded into it."""

    name: str
    use_bias: bool
    norm: str = ""
    epsilon: float = 0.0
    center: bool = True
    scale: bool = True


@dataclass(frozen=True)
class Chain:
    """A whole model: the layers as a device has them, where their weights are, and how Keras builds the same."""

    where: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    held: tuple[Held, ...]
    steps: tuple[Step, ...]

    def network(self, name: str, head: Head = "softmax") -> Network:
        """Return the network.

        Raises:
            ModelFileError: the last layer is no linear dense one, or nothing is left.
        """
        try:
            return Network(name, self.layers, head)
        except InvalidValueError as error:
            raise ModelFileError(f"{self.where}: {error}") from None


def fold(chain: Chain, network: Network, arrays: Arrays) -> Imported:
    """Return the network with its real weights, normalizations folded in.

    Raises:
        ModelFileError: weights that are missing, of another shape, or not finite.
    """
    weighted = [layer for layer in chain.layers if isinstance(layer, WEIGHTED)]
    kernels, biases = [], []
    for layer, held in zip(weighted, chain.held, strict=True):
        own = _arrays(chain, arrays, held.name, 1 + held.use_bias)
        kernel = own[0] if isinstance(layer, Dense) else own[0].reshape(-1, own[0].shape[-1])
        kernel = np.ascontiguousarray(kernel.T)
        bias = own[1] if held.use_bias else np.zeros(len(kernel))
        if kernel.size != int(np.prod(layer.kernel_shape)) or bias.shape != layer.kernel_shape[:1]:
            raise ModelFileError(
                f"{chain.where}, layer {held.name!r}: weights of {own[0].shape} and {bias.shape}, "
                f"its configuration asks for {layer.kernel_shape}; save the model again"
            )
        if held.norm:
            kernel, bias = _fold_norm(chain, held, arrays, kernel, bias)
        kernels.append(kernel.reshape(layer.kernel_shape))
        biases.append(bias)
    return Imported(network, tuple(kernels), tuple(biases))


def _fold_norm(
    chain: Chain, held: Held, arrays: Arrays, kernel: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rest = _arrays(chain, arrays, held.norm, 2 + held.center + held.scale)
    gamma = rest.pop(0) if held.scale else np.ones(len(kernel))
    beta = rest.pop(0) if held.center else np.zeros(len(kernel))
    mean, variance = rest
    if any(values.shape != (len(kernel),) for values in (gamma, beta, mean, variance)) or (variance < 0).any():
        raise ModelFileError(f"{chain.where}, layer {held.norm!r}: not {len(kernel)} means and variances from 0")
    factor = gamma / np.sqrt(variance + held.epsilon)
    return kernel * factor[:, np.newaxis], (bias - mean) * factor + beta


def _arrays(chain: Chain, arrays: Arrays, name: str, count: int) -> list[NDArray[np.float64]]:
    found = [np.asarray(values, dtype=np.float64) for values in arrays.get(name, ())]
    if len(found) != count or not all(values.ndim and np.isfinite(values).all() for values in found):
        raise ModelFileError(
            f"{chain.where}, layer {name!r}: {len(found)} arrays of weights, {count} finite ones are needed; train and save "
            "the model again"
        )
    return found
