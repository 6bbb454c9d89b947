"""The layers a network is a table of: what they take, what they give, what they hold.

A sample is one flat row, height, width, channel (images) or time, channel (signals), as TFLite and Keras lay it out:
flattening costs nothing. Kernels are (outputs, ..., inputs): dense (out, in), convolutions OHWI. ReLU is the activation
of a weighted layer, as TFLite fuses it. A 1-D layer is a 2-D layer of height 1, here and in the C core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from byzantiny_models.errors import InvalidValueError

Activation = Literal["relu", "linear"]
Padding = Literal["valid", "same"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """What a convolution or a pooling slides over: an image of height x width x channels, all numbers counted in elements.

    Output (y, x) sees the inputs (y stride_height - pad_top + i, x stride_width - pad_left + j), i and j within the
    kernel; one outside the image counts as 0 (the zero point of every activation is 0).
    """

    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pad_top: int
    pad_left: int
    out_height: int
    out_width: int

    @property
    def taps(self) -> int:
        """Pixels that one output sees."""
        return self.kernel_height * self.kernel_width

    @property
    def positions(self) -> int:
        """Places the window is put to: a filter is applied, and gets a gradient, at each."""
        return self.out_height * self.out_width

    @property
    def covers(self) -> int:
        """Most windows one input pixel is in."""
        return -(-self.kernel_height // self.stride_height) * -(-self.kernel_width // self.stride_width)


def _slide(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    # (outputs, padding before) as TensorFlow has them: "same" pads the odd pixel behind.
    if padding == "valid":
        return ((size - kernel) // stride + 1 if size >= kernel else 0), 0
    out = -(-size // stride)
    return out, max((out - 1) * stride + kernel - size, 0) // 2


def _window(image: tuple[int, int, int], kernel: tuple[int, int], strides: tuple[int, int], padding: Padding) -> Window:
    height, width, channels = image
    out_height, pad_top = _slide(height, kernel[0], strides[0], padding)
    out_width, pad_left = _slide(width, kernel[1], strides[1], padding)
    return Window(
        height, width, channels, kernel[0], kernel[1], strides[0], strides[1], pad_top, pad_left, out_height, out_width
    )


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: `y = activation(W x + b)`, W of shape (outputs, inputs)."""

    inputs: int
    outputs: int
    activation: Activation

    @property
    def input_shape(self) -> Shape:
        """Shape of a sample that goes in."""
        return (self.inputs,)

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (self.outputs,)

    @property
    def kernel_shape(self) -> Shape:
        """Shape of W."""
        return (self.outputs, self.inputs)


@dataclass(frozen=True)
class Conv2D:
    """A convolution over (height, width, channels) with `filters` outputs a position; kernel OHWI, one bias a filter.

    >>> layer = Conv2D((28, 28, 1), 8, (3, 3), strides=(2, 2), padding="same")
    >>> layer.output_shape, layer.kernel_shape, layer.window.pad_top
    ((14, 14, 8), (8, 3, 3, 1), 0)
    """

    input_shape: tuple[int, int, int]
    filters: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "valid"
    activation: Activation = "relu"

    @property
    def window(self) -> Window:
        """Where the kernel goes."""
        return _window(self.input_shape, self.kernel, self.strides, self.padding)

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (self.window.out_height, self.window.out_width, self.filters)

    @property
    def kernel_shape(self) -> Shape:
        """Shape of the kernel, OHWI."""
        return (self.filters, *self.kernel, self.input_shape[2])


@dataclass(frozen=True)
class Conv1D:
    """A convolution over (time, channels); kernel (filters, time, channels).

    >>> layer = Conv1D((128, 3), 8, 5, stride=2)
    >>> layer.output_shape, layer.kernel_shape
    ((62, 8), (8, 5, 3))
    """

    input_shape: tuple[int, int]
    filters: int
    kernel: int
    stride: int = 1
    padding: Padding = "valid"
    activation: Activation = "relu"

    @property
    def window(self) -> Window:
        """Where the kernel goes, as over an image of height 1."""
        return _window((1, *self.input_shape), (1, self.kernel), (1, self.stride), self.padding)

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (self.window.out_width, self.filters)

    @property
    def kernel_shape(self) -> Shape:
        """Shape of the kernel."""
        return (self.filters, self.kernel, self.input_shape[1])


