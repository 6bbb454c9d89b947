"""The base: the frozen part of a network, which a device holds in read-only memory and never sends.

    magic "BYZB" | tensors u16 | zero u16 | trainable u32 | layout_sha256[32] of the whole network
    frozen biases, int32, in layout order | frozen kernels, int8 Q6, in layout order

Little-endian. Bit i of `trainable` says that tensor i of the whole network's layout is trained, and so is not in the
base. Biases come first so that they lie aligned. A kernel is frozen as the int8 weights that the forward pass uses:
half the bytes of its masters, and what a pretrained model is. The reader trusts nothing: any bytes give a base of the
layout or a `LayoutError`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import LayoutError
from byzantiny_models.layouts import LIMITS, Layout, TensorSpec
from byzantiny_models.quantization import derive_weights

MAGIC = b"BYZB"
HEADER = struct.Struct("<4sHHI32s")
WEIGHT_MAX = 127
"""The largest magnitude of an int8 weight."""


def pack_base(layout: Layout, trainable: Collection[str], flat: ArrayLike) -> bytes:
    """Return the base of a network whose whole layout this is: the tensors of `flat` (d,) that are not in `trainable`.

    Raises:
        LayoutError: a name the layout does not have, nothing trainable, nothing frozen, or `flat` is no model of it.

    >>> layout = Layout((TensorSpec("w", (1, 2), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    >>> pack_base(layout, ["b"], [-256, 512, 7])[-2:].hex(), len(pack_base(layout, ["w"], [0, 0, 7]))
    ('ff02', 48)
    """
    model = layout.check(flat)
    names = [spec.name for spec in layout.tensors]
    unknown = sorted(set(trainable) - set(names))
    if unknown or not 0 < len(set(trainable)) < len(names):
        raise LayoutError(
            f"trainable tensors {sorted(trainable)}: choose at least one and not all of {', '.join(names)}"
        )
    mask = sum(1 << i for i, name in enumerate(names) if name in trainable)
    parts = [HEADER.pack(MAGIC, len(names), 0, mask, layout.sha256)]
    for spec in _frozen(layout, mask):
        values = model[spec.offset : spec.offset + spec.elements]
        parts.append(
            values.astype("<i4").tobytes() if _is_bias(spec) else derive_weights(values).astype("i1").tobytes()
        )
    return b"".join(parts)


def unpack_base(layout: Layout, blob: bytes) -> tuple[tuple[bool, ...], NDArray[np.int32]]:
    """Return which tensors are trained, and the frozen values, int32 (d,): int8 weights, biases, 0 where trained.

    Raises:
        LayoutError: bytes that are no base of this layout; nothing else, on any bytes.

    >>> layout = Layout((TensorSpec("w", (1, 2), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    >>> trainable, frozen = unpack_base(layout, pack_base(layout, ["b"], [-256, 512, 7]))
    >>> trainable, frozen.tolist()
    ((False, True), [-1, 2, 0])
    """
    if len(blob) < HEADER.size:
        raise LayoutError(f"{len(blob)} bytes: a base has at least {HEADER.size}; read the whole file")
    magic, tensors, zero, mask, sha256 = HEADER.unpack_from(blob)
    if magic != MAGIC or zero != 0:
        raise LayoutError(f"magic {magic!r}, reserved word {zero}: need {MAGIC!r} and 0; this is no base")
    if tensors != len(layout.tensors) or sha256 != layout.sha256:
        raise LayoutError(
            f"a base of {tensors} tensors for layout {sha256.hex()[:12]}: the network has {len(layout.tensors)}, "
            f"{layout.sha256.hex()[:12]}; take the base of this network"
        )
    if not 0 < mask < (1 << tensors) - 1:
        raise LayoutError(f"trainable mask 0x{mask:x} of {tensors} tensors: train at least one and not all")
    frozen = _frozen(layout, mask)
    expected = HEADER.size + sum(spec.elements * (4 if _is_bias(spec) else 1) for spec in frozen)
    if len(blob) != expected:
        raise LayoutError(f"a base of {len(blob)} bytes: its frozen tensors need {expected}; read the whole file")
    values, at = np.zeros(layout.d, dtype=np.int32), HEADER.size
    for spec in frozen:
        read = np.frombuffer(blob, "<i4" if _is_bias(spec) else "i1", spec.elements, at)
        limit = LIMITS["int32"] if _is_bias(spec) else WEIGHT_MAX
        if ((read > limit) | (read < -limit)).any():
            raise LayoutError(f"frozen tensor {spec.name} exceeds +-{limit}; saturate it first")
        values[spec.offset : spec.offset + spec.elements] = read
        at += read.nbytes
    return tuple(bool(mask >> i & 1) for i in range(tensors)), values


def _is_bias(spec: TensorSpec) -> bool:
    return spec.dtype == "int32"


def _frozen(layout: Layout, mask: int) -> list[TensorSpec]:
    frozen = [spec for i, spec in enumerate(layout.tensors) if not mask >> i & 1]
    return sorted(frozen, key=lambda spec: not _is_bias(spec))  # stable: biases first, each kind in layout order
