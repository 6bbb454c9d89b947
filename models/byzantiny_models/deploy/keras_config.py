"""A Keras model's configuration as the network that a device can train, or a refusal by the layer's name; Keras is not needed.

The configuration comes from a stranger's file. It is never handed to Keras, which would import and build whatever it names:
it is read here, field by field, and what Keras later builds to hold the weights (keras_import.py) is written anew from `Step`s.

Supported, one after the other: InputLayer, Dense, Conv2D, Conv1D, AveragePooling2D and 1D side by side, Flatten; ReLU, as an
activation or a layer behind a weighted one; BatchNormalization between a linear weighted layer and its ReLU, folded into the
weights (`w g, (b - mean) g + beta, g = gamma / sqrt(variance + epsilon)`); Dropout, which does nothing in inference; a
softmax at the end, which leaves the order of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from byzantiny_models.deploy.keras_chain import Chain, Held, Step
from byzantiny_models.deploy.model_file import MOST_ELEMENTS, ModelFileError
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.layers import (
    WEIGHTED,
    AveragePool1D,
    AveragePool2D,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    Padding,
    Weighted,
    check_layer,
)

SUPPORTED: Final = (
    "InputLayer", "Dense", "Conv2D", "Conv1D", "AveragePooling2D", "AveragePooling1D", "Flatten", "ReLU", "Activation",
    "BatchNormalization", "Dropout", "Softmax",
)  # fmt: skip
MOST_LAYERS: Final = 256
MOST_SIZE: Final = 1 << 16
_MODELS: Final = ("Sequential", "Functional", "Model")
_ACTIVATIONS: Final = ("linear", "relu", "softmax")


def read_chain(config: Any, where: str) -> Chain:
    """Return the chain that a Keras configuration (`model.get_config()` in its envelope) describes.

    Raises:
        ModelFileError: a layer, an option or a connection that is not supported, sizes that do not fit; nothing else,
            on any JSON.

    >>> layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
    ...           {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "softmax"}}]
    >>> read_chain({"class_name": "Sequential", "config": {"layers": layers}}, "m.keras").layers
    (Dense(inputs=4, outputs=2, activation='linear'),)
    """
    return _Reader(where).read(config)


class _Reader:
    """Goes through a configuration once, keeping the shape and what the layer before was."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.shape: tuple[int, ...] = ()
        self.layers: list[Layer] = []
        self.held: list[Held] = []
        self.steps: list[Step] = []
        self.open = False
        """Whether the last weighted layer may still get a normalization or a ReLU."""
        self.ended = False
        """Whether there was a softmax."""

    def read(self, config: Any) -> Chain:
        layers = _in_order(config, self)
        if not 1 <= len(layers) <= MOST_LAYERS:
            raise self.error(f"{len(layers)} layers; from 1 to {MOST_LAYERS} are supported")
        names: set[str] = set()
        for number, (kind, options) in enumerate(layers):
            name = options.get("name", f"{kind}_{number}")
            if not isinstance(name, str) or not name or len(name) > 120 or name in names or "/" in name:
                raise self.error(
                    f"layer {number} ({kind}) has the name {str(name)[:40]!r}; names differ, without a slash"
                )
            names.add(name)
            self.layer(kind, name, options)
        if not self.held:
            raise self.error("no layer with weights; there is nothing to train")
        elements = sum(int(np.prod(x.kernel_shape)) for x in self.layers if isinstance(x, WEIGHTED))
        if elements > MOST_ELEMENTS:
            raise self.error(f"{elements} weights; the limit is {MOST_ELEMENTS}, no microcontroller holds more")
        return Chain(self.where, self.input_shape, tuple(self.layers), tuple(self.held), tuple(self.steps))

    def layer(self, kind: str, name: str, options: Mapping[str, Any]) -> None:
        at = f"layer {name!r} ({kind})"
        if kind not in SUPPORTED:
            raise self.error(f"{at} is not supported; supported are {', '.join(SUPPORTED)}")
        if self.ended and kind != "Dropout":
            raise self.error(f"{at} comes after a softmax, which has to be the last")
        if kind == "InputLayer" or not self.shape:
            self.input(options, at)
        if kind in ("Dense", "Conv2D", "Conv1D"):
            self.weighted(kind, name, options, at)
        elif kind in ("AveragePooling2D", "AveragePooling1D"):
            self.pool(kind, name, options, at)
        elif kind == "Flatten":
            self.only(options, at, data_format=("channels_last", None))
            self.add(Flatten(self.shape), at) if len(self.shape) > 1 else None
            self.steps.append(Step("Flatten", name))
        elif kind in ("ReLU", "Activation", "Softmax"):
            self.activation(kind, name, options, at)
        elif kind == "BatchNormalization":
            self.norm(name, options, at)

    def input(self, options: Mapping[str, Any], at: str) -> None:
        if self.layers:
            raise self.error(f"{at}: a second input; only one is supported")
        shape = options.get("batch_shape", options.get("batch_input_shape"))
        sides = shape[1:] if isinstance(shape, list) else ()
        if not 1 <= len(sides) <= 3 or not all(_is_size(side) for side in sides):
            raise self.error(
                f"{at}: input shape {str(shape)[:60]}; one to three sides of 1 .. {MOST_SIZE}, after the batch's"
            )
        self.shape = self.input_shape = tuple(sides)

    def weighted(self, kind: str, name: str, options: Mapping[str, Any], at: str) -> None:
        activation = _plain_activation(options.get("activation"))
        if activation not in _ACTIVATIONS:
            raise self.error(
                f"{at}: activation {str(options.get('activation'))[:60]}; linear, relu, or softmax at the end"
            )
        fused = "relu" if activation == "relu" else "linear"
        use_bias = self.flag(options, "use_bias", at)
        built: Weighted
        arguments: dict[str, Any] = {"activation": fused, "use_bias": use_bias}
        if kind == "Dense":
            if len(self.shape) != 1:
                raise self.error(f"{at} on a shape of {self.shape}; put a Flatten before it")
            units = self.size(options, "units", at)
            built = Dense(self.shape[0], units, fused)  # type: ignore[arg-type]
            arguments["units"] = units
        else:
            built, own = self.convolution(kind, options, at, fused)
            arguments |= own
        self.add(built, at)
        self.held.append(Held(name, use_bias))
        self.steps.append(Step(kind, name, arguments))
        self.open = fused == "linear"
        self.ended = activation == "softmax"

    def convolution(
        self, kind: str, options: Mapping[str, Any], at: str, activation: Any
    ) -> tuple[Weighted, dict[str, Any]]:
        sides = 2 if kind == "Conv2D" else 1
        if len(self.shape) != sides + 1:
            raise self.error(f"{at} on a shape of {self.shape}; it takes {sides + 1} sides, the channels last")
        ones = [1, (1,) * sides, [1] * sides, None]
        self.only(options, at, data_format=("channels_last", None), dilation_rate=ones, groups=(1, None))
        filters, kernel = self.size(options, "filters", at), self.sizes(options, "kernel_size", sides, at)
        strides = self.sizes(options, "strides", sides, at, 1)
        padding = self.padding(options, at)
        arguments = {"filters": filters, "kernel_size": kernel, "strides": strides, "padding": padding}
        if kind == "Conv2D":
            image = (self.shape[0], self.shape[1], self.shape[2])
            return Conv2D(
                image, filters, (kernel[0], kernel[1]), (strides[0], strides[1]), padding, activation
            ), arguments
        return Conv1D((self.shape[0], self.shape[1]), filters, kernel[0], strides[0], padding, activation), arguments

    def pool(self, kind: str, name: str, options: Mapping[str, Any], at: str) -> None:
        sides = 2 if kind == "AveragePooling2D" else 1
        if len(self.shape) != sides + 1:
            raise self.error(f"{at} on a shape of {self.shape}; it takes {sides + 1} sides, the channels last")
        pool = self.sizes(options, "pool_size", sides, at)
        strides = pool if options.get("strides") is None else self.sizes(options, "strides", sides, at)
        if strides != pool:
            raise self.error(f"{at}: strides {strides} of windows of {pool}; only windows side by side are supported")
        self.only(options, at, data_format=("channels_last", None), padding=("valid", None))
        if sides == 2:
            self.add(AveragePool2D((self.shape[0], self.shape[1], self.shape[2]), (pool[0], pool[1])), at)
        else:
            self.add(AveragePool1D((self.shape[0], self.shape[1]), pool[0]), at)
        self.steps.append(Step(kind, name, {"pool_size": pool}))
        self.open = False

    def activation(self, kind: str, name: str, options: Mapping[str, Any], at: str) -> None:
        asked = _plain_activation(options.get("activation")) if kind == "Activation" else kind.lower()
        if asked == "linear":
            return
        if asked == "softmax":
            self.only(options, at, axis=(-1, None))
            self.ended = True
            return
        if asked != "relu":
            raise self.error(
                f"{at}: activation {str(options.get('activation'))[:60]}; linear, relu, or softmax at the end"
            )
        self.only(options, at, max_value=(None,), negative_slope=(0, None), threshold=(0, None))
        self.steps.append(Step("ReLU", name))
        last = self.layers[-1] if self.layers else None
        if isinstance(last, WEIGHTED) and (self.open or last.activation == "relu"):
            self.layers[-1] = replace(last, activation="relu")
            self.open = False
            return
        raise self.error(f"{at} does not follow a layer with weights; on a device a ReLU is part of one")

    def norm(self, name: str, options: Mapping[str, Any], at: str) -> None:
        if not self.open or self.held[-1].norm:
            raise self.error(f"{at} does not follow a linear layer with weights; only there can it be folded into them")
        self.only(options, at, axis=(-1, [-1], len(self.shape), [len(self.shape)], None), renorm=(False, None))
        epsilon = options.get("epsilon", 1e-3)
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < 1:
            raise self.error(f"{at}: epsilon {str(epsilon)[:40]}; it is between 0 and 1")
        center, scale = self.flag(options, "center", at), self.flag(options, "scale", at)
        self.held[-1] = replace(self.held[-1], norm=name, epsilon=float(epsilon), center=center, scale=scale)
        self.steps.append(
            Step("BatchNormalization", name, {"epsilon": float(epsilon), "center": center, "scale": scale})
        )

    def add(self, layer: Layer, at: str) -> None:
        try:
            check_layer(layer)
        except InvalidValueError as error:
            raise self.error(f"{at}: {error}") from None
        self.layers.append(layer)
        self.shape = layer.output_shape

    def only(self, options: Mapping[str, Any], at: str, **allowed: Sequence[Any]) -> None:
        for key, values in allowed.items():
            if options.get(key) not in values:
                raise self.error(f"{at}: {key} {str(options.get(key))[:60]} is not supported; only {values[0]} is")

    def flag(self, options: Mapping[str, Any], key: str, at: str) -> bool:
        value = options.get(key, True)
        if not isinstance(value, bool):
            raise self.error(f"{at}: {key} {str(value)[:40]}; it is true or false")
        return value

    def padding(self, options: Mapping[str, Any], at: str) -> Padding:
        value = options.get("padding", "valid")
        if value == "valid":
            return "valid"
        if value == "same":
            return "same"
        raise self.error(f"{at}: padding {str(value)[:40]}; valid or same")

    def size(self, options: Mapping[str, Any], key: str, at: str) -> int:
        value = options.get(key)
        if not _is_size(value):
            raise self.error(f"{at}: {key} {str(value)[:40]}; it is 1 .. {MOST_SIZE}")
        return int(value)  # type: ignore[arg-type]

    def sizes(self, options: Mapping[str, Any], key: str, count: int, at: str, default: int | None = None) -> list[int]:
        value = options.get(key, default)
        values = [value] * count if _is_size(value) else value
        if not isinstance(values, list) or len(values) != count or not all(_is_size(one) for one in values):
            raise self.error(f"{at}: {key} {str(value)[:40]}; {count} of 1 .. {MOST_SIZE}")
        return [int(one) for one in values]

    def error(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.where}: {what}")


