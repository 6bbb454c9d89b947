"""Networks as tables of layers: shapes that chain, the layout that follows, what is trained and what is frozen.

The zoo is `NETWORKS`. A network of dense layers with a softmax head, all trained, is named by the hash of its tensors
alone; every other one by a hash that also binds its layers, its head and its base
(docs/decisions, "The base and the layout hash").
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.bases import pack_base, unpack_base
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layers import (
    KINDS,
    WEIGHTED,
    AveragePool1D,
    AveragePool2D,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    check_layer,
)
from byzantiny_models.layouts import (
    HIDDEN_FRAC,
    INPUT_FRAC,
    LIMITS,
    LOGIT_FRAC,
    MASTER_FRAC,
    MAX_SHIFT,
    WEIGHT_FRAC,
    Layout,
    TensorSpec,
    canonical_json,
)
from byzantiny_models.rng import Stream, derive_key, draw

__all__ = [
    "HIDDEN_FRAC", "INPUT_FRAC", "LIMITS", "LOGIT_FRAC", "MASTER_FRAC", "MAX_SHIFT", "NETWORKS", "WEIGHT_FRAC",
    "AveragePool1D", "AveragePool2D", "Conv1D", "Conv2D", "Dense", "Flatten", "Layout", "Network", "TensorSpec",
    "initial_model",
]  # fmt: skip

Head = Literal["softmax", "squared-error"]
SCOPES = ("all", "last-layer", "biases")
"""What `Network.scoped` knows by name; a collection of tensors' names is the fourth way."""
ANOMALY_LABELS = 2
"""Labels of a data set for a squared-error head: 0 normal, 1 not. Training does not look at them."""