@dataclass(frozen=True)
class AveragePool2D:
    """The mean over windows that lie side by side (stride = pool, valid: a rest at the border is left out).

    >>> AveragePool2D((7, 7, 16), (2, 2)).output_shape
    (3, 3, 16)
    """

    input_shape: tuple[int, int, int]
    pool: tuple[int, int] = (2, 2)

    @property
    def window(self) -> Window:
        """Where the windows are."""
        return _window(self.input_shape, self.pool, self.pool, "valid")

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (self.window.out_height, self.window.out_width, self.input_shape[2])


@dataclass(frozen=True)
class AveragePool1D:
    """The mean over stretches of time that lie side by side.

    >>> AveragePool1D((29, 16), 4).output_shape
    (7, 16)
    """

    input_shape: tuple[int, int]
    pool: int = 2

    @property
    def window(self) -> Window:
        """Where the windows are, as over an image of height 1."""
        return _window((1, *self.input_shape), (1, self.pool), (1, self.pool), "valid")

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (self.window.out_width, self.input_shape[1])


@dataclass(frozen=True)
class Flatten:
    """The same numbers as one row: no work, since a sample is one flat row throughout.

    >>> Flatten((2, 2, 16)).output_shape
    (64,)
    """

    input_shape: Shape

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out."""
        return (math.prod(self.input_shape),)


Weighted = Dense | Conv2D | Conv1D
Pool = AveragePool2D | AveragePool1D
Layer = Dense | Conv2D | Conv1D | AveragePool2D | AveragePool1D | Flatten

WEIGHTED = (Dense, Conv2D, Conv1D)
POOLS = (AveragePool2D, AveragePool1D)

KINDS: dict[type, str] = {
    Dense: "dense", Conv2D: "conv2d", Conv1D: "conv1d", AveragePool2D: "average-pool2d",
    AveragePool1D: "average-pool1d", Flatten: "flatten",
}  # fmt: skip
"""What a layer is called; a weighted layer's tensors are named after it."""


def _sizes(layer: Layer) -> list[int]:
    values = [getattr(layer, field.name) for field in fields(layer)]
    nested = [value if isinstance(value, tuple) else (value,) for value in values]
    return [size for value in nested for size in value if isinstance(size, int)]


def check_layer(layer: Layer) -> None:
    """Refuse a layer that holds or gives nothing.

    Raises:
        InvalidValueError: a size below 1, a kernel beyond its image, an unknown activation or padding.

    >>> check_layer(Conv2D((2, 2, 1), 4, (3, 3)))
    Traceback (most recent call last):
    byzantiny_models.errors.InvalidValueError: conv2d: a window of (3, 3) does not fit into (2, 2); make it smaller
    """
    kind = KINDS[type(layer)]
    if min(_sizes(layer), default=0) < 1:
        raise InvalidValueError(f"{kind}: {layer} has a size below 1; make every size at least 1")
    if isinstance(layer, WEIGHTED) and layer.activation not in ("relu", "linear"):
        raise InvalidValueError(
            f"{kind}: activation {layer.activation!r} is neither 'relu' nor 'linear'; use one of them"
        )
    if isinstance(layer, (Conv2D, Conv1D)) and layer.padding not in ("valid", "same"):
        raise InvalidValueError(f"{kind}: padding {layer.padding!r} is neither 'valid' nor 'same'; use one of them")
    if not isinstance(layer, (Dense, Flatten)) and min(layer.output_shape) < 1:
        window = layer.window
        raise InvalidValueError(
            f"{kind}: a window of {window.kernel_height, window.kernel_width} does not fit into "
            f"{window.height, window.width}; make it smaller"
        )