def _in_order(config: Any, reader: _Reader) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers with their class names; those of a functional model must be one line from its input to its output."""
    kind, body = _envelope(config, reader, "the model")
    if kind not in _MODELS:
        raise reader.error(
            f"the model is a {kind[:60]}; it must be one of {', '.join(_MODELS)}, made of Keras's own layers"
        )
    layers = body.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise reader.error(f"its configuration has no list of at most {MOST_LAYERS} layers")
    found, before = [], ""
    for number, layer in enumerate(layers):
        name, options = _envelope(layer, reader, f"layer {number}")
        if kind != "Sequential":
            own = str(layer.get("name", options.get("name", "")))
            sources = _sources(layer.get("inbound_nodes"))
            if sources != ([before] if number else []):
                raise reader.error(
                    f"layer {own[:40]!r} ({name[:40]}) takes {[s[:40] for s in sources[:3]]}, before it is {before[:40]!r}; "
                    "only one chain of layers is supported"
                )
            before = own
        found.append((name, options))
    if kind != "Sequential" and _sources(body.get("output_layers")) != [before]:
        raise reader.error(f"its output is not that of its last layer, {before[:40]!r}; only one output is supported")
    return found


def _envelope(config: Any, reader: _Reader, what: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise reader.error(f"{what} has no class_name in its configuration; save it with Keras 2 or 3")
    body = config.get("config")
    if isinstance(body, list):  # Keras 1 and 2 wrote a Sequential's layers bare
        body = {"layers": body}
    if not isinstance(body, dict):
        raise reader.error(f"{what} ({config['class_name'][:60]}) has no configuration; save it with Keras 2 or 3")
    return config["class_name"], body


def _sources(nodes: Any) -> list[str]:
    """The names of the layers that a functional layer takes its inputs from, as Keras 3 and 2 write them."""
    found: list[str] = []

    def look(value: Any, depth: int) -> None:
        if depth > 8:
            found.append("?")
        elif isinstance(value, dict):
            history = value.get("keras_history")
            if isinstance(history, list) and history and isinstance(history[0], str):
                found.append(history[0])
            else:
                for one in value.values():
                    look(one, depth + 1)
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and _is_index(value[1]) and _is_index(value[2]):
                found.append(value[0])
            else:
                for one in value:
                    look(one, depth + 1)

    look(nodes, 0)
    return found


def _plain_activation(value: Any) -> str:
    """An activation's name; None is linear, a serialized function is its name.

    >>> _plain_activation(None), _plain_activation({"class_name": "function", "config": "relu"}), _plain_activation(["x"])
    ('linear', 'relu', '?')
    """
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if value is None:
        return "linear"
    return value if isinstance(value, str) else "?"


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SIZE


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
