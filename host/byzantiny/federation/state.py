"""The server's state: everything the next round depends on, as a value and as bytes for the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from byzantiny.federation.grid import GridState
from byzantiny.updates import AggregationError
from byzantiny.updates.rules import State

_ARRAY = 1
"""The MessagePack extension type of an array: dtype, shape, then the bytes."""

_FIXED_GRID, _ADAPTED_GRID = 1, 2
"""Versions of the bytes: 2 has a `grid`, and one that reads 1 only must not go on with it in silence."""


@dataclass(frozen=True, eq=False)
class ServerState:
    """The model after round `round_num` (0: none yet), what each stage of the pipeline carries on, and the next grid.

    `grid` is None where the grid is fixed.

    >>> state = ServerState(3, np.array([1, -2], dtype=np.int32), (None, {"momentum": np.array([0.5])}))
    >>> again = ServerState.from_bytes(state.to_bytes())
    >>> again.round_num, again.model.tolist(), again.stages[1]["momentum"].tolist()
    (3, [1, -2], [0.5])
    >>> again.to_bytes() == state.to_bytes()
    True
    """

    round_num: int
    model: NDArray[np.int32]
    stages: tuple[State, ...] = ()
    grid: GridState | None = None

    def __post_init__(self) -> None:
        if self.model.dtype != np.int32 or self.model.ndim != 1:
            raise AggregationError(f"a model of {self.model.dtype} {self.model.shape}: it is int32 (d,)")
        self.model.setflags(write=False)

    def to_bytes(self) -> bytes:
        """Return the state as MessagePack; equal states give equal bytes.

        Raises:
            AggregationError: a stage's state holds something else than None, numbers, strings, bytes, NumPy arrays, and
                lists and dicts of them.
        """
        record: dict[str, Any] = {
            "version": _FIXED_GRID,
            "round_num": self.round_num,
            "model": self.model,
            "stages": list(self.stages),
        }
        if self.grid is not None:
            record |= {"version": _ADAPTED_GRID, "shifts": list(self.grid.shifts), "streaks": list(self.grid.streaks)}
        try:
            return msgspec.msgpack.encode(record, enc_hook=_encode, order="deterministic")
        except (TypeError, OverflowError) as error:
            raise AggregationError(
                f"the state of a stage cannot be stored: {error}; use plain data and arrays"
            ) from error

    @classmethod
    def from_bytes(cls, blob: bytes) -> ServerState:
        """Return the state that `to_bytes` wrote; tuples in it have become lists.

        Raises:
            AggregationError: bytes of another version, or none of ours.
        """
        try:
            record = msgspec.msgpack.decode(blob, ext_hook=_decode)
            version = record["version"]
            if version not in (_FIXED_GRID, _ADAPTED_GRID):
                raise AggregationError(
                    f"a server state of version {version}: this release reads {_FIXED_GRID} and {_ADAPTED_GRID}"
                )
            grid = GridState(tuple(record["shifts"]), tuple(record["streaks"])) if version == _ADAPTED_GRID else None
            return cls(record["round_num"], record["model"], tuple(record["stages"]), grid)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise AggregationError(f"{len(blob)} bytes are no server state: {error}; the ledger is damaged") from error


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        header = msgspec.msgpack.encode([little.dtype.str, list(value.shape), little.tobytes()])
        return msgspec.msgpack.Ext(_ARRAY, header)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _decode(code: int, data: memoryview) -> NDArray[Any]:
    if code != _ARRAY:
        raise ValueError(f"extension type {code} is not {_ARRAY}")
    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, list[int], bytes])
    array = np.frombuffer(raw, dtype=np.dtype(dtype)).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))