@dataclass(frozen=True)
class Network:
    """A table of layers whose last one is dense and linear, a head, and a base if part of it is frozen.

    Raises:
        InvalidValueError: no layers, shapes that do not chain, a last layer that is not a linear `Dense`.
        LayoutError: a base of another network.

    >>> network = Network("tiny", (Dense(4, 3, "relu"), Dense(3, 2, "linear")))
    >>> [(t.name, t.shape, t.dtype, t.frac) for t in network.layout.tensors[:2]]
    [('dense0/kernel', (3, 4), 'int16', 14), ('dense0/bias', (3,), 'int32', 12)]
    """

    name: str
    layers: tuple[Layer, ...]
    head: Head = "softmax"
    base: bytes = b""

    def __post_init__(self) -> None:
        if not self.layers:
            raise InvalidValueError(f"network {self.name} has 0 layers; give it at least 1")
        for i, layer in enumerate(self.layers):
            try:
                check_layer(layer)
            except InvalidValueError as error:
                raise InvalidValueError(f"network {self.name}, layer {i}: {error}") from None
            if i and layer.input_shape != self.layers[i - 1].output_shape:
                raise InvalidValueError(
                    f"network {self.name}: layer {i} ({KINDS[type(layer)]}) takes {layer.input_shape}, but layer {i - 1} "
                    f"({KINDS[type(self.layers[i - 1])]}) gives {self.layers[i - 1].output_shape}; make the shapes chain"
                )
        last = self.layers[-1]
        if not isinstance(last, Dense) or last.activation != "linear":
            raise InvalidValueError(f"network {self.name} ends with {last}; the last layer is a linear Dense")
        if self.head not in ("softmax", "squared-error"):
            raise InvalidValueError(f"network {self.name}: head {self.head!r} is neither 'softmax' nor 'squared-error'")
        if self.head == "squared-error" and last.outputs != self.features:
            raise InvalidValueError(
                f"network {self.name}: {last.outputs} outputs for {self.features} inputs; with a squared error the "
                "outputs are to be the inputs, so give it as many"
            )
        if self.base:
            _ = self._parts

    @property
    def features(self) -> int:
        """Numbers of a sample."""
        return math.prod(self.layers[0].input_shape)

    @property
    def outputs(self) -> int:
        """Outputs of the last layer."""
        return self.layers[-1].output_shape[0]

    @property
    def classes(self) -> int:
        """Labels a data set may have: the outputs, or `ANOMALY_LABELS` where they are no classes."""
        return self.outputs if self.head == "softmax" else ANOMALY_LABELS

    @cached_property
    def whole(self) -> Network:
        """The same network with everything trained."""
        return replace(self, base=b"") if self.base else self

    @cached_property
    def layout(self) -> Layout:
        """What is trained: per weighted layer a kernel int16 Q14 and an int32 bias in the accumulator's format."""
        if self.base:
            trainable, _ = self._parts
            tensors = [spec for spec, kept in zip(self.whole.layout.tensors, trainable, strict=True) if kept]
            seal = self.whole.layout.sha256 + hashlib.sha256(self.base).digest()
            return Layout(tuple(replace(spec, offset=0, byte_offset=0) for spec in tensors), seal)
        layout = Layout(_tensors(self.layers))
        if self._is_plain:
            return layout
        described = [{"kind": KINDS[type(layer)], **asdict(layer)} for layer in self.layers]
        architecture = canonical_json({"head": self.head, "layers": described})
        return Layout(layout.tensors, layout.sha256 + hashlib.sha256(architecture).digest())

    @property
    def _is_plain(self) -> bool:
        # What there was before anything else: its hash must not move.
        hidden = self.layers[:-1]
        plain = all(isinstance(layer, Dense) and layer.activation == "relu" for layer in hidden)
        return plain and self.head == "softmax"

    @cached_property
    def _parts(self) -> tuple[tuple[bool, ...], NDArray[np.int32]]:
        return unpack_base(self.whole.layout, self.base)

    def scoped(self, scope: str | Collection[str], start: ArrayLike | None = None) -> Network:
        """Return the network that trains only `scope` and freezes the rest, with the values of `start`, into its base.

        "all"; "last-layer" (its kernel and bias); "biases" (of every layer); or the names of tensors. `start` is a
        model of the whole network, int32 (d,); "all" needs none.

        Raises:
            InvalidValueError: an unknown scope, no start, tensors that do not exist or none (LayoutError, its subclass).

        >>> network = NETWORKS["mlp-64-32-10"]
        >>> [t.name for t in network.scoped("last-layer", initial_model(network, 1)).layout.tensors]
        ['dense1/kernel', 'dense1/bias']
        """
        specs = self.whole.layout.tensors
        if isinstance(scope, str):
            if scope not in SCOPES:
                raise InvalidValueError(f"scope {scope!r} is not one of {', '.join(SCOPES)}; or give tensors' names")
            chosen = {"all": specs, "last-layer": specs[-2:], "biases": specs[1::2]}[scope]
            scope = [spec.name for spec in chosen]
        if set(scope) == {spec.name for spec in specs}:
            return self.whole
        if start is None:
            raise InvalidValueError(
                f"scope {sorted(scope)} freezes the rest: give a start model to take its values from"
            )
        return self.with_base(pack_base(self.whole.layout, scope, start))

    def with_base(self, base: bytes) -> Network:
        """Return the network with this base; the empty one trains everything.

        Raises:
            LayoutError: a base of another network, or none.

        >>> NETWORKS["mlp-64-32-10"].with_base(b"").layout.d
        2410
        """
        return _with_base(self, base)

    @property
    def trainable(self) -> tuple[bool, ...]:
        """Which tensors of the whole layout are trained."""
        return self._parts[0] if self.base else (True,) * len(self.whole.layout.tensors)

    def frozen_tensor(self, i: int) -> NDArray[np.int32]:
        """Return the frozen values of tensor i of the whole layout, flat int32: int8 weights or biases; 0 where trained."""
        where = self.whole.layout.slices[i]
        return self._parts[1][where] if self.base else np.zeros(where.stop - where.start, dtype=np.int32)

    def project(self, whole: ArrayLike) -> NDArray[np.int32]:
        """Return what of a whole model is trained, int32 (layout.d,).

        Raises:
            LayoutError: not a model of the whole network.

        >>> network = NETWORKS["mlp-64-32-10"]
        >>> network.scoped("biases", initial_model(network, 1)).project(initial_model(network, 1)).shape
        (42,)
        """
        model = self.whole.layout.check(whole)
        kept: NDArray[np.int32] = model[self._kept]
        return kept

    def merge(self, flat: ArrayLike) -> NDArray[np.int32]:
        """Return the whole model that the base and a model of the trained part make; a frozen weight w is 256 w.

        Raises:
            LayoutError: not a model of this network.

        >>> network = NETWORKS["mlp-64-32-10"]
        >>> head = network.scoped("last-layer", initial_model(network, 1))
        >>> head.merge(np.zeros(330, dtype=np.int32)).shape
        (2410,)
        """
        layout = self.whole.layout
        model = np.concatenate([self.frozen_tensor(i) for i in range(len(layout.tensors))])
        for spec, where in zip(layout.tensors, layout.slices, strict=True):
            if spec.dtype == "int16":
                model[where] <<= MASTER_FRAC - WEIGHT_FRAC
        model[self._kept] = self.layout.check(flat)
        return model

    @property
    def _kept(self) -> NDArray[np.bool_]:
        return np.repeat(self.trainable, [spec.elements for spec in self.whole.layout.tensors])


