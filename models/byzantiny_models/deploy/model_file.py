"""A `.tflite` file as data: its tensors and operators, and where in the file each number lies.

The schema is read by the `tflite` package (flatbuffers generated from TFLite's own schema). The file is hostile: whatever it
holds, the result is a `ModelFile` of supported operators or a `ModelFileError` that names the operator, field and limit.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError, MissingDependencyError

MOST_BYTES = 64 << 20
MOST_TENSORS = 4096
MOST_ELEMENTS = 1 << 24
MOST_RANK = 4
OPERATORS = (
    "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE",
)  # fmt: skip
"""What is read and executed here; RELU is an activation of these."""
ACTIVATIONS = {0: "linear", 1: "relu"}
TYPES: dict[str, np.dtype[Any]] = {"INT8": np.dtype("i1"), "INT32": np.dtype("<i4")}


class ModelFileError(InvalidValueError):
    """Bytes that are no `.tflite`, or one with something that is not supported."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: `real = (q - zero_points) * scales`, per channel of `axis` where there are several.

    `offset` and `buffer_bytes` say where its constant data lie in the file; 0 bytes: it is computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    offset: int
    buffer_bytes: int
    scales_offset: int
    zero_points_offset: int


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: tensor indices (-1: none) and its options, named as in the schema."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "linear"
    padding: str = "VALID"
    strides: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A whole file of one subgraph with one int8 input and one int8 output."""

    data: bytes
    tensors: tuple[TensorInfo, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()

    def constant(self, index: int) -> NDArray[Any]:
        """Return a constant tensor's values, read-only.

        Raises:
            ModelFileError: the tensor is not constant.
        """
        tensor = self.tensors[index]
        if tensor.buffer_bytes == 0:
            raise ModelFileError(f"tensor {index} ({tensor.name!r}) has no buffer; it must be constant")
        values = np.frombuffer(self.data, tensor.dtype, math.prod(tensor.shape), tensor.offset)
        return values.reshape(tensor.shape)


def parse_model(data: bytes, where: str = "the model") -> ModelFile:
    """Return a `.tflite` file's contents.

    Raises:
        ModelFileError: no `.tflite`, several subgraphs, a dynamic batch, a type, an operator or an option beyond those
            supported, sizes that disagree; nothing else, on any bytes.
        MissingDependencyError: the package `tflite` is missing.
    """
    try:
        import tflite  # noqa: F401 - reads the schema
    except ImportError as error:
        raise MissingDependencyError(
            "reading a .tflite file needs the package tflite; run: pip install 'byzantiny[tflite]'"
        ) from error
    if len(data) > MOST_BYTES:
        raise ModelFileError(f"{where}: {len(data)} bytes; the limit is {MOST_BYTES}, no microcontroller holds more")
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise ModelFileError(f"{where}, offset 4: {data[4:8]!r} is not the identifier b'TFL3'; this is no .tflite file")
    try:
        return _Parser(data, where).model()
    except ModelFileError:
        raise
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, MemoryError) as error:
        raise ModelFileError(f"{where} is damaged: {error}; export it again") from error


class _Parser:
    def __init__(self, data: bytes, where: str) -> None:
        from tflite.Model import Model

        self.data, self.where = data, where
        self.base = np.frombuffer(data, np.uint8)
        self.root = Model.GetRootAsModel(data, 0)

    def model(self) -> ModelFile:
        if self.root.SubgraphsLength() != 1:
            raise self.error(f"{self.root.SubgraphsLength()} subgraphs; only models of 1 are supported")
        graph = self.root.Subgraphs(0)
        if not 1 <= graph.TensorsLength() <= MOST_TENSORS or graph.OperatorsLength() > MOST_TENSORS:
            raise self.error(f"{graph.TensorsLength()} tensors, {graph.OperatorsLength()} operators; at most 4096")
        if graph.InputsLength() != 1 or graph.OutputsLength() != 1:
            raise self.error(f"{graph.InputsLength()} inputs, {graph.OutputsLength()} outputs; there must be 1 of each")
        operators = tuple(self.operator(graph.Operators(i), i) for i in range(graph.OperatorsLength()))
        tensors = tuple(self.tensor(graph.Tensors(i), i) for i in range(graph.TensorsLength()))
        ends = (int(graph.Inputs(0)), int(graph.Outputs(0)))
        for i, operator in enumerate(operators):
            for index in (*operator.inputs, *operator.outputs):
                if not -1 <= index < len(tensors):
                    raise self.error(f"operator {i} ({operator.name}) names tensor {index} of {len(tensors)}")
            if len(operator.outputs) != 1 or not operator.inputs or min(operator.inputs[0], operator.outputs[0]) < 0:
                raise self.error(f"operator {i} ({operator.name}) has {operator.inputs} -> {operator.outputs}")
        for end, index in zip(("input", "output"), ends, strict=True):
            if not 0 <= index < len(tensors) or tensors[index].dtype != np.int8 or tensors[index].shape[:1] != (1,):
                found = f"{tensors[index].dtype} {tensors[index].shape}" if 0 <= index < len(tensors) else index
                raise self.error(f"the {end} is {found}; it must be int8 of batch 1, convert with a fixed batch")
        return ModelFile(self.data, tensors, operators, *ends)

    def operator(self, op: Any, number: int) -> Operator:
        name = self.operator_name(op.OpcodeIndex())
        if name not in OPERATORS:
            raise self.error(f"operator {number} is {name}; supported are {', '.join(OPERATORS)}")
        inputs = tuple(int(op.Inputs(i)) for i in range(op.InputsLength()))
        outputs = tuple(int(op.Outputs(i)) for i in range(op.OutputsLength()))
        options = self.options(op, name)
        if options is None:
            return Operator(name, inputs, outputs)
        activation = ACTIVATIONS.get(options.FusedActivationFunction())
        if activation is None:
            raise self.error(
                f"operator {number} ({name}) has activation {options.FusedActivationFunction()}; RELU or none"
            )
        if name == "FULLY_CONNECTED":
            if options.WeightsFormat() != 0:
                raise self.error(f"operator {number} ({name}) has shuffled weights; convert for the reference kernels")
            return Operator(name, inputs, outputs, activation)
        if options.Padding() not in (0, 1):
            raise self.error(f"operator {number} ({name}) has padding {options.Padding()}; 0 (SAME) or 1 (VALID)")
        window = (1, 1)
        if name.endswith("POOL_2D"):
            window = (options.FilterHeight(), options.FilterWidth())
        elif (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            raise self.error(f"operator {number} ({name}) is dilated; only dilation 1 is supported")
        strides = (options.StrideH(), options.StrideW())
        if not all(1 <= value <= 4096 for value in (*strides, *window)):
            raise self.error(f"operator {number} ({name}) has strides {strides}, window {window}; each is 1 .. 4096")
        return Operator(name, inputs, outputs, activation, ("SAME", "VALID")[options.Padding()], strides, window)

    def options(self, op: Any, name: str) -> Any:
        from tflite.Conv2DOptions import Conv2DOptions
        from tflite.DepthwiseConv2DOptions import DepthwiseConv2DOptions
        from tflite.FullyConnectedOptions import FullyConnectedOptions
        from tflite.Pool2DOptions import Pool2DOptions

        kinds = {
            "FULLY_CONNECTED": FullyConnectedOptions, "CONV_2D": Conv2DOptions,
            "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions, "AVERAGE_POOL_2D": Pool2DOptions, "MAX_POOL_2D": Pool2DOptions,
        }  # fmt: skip
        if name not in kinds:
            return None
        table = op.BuiltinOptions()
        if table is None:
            raise self.error(f"operator {name} has no options; export it again")
        options = kinds[name]()
        options.Init(table.Bytes, table.Pos)
        return options

    def operator_name(self, index: int) -> str:
        from tflite.BuiltinOperator import BuiltinOperator

        if not 0 <= index < self.root.OperatorCodesLength():
            raise self.error(f"operator code {index} of {self.root.OperatorCodesLength()}")
        code = self.root.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        names = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
        custom = code.CustomCode()
        return names.get(builtin, f"operator {builtin}") if not custom else f"custom {custom.decode(errors='replace')}"

    def tensor(self, tensor: Any, number: int) -> TensorInfo:
        from tflite.TensorType import TensorType

        name = (tensor.Name() or b"").decode(errors="replace")[:120]
        kind = next((k for k, v in vars(TensorType).items() if v == tensor.Type()), str(tensor.Type()))
        if kind not in TYPES:
            raise self.error(f"tensor {number} ({name!r}) is {kind}; supported are {', '.join(TYPES)}: quantize fully")
        shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
        signature = tuple(int(tensor.ShapeSignature(i)) for i in range(tensor.ShapeSignatureLength()))
        if len(shape) > MOST_RANK or any(side < 1 for side in (*shape, *signature)) or math.prod(shape) > MOST_ELEMENTS:
            raise self.error(
                f"tensor {number} ({name!r}) has shape {shape}, signature {signature}; sides from 1, at most {MOST_RANK} of "
                f"them and {MOST_ELEMENTS} elements: convert with a fixed batch of 1"
            )
        dtype = TYPES[kind]
        offset, stored = self.buffer(tensor.Buffer(), number)
        needed = math.prod(shape) * dtype.itemsize
        if stored not in (0, needed):
            raise self.error(
                f"tensor {number} ({name!r}): a buffer of {stored} bytes for {shape} {dtype}; need {needed}"
            )
        scales, zero_points, axis, places = self.quantization(
            tensor.Quantization(), f"tensor {number} ({name!r})", shape
        )
        return TensorInfo(name, shape, dtype, scales, zero_points, axis, offset, stored, *places)

    def buffer(self, index: int, number: int) -> tuple[int, int]:
        if not 0 <= index < self.root.BuffersLength():
            raise self.error(f"tensor {number} names buffer {index} of {self.root.BuffersLength()}")
        buffer = self.root.Buffers(index)
        if buffer is None or buffer.DataLength() == 0:
            return 0, 0
        return self.place(buffer.DataAsNumpy(), f"the buffer of tensor {number}")

    def quantization(
        self, q: Any, name: str, shape: Sequence[int]
    ) -> tuple[tuple[float, ...], tuple[int, ...], int, tuple[int, int]]:
        if q is None or q.ScaleLength() == 0:
            return (), (), 0, (0, 0)
        scales = tuple(float(value) for value in q.ScaleAsNumpy())
        points = tuple(int(value) for value in q.ZeroPointAsNumpy()) if q.ZeroPointLength() else (0,) * len(scales)
        axis = q.QuantizedDimension()
        channels = shape[axis] if 0 <= axis < len(shape) else 1
        if len(scales) not in (1, channels) or len(points) != len(scales):
            raise self.error(f"{name}: {len(scales)} scales, {len(points)} zero points; need 1, or one per channel")
        if not all(math.isfinite(scale) and 2.0**-60 < scale < 2.0**60 for scale in scales):
            raise self.error(f"{name}: scales {scales[:3]}; each must be finite and positive")
        if not all(-128 <= point <= 127 for point in points):
            raise self.error(f"{name}: zero points {points[:3]}; each must be in -128 .. 127")
        scales_at, _ = self.place(q.ScaleAsNumpy(), f"{name}, scales")
        points_at = self.place(q.ZeroPointAsNumpy(), f"{name}, zero points")[0] if q.ZeroPointLength() else 0
        return scales, points, axis, (scales_at, points_at)

    def place(self, view: Any, what: str) -> tuple[int, int]:
        """Where in the file a view lies."""
        if not isinstance(view, np.ndarray):
            raise self.error(f"{what} cannot be found; export the model again")
        offset = view.ctypes.data - self.base.ctypes.data
        if offset < 0 or offset + view.nbytes > len(self.data):
            raise self.error(f"{what}: {view.nbytes} bytes at offset {offset}, the file has {len(self.data)}")
        return offset, view.nbytes

    def error(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.where}: {what}")
