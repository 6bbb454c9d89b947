"""The layout: where each tensor of a model lies, in which format, and by which hash all sides know it.

A model is a flat int32 array in layout order, everywhere in Python; on the wire and on the device it is the layout's
tensors in order, int16 weights and int32 biases (docs/wire.md 3). Formats: SPEC 3.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import LayoutError

INPUT_FRAC = 6
"""Fractional bits of the int8 input."""
HIDDEN_FRAC = 5
"""Fractional bits of a hidden activation (0..127, without ReLU -128..127)."""
LOGIT_FRAC = 3
"""Fractional bits of the int8 logits."""
MASTER_FRAC = 14
"""Fractional bits of the int16 master weights."""
WEIGHT_FRAC = 6
"""Fractional bits of the int8 weights derived from them."""
MAX_SHIFT = 12
"""Largest shift of a tensor's codes, and largest spread of exponents within a layout."""

LIMITS = {"int16": 127 * 256, "int32": (1 << 24) - 1}
"""Saturation of a master tensor by type: int16 so that the derived int8 weight stays in +-127, int32 biases."""

_ITEM_BYTES = {"int16": 2, "int32": 4}


def canonical_json(value: object) -> bytes:
    """Return the JSON that hashes are taken of: keys sorted, no spaces, ASCII.

    >>> canonical_json([{"b": 1, "a": (2, 3)}])
    b'[{"a":[2,3],"b":1}]'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a layout: `real = integer * 2^-frac`; `offset` counts elements, `byte_offset` packed bytes.

    The offsets are assigned by `Layout`; ones given and not 0 must agree with it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    frac: int
    offset: int = 0
    byte_offset: int = 0

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def limit(self) -> int:
        """The largest magnitude an element may have: it saturates there."""
        return LIMITS[self.dtype]


@dataclass(frozen=True)
class Layout:
    """The tensors of a model in order; packs, unpacks, saturates and names it by hash.

    `seal` is what the hash is taken of where the tensors alone do not say what the model computes: a network with
    other layers than dense ones, or with a frozen part (networks.py builds it, tensors included).

    Raises:
        LayoutError: an unknown type, an empty or repeated tensor, offsets that disagree.

    >>> layout = Layout((TensorSpec("w", (2, 3), "int16", 14), TensorSpec("b", (2,), "int32", 12)))
    >>> layout.d, layout.model_bytes, layout.tensors[1].offset, layout.tensors[1].byte_offset
    (8, 20, 6, 12)
    >>> layout.default_shifts(5)
    (5, 3)
    """

    tensors: tuple[TensorSpec, ...]
    seal: bytes = b""

    def __post_init__(self) -> None:
        placed: list[TensorSpec] = []
        offset = byte_offset = 0
        for spec in self.tensors:
            if spec.dtype not in LIMITS:
                raise LayoutError(
                    f"tensor {spec.name}: dtype {spec.dtype!r} is not one of {sorted(LIMITS)}; use one of them"
                )
            if spec.elements < 1 or any(spec.name == other.name for other in placed):
                raise LayoutError(f"tensor {spec.name} of shape {spec.shape} is empty or repeated; remove or rename it")
            if spec.offset not in (0, offset) or spec.byte_offset not in (0, byte_offset):
                raise LayoutError(
                    f"tensor {spec.name}: offsets {spec.offset}, {spec.byte_offset} are not {offset}, {byte_offset}; "
                    "leave them out"
                )
            placed.append(replace(spec, offset=offset, byte_offset=byte_offset))
            offset += spec.elements
            byte_offset += spec.elements * _ITEM_BYTES[spec.dtype]
        if not placed:
            raise LayoutError("a layout of 0 tensors; give it at least 1")
        # The one write to a frozen value: the layout, not its caller, decides where a tensor lies.
        object.__setattr__(self, "tensors", tuple(placed))

    @cached_property
    def d(self) -> int:
        """The number of coordinates."""
        return sum(spec.elements for spec in self.tensors)

    @cached_property
    def model_bytes(self) -> int:
        """The bytes of the packed model."""
        return sum(spec.elements * _ITEM_BYTES[spec.dtype] for spec in self.tensors)

    @cached_property
    def sha256(self) -> bytes:
        """The SHA-256 of the seal, or without one of `canonical_json` of a list of {dtype, frac, name, shape}."""
        described = [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype, "frac": t.frac} for t in self.tensors]
        return hashlib.sha256(self.seal or canonical_json(described)).digest()

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each tensor lies in a flat model."""
        return tuple(slice(t.offset, t.offset + t.elements) for t in self.tensors)

    @cached_property
    def limits(self) -> NDArray[np.int32]:
        """The saturation limit of every coordinate, int32 (d,)."""
        limits = np.repeat(
            np.array([t.limit for t in self.tensors], dtype=np.int32), [t.elements for t in self.tensors]
        )
        limits.setflags(write=False)
        return limits

    def pack(self, flat: ArrayLike) -> bytes:
        """Return the model object: the tensors in order, little-endian, no padding.

        Raises:
            LayoutError: not an integer array of shape (d,), or a coordinate beyond its tensor's limit.

        Source: docs/wire.md 3.

        >>> Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12))).pack([1, -1, 2]).hex()
        '0100ffff02000000'
        """
        model = self.check(flat)
        return b"".join(
            model[where].astype("<i2" if spec.dtype == "int16" else "<i4").tobytes()
            for spec, where in zip(self.tensors, self.slices, strict=True)
        )

    def unpack(self, blob: bytes | bytearray | memoryview) -> NDArray[np.int32]:
        """Return the flat int32 (d,) model of a model object.

        Raises:
            LayoutError: a length that is not `model_bytes`, or a coordinate beyond its tensor's limit.

        >>> Layout((TensorSpec("w", (2,), "int16", 14),)).unpack(bytes.fromhex("0100ffff")).tolist()
        [1, -1]
        """
        if len(blob) != self.model_bytes:
            raise LayoutError(
                f"a model of {len(blob)} bytes: this layout's has {self.model_bytes}; send the right network's model"
            )
        parts = [
            np.frombuffer(blob, "<i2" if t.dtype == "int16" else "<i4", t.elements, t.byte_offset) for t in self.tensors
        ]
        return self.check(np.concatenate(parts, dtype=np.int32))

    def saturate(self, flat: ArrayLike) -> NDArray[np.int32]:
        """Return `min(max(flat, -limit), limit)` per coordinate, int32; the last axis is d.

        >>> Layout((TensorSpec("w", (2,), "int16", 14),)).saturate([40_000, -40_000]).tolist()
        [32512, -32512]
        """
        clipped: NDArray[np.int32] = np.clip(np.asarray(flat), -self.limits, self.limits).astype(np.int32)
        return clipped

    def default_shifts(self, base: int) -> tuple[int, ...]:
        """Return one shift per tensor so that all exponents are equal: `shift_t = base - (14 - frac_t)`.

        Raises:
            LayoutError: a shift outside 0 .. 12.

        Source: SPEC 3 ("Codes and shifts").

        >>> Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12))).default_shifts(5)
        (5, 3)
        """
        shifts = tuple(base - (MASTER_FRAC - t.frac) for t in self.tensors)
        self.exponents(shifts)
        return shifts

    def exponents(self, shifts: Sequence[int]) -> tuple[int, ...]:
        """Return `e_t = shift_t - frac_t`: one code of tensor t is `2^e_t` real units.

        Raises:
            LayoutError: another number of shifts than tensors, a shift outside 0 .. 12, a spread of exponents above 12.

        Source: SPEC 3 ("Codes and shifts").

        >>> Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12))).exponents((5, 3))
        (-9, -9)
        """
        if len(shifts) != len(self.tensors):
            raise LayoutError(f"{len(shifts)} shifts: this layout has {len(self.tensors)} tensors; give one per tensor")
        for spec, shift in zip(self.tensors, shifts, strict=True):
            if not 0 <= shift <= MAX_SHIFT:
                raise LayoutError(
                    f"shift {shift} of tensor {spec.name} is outside 0 .. {MAX_SHIFT}; choose another base"
                )
        exponents = tuple(int(shift) - t.frac for t, shift in zip(self.tensors, shifts, strict=True))
        if max(exponents) - min(exponents) > MAX_SHIFT:
            raise LayoutError(
                f"exponents {exponents} spread over more than {MAX_SHIFT}; bring the shifts closer together"
            )
        return exponents

    def check(self, flat: ArrayLike) -> NDArray[np.int32]:
        """Return `flat` as int32 (d,) if it is a model of this layout.

        Raises:
            LayoutError: not an integer array of shape (d,), or a coordinate beyond its tensor's limit.

        >>> Layout((TensorSpec("w", (2,), "int16", 14),)).check([1, -1]).dtype.name
        'int32'
        """
        model = np.asarray(flat)
        if model.shape != (self.d,) or model.dtype.kind not in "iu":
            raise LayoutError(
                f"a model of shape {model.shape} and type {model.dtype}: need integers of shape ({self.d},)"
            )
        beyond = (model > self.limits) | (model < -self.limits)
        if beyond.any():
            i = int(np.argmax(beyond))
            raise LayoutError(
                f"coordinate {i} is {model[i]}: its limit is +-{self.limits[i]}; saturate the model first"
            )
        return model.astype(np.int32)