@functools.lru_cache(maxsize=64)
def _with_base(network: Network, base: bytes) -> Network:
    # Shared, so that a fleet whose devices hold the same base has one layout and one plan.
    return replace(network, base=base)


def _tensors(layers: tuple[Layer, ...]) -> tuple[TensorSpec, ...]:
    tensors: list[TensorSpec] = []
    numbers: Counter[str] = Counter()
    frac = INPUT_FRAC
    for layer in layers:
        if isinstance(layer, WEIGHTED):
            kind = KINDS[type(layer)]
            name = f"{kind}{numbers[kind]}"
            numbers[kind] += 1
            tensors.append(TensorSpec(f"{name}/kernel", layer.kernel_shape, "int16", MASTER_FRAC))
            tensors.append(TensorSpec(f"{name}/bias", layer.kernel_shape[:1], "int32", frac + WEIGHT_FRAC))
            frac = HIDDEN_FRAC
    return tuple(tensors)


def initial_model(network: Network, seed: int) -> NDArray[np.int32]:
    """Return the model an experiment starts from, int32 (d,): weights uniform over the integers -B .. B, biases zero.

    `B = min(isqrt(6 * 2^28 // fan_in), 32512)`, `w_i = (((draw(i, k0, k1) >> 16) * (2B + 1)) >> 16) - B`,
    i the offset in the whole network's layout, whatever part of it is trained.

    Source: He et al., ICCV 2015 (arXiv 1502.01852), uniform variant, in Q14; the stream is `Stream.INITIAL_MODEL`.

    >>> model = initial_model(NETWORKS["mlp-64-32-10"], seed=1)
    >>> model.shape, int(abs(model).max()) <= 7094, int(model[2048:2080].sum())
    ((2410,), True, 0)
    """
    layout = network.whole.layout
    bits = draw(np.arange(layout.d), *derive_key(seed, "", 0, Stream.INITIAL_MODEL)) >> 16
    model = np.zeros(layout.d, dtype=np.int32)
    for spec, where in zip(layout.tensors, layout.slices, strict=True):
        if spec.dtype == "int16":
            bound = min(math.isqrt((6 << 28) // math.prod(spec.shape[1:])), spec.limit)
            # The product stays below 2^16 * 65,025 < 2^32.
            model[where] = ((bits[where] * np.uint32(2 * bound + 1)) >> 16).astype(np.int32) - bound
    return network.project(model)


def _cnn_28x28(name: str, classes: int) -> Network:
    # Strides instead of pooling below: 28 x 28 positions with 8 filters would be 12.5 KB of errors alone.
    return Network(
        name,
        (
            Conv2D((28, 28, 1), 8, (3, 3), (2, 2), "same"),
            Conv2D((14, 14, 8), 16, (3, 3), (2, 2), "same"),
            AveragePool2D((7, 7, 16), (2, 2)),
            Flatten((3, 3, 16)),
            Dense(144, classes, "linear"),
        ),
    )


_ZOO = (
    Network("mlp-64-32-10", (Dense(64, 32, "relu"), Dense(32, 10, "linear"))),
    Network(
        "cnn-8x8",
        (
            Conv2D((8, 8, 1), 8, (3, 3)),
            Conv2D((6, 6, 8), 16, (3, 3)),
            AveragePool2D((4, 4, 16), (2, 2)),
            Flatten((2, 2, 16)),
            Dense(64, 10, "linear"),
        ),
    ),
    Network(
        "conv1d-imu",
        (
            Conv1D((128, 3), 8, 5, 2),
            Conv1D((62, 8), 16, 5, 2),
            AveragePool1D((29, 16), 7),
            Flatten((4, 16)),
            Dense(64, 5, "linear"),
        ),
    ),
    # The middle is linear: with ReLU there training often stalls (docs/training.md).
    Network(
        "autoencoder-32",
        (Dense(32, 16, "relu"), Dense(16, 4, "linear"), Dense(4, 16, "relu"), Dense(16, 32, "linear")),
        head="squared-error",
    ),
    Network("mlp-561-16-6", (Dense(561, 16, "relu"), Dense(16, 6, "linear"))),
    _cnn_28x28("cnn-28x28", 10),
    _cnn_28x28("cnn-28x28-62", 62),
)

NETWORKS = {network.name: network for network in _ZOO}
"""The networks by name: digits, images of 8 x 8 and 28 x 28 (10 classes as MNIST, 62 as FEMNIST), windows of an
accelerometer, band energies of a machine, the features of UCI HAR."""
