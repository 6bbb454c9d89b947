"""A device's data set as bytes: where the body can read it, never on the wire (docs/wire.md 3, "Dataset").

    magic "BYZD" | n u32 | features u16 | classes u16 | zero u32 | n rows of int8 features[features], label u8

Little-endian. The reader trusts nothing: any byte string gives a data set or a `DatasetError`.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.rng import MAX_SAMPLES

MAGIC = b"BYZD"
HEADER = struct.Struct("<4sIHHI")
MAX_CLASSES = 256
"""Labels are one byte."""


def pack(x: ArrayLike, y: ArrayLike, classes: int) -> bytes:
    """Return the bytes of a data set: x integers in int8's range (n, features), y (n,) in 0 .. classes - 1.

    Raises:
        DatasetError: other shapes or ranges, n or features outside 1 .. 65,535, classes outside 1 .. 256.

    Source: docs/wire.md 3.

    >>> pack([[1, -1]], [1], classes=2).hex()
    '42595a4401000000020002000000000001ff01'
    """
    inputs, labels = np.asarray(x), np.asarray(y)
    if (
        inputs.ndim != 2
        or labels.shape != inputs.shape[:1]
        or inputs.dtype.kind not in "iu"
        or labels.dtype.kind not in "iu"
    ):
        raise DatasetError(
            f"x of shape {inputs.shape} ({inputs.dtype}), y of shape {labels.shape} ({labels.dtype}): "
            "need integers of shapes (n, features) and (n,)"
        )
    n, features = inputs.shape
    _check_header(n, features, classes)
    if int(inputs.min()) < -128 or int(inputs.max()) > 127:
        raise DatasetError(f"features reach from {inputs.min()} to {inputs.max()}: int8 is -128 .. 127; rescale them")
    if int(labels.min()) < 0:
        raise DatasetError(f"label {labels.min()} is below 0; relabel from 0")
    _check_labels(labels, classes)
    rows = np.empty((n, features + 1), dtype=np.uint8)
    rows[:, :-1] = inputs.astype(np.int8).view(np.uint8)
    rows[:, -1] = labels
    return HEADER.pack(MAGIC, n, features, classes, 0) + rows.tobytes()


def unpack(blob: bytes | bytearray | memoryview) -> tuple[NDArray[np.int8], NDArray[np.uint8], int]:
    """Return `(x int8 (n, features), y uint8 (n,), classes)` of a data set's bytes.

    Raises:
        DatasetError: a wrong magic, length, header field or label; nothing else, on any bytes.

    Source: docs/wire.md 3.

    >>> x, y, classes = unpack(pack([[1, -1]], [1], classes=2))
    >>> x.tolist(), y.tolist(), classes
    ([[1, -1]], [1], 2)
    """
    if len(blob) < HEADER.size:
        raise DatasetError(f"{len(blob)} bytes: a data set has at least {HEADER.size}; read the whole file")
    magic, n, features, classes, zero = HEADER.unpack_from(blob)
    if magic != MAGIC or zero != 0:
        raise DatasetError(f"magic {magic!r}, reserved word {zero}: need {MAGIC!r} and 0; this is no data set")
    _check_header(n, features, classes)
    expected = HEADER.size + n * (features + 1)
    if len(blob) != expected:
        raise DatasetError(f"{len(blob)} bytes: {n} rows of {features} features need {expected}; read the whole file")
    rows = np.frombuffer(blob, np.uint8, offset=HEADER.size).reshape(n, features + 1)
    _check_labels(rows[:, -1], classes)
    return rows[:, :-1].copy().view(np.int8), rows[:, -1].copy(), classes


def _check_header(n: int, features: int, classes: int) -> None:
    for name, value, limit in (
        ("n", n, MAX_SAMPLES),
        ("features", features, 65_535),
        ("classes", classes, MAX_CLASSES),
    ):
        if not 1 <= value <= limit:
            raise DatasetError(f"{name} {value} is outside 1 .. {limit}; split the data or choose another task")


def _check_labels(labels: NDArray[np.integer], classes: int) -> None:
    if int(labels.max()) >= classes:
        raise DatasetError(f"label {labels.max()} is not below classes {classes}; relabel, or declare more classes")
