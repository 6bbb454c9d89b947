"""UCI HAR: smartphone accelerometer and gyroscope windows of 30 people, six activities.

D. Anguita et al. A public domain dataset for human activity recognition using smartphones. ESANN 2013. 561 features in -1 .. 1
per window, or the raw signals: 128 samples of nine channels at 50 Hz. Split 70 / 30 by person in the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers.folder import Folder
from byzantiny_models.readers.samples import Samples, check_finite, check_labels

FEATURES = 561
CLASSES = 6
SUBJECTS = 30
WINDOW = 128
CHANNELS = tuple(f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")


def read_uci_har(path: Path, *, raw: bool = False) -> tuple[Samples, Samples]:
    """Return the training and the test samples; the key is the person, `subject-01` .. `subject-30`.

    x is float32 (n, 561), or with `raw` (n, 128, 9): the channels body_acc, body_gyro, total_acc, each x, y, z.
    The folder (or .zip) is the one that holds `train/` and `test/`, or one above it.

    Raises:
        DatasetError: a missing file, a line of another length, a word that is no number, counts that disagree, labels
            outside 1 .. 6, persons outside 1 .. 30.
    """
    folder = Folder(path)
    found = [name for name in folder.names() if name.endswith("train/y_train.txt")]
    if len(found) != 1:
        raise DatasetError(
            f"{path} holds {len(found)} files train/y_train.txt; give the folder of one UCI HAR data set"
        )
    root = found[0].removesuffix("train/y_train.txt")
    train, test = (_read_part(folder, root, part, raw=raw) for part in ("train", "test"))
    return train, test


def _read_part(folder: Folder, root: str, part: str, *, raw: bool) -> Samples:
    where = f"{folder.path}/{root}{part}"
    labels = _column(folder, f"{root}{part}/y_{part}.txt", CLASSES)
    subjects = _column(folder, f"{root}{part}/subject_{part}.txt", SUBJECTS)
    if raw:
        signals = [
            _table(folder, f"{root}{part}/Inertial Signals/{channel}_{part}.txt", WINDOW, len(labels))
            for channel in CHANNELS
        ]
        x = np.stack(signals, axis=2)
    else:
        x = _table(folder, f"{root}{part}/X_{part}.txt", FEATURES, len(labels))
    if len(subjects) != len(labels):
        raise DatasetError(f"{where}: {len(subjects)} persons for {len(labels)} labels; fetch the set again")
    keys = tuple(f"subject-{subject + 1:02d}" for subject in subjects)
    return Samples(where, x, labels, CLASSES, keys, tuple(folder.sources))


def _column(folder: Folder, name: str, most: int) -> NDArray[np.int64]:
    """Return a column of numbers 1 .. most, counted from 0."""
    values = _numbers(folder, name, np.int64)
    check_labels(f"{folder.path}/{name} (counted from 1)", values - 1, most)
    return values - 1


def _table(folder: Folder, name: str, columns: int, rows: int) -> NDArray[np.float32]:
    values = _numbers(folder, name, np.float64)
    if values.size != rows * columns:
        raise DatasetError(
            f"{folder.path}/{name}: {values.size} numbers; {rows} labels need {rows} lines of {columns}; fetch it again"
        )
    table = values.reshape(rows, columns).astype(np.float32)
    check_finite(f"{folder.path}/{name}", table)
    return table


def _numbers(folder: Folder, name: str, dtype: type[Any]) -> NDArray[Any]:
    text = folder.read(name)
    try:
        values = np.array(text.split(), dtype="S").astype(dtype)
    except ValueError as error:
        raise DatasetError(f"{folder.path}/{name}: {error}; it is to hold numbers between spaces") from error
    if values.size == 0:
        raise DatasetError(f"{folder.path}/{name} is empty; fetch it again")
    return values
