"""Tasks of data that the user has on the disk: read where they lie, checked, put on int8, never downloaded.

Nothing here is cached: a file may change between two runs of one process, and a run has to notice (docs/data.md).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.networks import NETWORKS, Network
from byzantiny_models.readers import Samples, read_idx_set, read_leaf, read_recordings, read_uci_har
from byzantiny_models.readers.recordings import Labels
from byzantiny_models.readers.samples import check_labels
from byzantiny_models.tasks.scaling import labels, moved, to_int8
from byzantiny_models.tasks.task import Origin, Task

ACTIVITIES = ("walking", "walking-upstairs", "walking-downstairs", "sitting", "standing", "laying")
DIGITS = tuple("0123456789")
ALPHANUMERIC = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""The 62 classes of FEMNIST and of EMNIST's `byclass`, in their order."""
WINDOW, STEP = 128, 64
TEST_SHARE = 5
"""Of the devices of `recordings`, in the order of their names, every fifth from the last backwards tests."""


def images(
    name: str, path: Path, network: str, class_names: tuple[str, ...], prefix: str = "", *, first: int = 0
) -> Task:
    """Return the task of four IDX files; a feature is half a pixel, 0 .. 255 becomes 0 .. 127 (1.98 in Q6).

    EMNIST's sets are those with a prefix: stored by column, and `first` is the label of the first class.

    Raises:
        DatasetError: what `read_idx_set` refuses, another shape, labels that are none of the classes.
    """
    parts = read_idx_set(path, prefix, transposed=bool(prefix))
    for part in parts:
        check_labels(f"{part.name} (labels from {first})", part.y - first, len(class_names))
    train, test = (replace(part, y=part.y - first, classes=len(class_names)) for part in parts)
    shape = NETWORKS[network]
    require_shape(name, train, shape)
    x, test_x = ((part.x.reshape(part.n, -1) >> 1).astype(np.int8) for part in (train, test))
    return _task(name, shape, (train, test), (x, test_x), class_names)


def uci_har(path: Path) -> Task:
    """Return the task `uci-har`: 561 features in -1 .. 1 become -64 .. 64; the persons of the test set are not trained on."""
    train, test = read_uci_har(path)
    x, test_x = (to_int8(part.x, 64) for part in (train, test))
    return _task("uci-har", NETWORKS["mlp-561-16-6"], (train, test), (x, test_x), ACTIVITIES)


def femnist(path: Path) -> Task:
    """Return the task `femnist`: paper (1.0) becomes 0 and ink (0.0) 127, since a convolution pads with 0."""
    network = NETWORKS["cnn-28x28-62"]
    train, test = read_leaf(path)
    for part in (train, test):
        _require_range(part, 0.0, 1.0)
    x, test_x = (to_int8(part.x, -127, offset=1) for part in (train, test))
    return _task("femnist", network, (train, test), (x, test_x), ALPHANUMERIC)


def recordings(path: Path) -> Task:
    """Return the task `recordings`: windows of 128 samples every 64, in g; what moved (scaling.moved).

    Every fifth device tests, from the last of the sorted names backwards; no device does both.

    Raises:
        DatasetError: what `read_recordings` refuses, another number of channels, one device alone.
    """
    network = NETWORKS["conv1d-imu"]
    samples, names = read_recordings(path, window=WINDOW, step=STEP)
    require_shape("recordings", samples, network)
    if samples.classes > network.classes:
        raise DatasetError(
            f"{path}: {samples.classes} labels ({_few(names)}); {network.name} tells {network.classes} apart, merge some"
        )
    keys = np.array(samples.keys)
    devices = np.unique(keys)
    if len(devices) < 2:
        raise DatasetError(
            f"{path}: 1 device, {str(devices[0])!r}; need at least 2, since one that trains does not test"
        )
    tested = np.isin(keys, devices[::-1][::TEST_SHARE])
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    x, y = moved(samples.x), labels(samples)
    origin = Origin(f"recordings in {path.name}", samples.sources, {"window": WINDOW, "step": STEP})
    return Task(
        "recordings", network, x[train], y[train], x[test], y[test], samples.classes, tuple(keys[train].tolist()),
        names.names, origin,
    )  # fmt: skip


def require_shape(name: str, samples: Samples, network: Network) -> None:
    """Raise unless a sample has the shape that the network takes: as many numbers in another shape are other data.

    Raises:
        DatasetError: another shape.
    """
    wanted = network.layers[0].input_shape
    if samples.shape != wanted:
        raise DatasetError(
            f"{samples.name}: samples of {_by(samples.shape)}; {network.name}, the network of {name}, takes {_by(wanted)}"
        )


def _task(
    name: str,
    network: Network,
    parts: tuple[Samples, Samples],
    features: tuple[NDArray[np.int8], NDArray[np.int8]],
    class_names: tuple[str, ...] = (),
) -> Task:
    train, test = parts
    sources = {source.name: source for part in parts for source in part.sources}
    origin = Origin(f"{train.name} and {test.name}", tuple(sources.values()))
    x, test_x = features
    classes = max(train.classes, test.classes)
    return Task(
        name, network, x, labels(train), test_x, labels(test), classes, train.keys, class_names[:classes], origin
    )


def _require_range(samples: Samples, low: float, high: float) -> None:
    flat = samples.x.reshape(samples.n, -1)
    stray = (flat < low) | (flat > high)
    if stray.any():
        i, j = (int(k) for k in np.argwhere(stray)[0])
        raise DatasetError(
            f"{samples.name}: sample {i}, value {j} is {flat[i, j]}, outside {low} .. {high}; rescale the pixels"
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _few(names: Labels) -> str:
    shown = ", ".join(names.names[:6])
    return shown if len(names.names) <= 6 else f"{shown}, ..."
