"""Recordings of a user's own boards: one CSV file each, and an index that says which device made it and what it shows.

recordings.csv      file,device,label
a/0001.csv,board-1,wave
a/0001.csv          ax,ay,az            (any header, the same everywhere)
0.01,-0.98,0.12     (one line a sample, at one rate)
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers.folder import Folder
from byzantiny_models.readers.samples import MOST_CLASSES, Samples, check_finite

INDEX = "recordings.csv"
COLUMNS = ["file", "device", "label"]
MOST_CHANNELS = 64
MOST_VALUES = 1 << 28
"""The most numbers that the windows may hold (1 GiB): a step of one sample repeats every sample `window` times."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of the classes, in order: class c is `names[c]`."""

    names: tuple[str, ...]


def read_recordings(path: Path, *, window: int, step: int | None = None) -> tuple[Samples, Labels]:
    """Return windows of `window` samples, one every `step` (default: `window`), float32 (n, window, channels).

    A recording gives `1 + (length - window) // step` windows, what is left at its end is not used; one shorter than a window
    is refused. Classes are the labels' names, sorted; the key is the device.

    Raises:
        DatasetError: no index, another header, a file that is missing or leads out of the folder, a line of another
            length, a cell that is no finite number, more than 256 labels.
    """
    step = window if step is None else step
    if window < 1 or step < 1:
        raise DatasetError(f"window {window}, step {step}: both are counts of samples, from 1")
    folder = Folder(path)
    index = _rows(f"{path}/{INDEX}", folder.read(INDEX))
    if index[0] != COLUMNS:
        raise DatasetError(f"{path}/{INDEX}, line 1: columns {index[0]}; they are {COLUMNS}")
    names = sorted({row[2] for row in index[1:]})
    if not 1 <= len(names) <= MOST_CLASSES:
        raise DatasetError(f"{path}/{INDEX}: {len(names)} labels; there must be 1 to {MOST_CLASSES}")
    windows: list[NDArray[np.float32]] = []
    labels: list[int] = []
    keys: list[str] = []
    header: list[str] | None = None
    for file, device, label in index[1:]:
        columns, signal = _recording(f"{path}/{file}", folder.read(file))
        header = columns if header is None else header
        if columns != header:
            raise DatasetError(f"{path}/{file}, line 1: channels {columns}; the recordings before it have {header}")
        if len(signal) < window:
            raise DatasetError(f"{path}/{file}: {len(signal)} samples, a window is {window}; remove it or shorten them")
        count = 1 + (len(signal) - window) // step
        if (len(labels) + count) * window * len(columns) > MOST_VALUES:
            raise DatasetError(f"{path}/{file}: windows of more than {MOST_VALUES} numbers in all; raise the step")
        cut = [signal[at : at + window] for at in range(0, len(signal) - window + 1, step)]
        windows += cut
        labels += [names.index(label)] * count
        keys += [device] * count
    samples = Samples(
        str(path), np.stack(windows), np.array(labels, np.int64), len(names), tuple(keys), tuple(folder.sources)
    )
    return samples, Labels(tuple(names))


def _recording(where: str, data: bytes) -> tuple[list[str], NDArray[np.float32]]:
    columns, *lines = _rows(where, data)
    if len(columns) > MOST_CHANNELS:
        raise DatasetError(f"{where}, line 1: {len(columns)} channels; the limit is {MOST_CHANNELS}")
    try:
        signal = np.array(lines, dtype=np.float64).reshape(len(lines), len(columns)).astype(np.float32)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}; every cell below the header is a number") from error
    if len(signal):
        check_finite(where, signal)
    return columns, signal


def _rows(where: str, data: bytes) -> list[list[str]]:
    """Return the lines of a CSV, all as long as the first; empty lines are left out."""
    try:
        rows = [row for row in csv.reader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{where} is no CSV in UTF-8: {error}; write it as such") from error
    if not rows:
        raise DatasetError(f"{where} is empty; it begins with a header")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise DatasetError(f"{where}, row {number}: {len(row)} cells, the header has {len(rows[0])}; repair it")
    return rows
