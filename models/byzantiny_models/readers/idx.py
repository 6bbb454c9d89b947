"""IDX files: MNIST, Fashion-MNIST, EMNIST and whatever else is in that format.

Y. LeCun, C. Cortes, C. Burges, the MNIST page: `00 00 type dimensions`, then one big-endian u32 per dimension, then the
values in C order. H. Xiao et al., Fashion-MNIST, 2017, arXiv 1708.07747. G. Cohen et al., EMNIST, 2017, arXiv 1702.05373.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers.folder import Folder
from byzantiny_models.readers.samples import Samples

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 4


def parse_idx(data: bytes, where: str = "IDX data") -> NDArray[Any]:
    """Return the array in an IDX file's bytes, in this machine's byte order.

    Raises:
        DatasetError: a wrong magic or length; nothing else, on any bytes, and no memory is taken before they fit.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])).tolist()
    [7, 9]
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES:
        raise DatasetError(
            f"{where}, offset 0: magic {data[:4].hex()!r}; an IDX file begins 0000, a type of "
            f"{', '.join(f'{t:02x}' for t in TYPES)}, and the number of dimensions; this is none"
        )
    dtype, dimensions = np.dtype(TYPES[data[2]]), data[3]
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise DatasetError(f"{where}, offset 3: {dimensions} dimensions; the limit is {MOST_DIMENSIONS}")
    begin = 4 + 4 * dimensions
    if len(data) < begin:
        raise DatasetError(f"{where}: {len(data)} bytes end within the header of {begin}; fetch the file again")
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    expected = begin + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise DatasetError(
            f"{where}, offset 4: dimensions {' x '.join(map(str, shape))} of {dtype.itemsize} bytes need {expected} "
            f"bytes, the file has {len(data)}; fetch it again"
        )
    values = np.frombuffer(data, dtype, offset=begin).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def read_idx_set(path: Path, prefix: str = "", *, transposed: bool = False) -> tuple[Samples, Samples]:
    """Return the training and the test samples of a folder (or .zip) that holds the four files of a set like MNIST.

    The files are `{prefix}train-images-idx3-ubyte`, `{prefix}train-labels-idx1-ubyte` and the same with `t10k` or
    `test`, any of them as .gz, in any sub-folder. EMNIST's prefixes are `emnist-digits-`, `emnist-balanced-` and so on;
    its images are stored by column, which `transposed` turns. There is no natural federation key.

    Raises:
        DatasetError: a file that is missing, doubled or none; counts or labels that disagree.
    """
    folder = Folder(path)
    parts = [_read_part(folder, prefix, names) for names in (("train",), ("t10k", "test"))]
    classes = 1 + max(int(labels.max()) for _, labels in parts)
    turned = [(images.transpose(0, 2, 1).copy() if transposed else images, labels) for images, labels in parts]
    train, test = (
        Samples(f"{path} ({name})", images[..., np.newaxis], labels, classes, sources=tuple(folder.sources))
        for name, (images, labels) in zip(("train", "test"), turned, strict=True)
    )
    if train.shape != test.shape:
        raise DatasetError(f"{path}: training images of {train.shape}, test images of {test.shape}; these are two sets")
    return train, test


def _read_part(folder: Folder, prefix: str, names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    arrays = []
    for kind, dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
        name = _find(folder, [f"{prefix}{part}-{kind}-ubyte" for part in names])
        values = parse_idx(folder.read(name), f"{folder.path}/{name}")
        if values.dtype != np.uint8 or values.ndim != dimensions or values.size == 0:
            raise DatasetError(
                f"{folder.path}/{name}: {values.dtype} of {values.shape}; need at least 1 of uint8 in {dimensions} dimensions"
            )
        arrays.append(values)
    images, labels = arrays
    if len(images) != len(labels):
        raise DatasetError(
            f"{folder.path}: {len(images)} images and {len(labels)} labels of {names[0]}; fetch both again"
        )
    return images, labels.astype(np.int64)


def _find(folder: Folder, stems: list[str]) -> str:
    wanted = {stem + suffix for stem in stems for suffix in ("", ".gz")}
    # Some mirrors write a dot before idx.
    found = [n for n in folder.names() if n.rpartition("/")[2].replace(".idx", "-idx") in wanted]
    if len(found) != 1:
        raise DatasetError(
            f"{folder.path} holds {len(found)} files named {' or '.join(stems)} (or .gz); there must be 1"
            + (f", not {', '.join(found)}" if found else "")
        )
    return found[0]
