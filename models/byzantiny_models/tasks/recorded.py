"""The task of a user's own recordings: windows of CSV files, tested on devices that took no part in training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError, InvalidValueError
from byzantiny_models.networks import Network
from byzantiny_models.readers import Samples, read_recordings
from byzantiny_models.tasks.features import centred, scaled
from byzantiny_models.tasks.source import TaskInfo, TaskSource, require_count, require_flag
from byzantiny_models.tasks.supplied import FOLDER, make_task
from byzantiny_models.tasks.task import Origin, Task

NAME = "recordings"


def _recordings(
    network: Network,
    path: Path,
    step: int = 64,
    test_devices: Any = None,
    scale: Any = None,
    centre: bool = False,
) -> Task:
    window = network.layers[0].input_shape[0]
    require_count(NAME, "step", step, 1, window)
    require_flag(NAME, "centre", centre)
    samples, labels = read_recordings(path, window=window, step=step)
    held_out = _devices(samples, test_devices)
    apart = np.isin(np.asarray(samples.keys), held_out)
    parts = _part(samples, ~apart), _part(samples, apart)
    factor = _scale(parts[0], scale)
    origin = Origin(
        "recordings",
        samples.sources,
        {"step": step, "test_devices": ", ".join(held_out), "scale": factor, "centre": str(centre).lower()},
    )
    return make_task(
        NAME,
        network,
        parts,
        lambda x: centred(x, factor) if centre else scaled(x, factor),
        labels.names,
        origin,
    )


def _devices(samples: Samples, asked: Any) -> list[str]:
    """The devices of the test set: those that are named, or the last fifth of them, at least one."""
    devices = sorted(set(samples.keys or ()))
    if len(devices) < 2:
        raise DatasetError(
            f"{samples.name}: all recordings are of device {devices[0]!r}; a test set needs another one, record with two"
        )
    if asked is None:
        return devices[-max(1, len(devices) // 5) :]
    if not isinstance(asked, list) or not asked or not set(map(str, asked)) < set(devices):
        raise InvalidValueError(
            f"task {NAME}: test_devices is {asked!r}; it is a list of some, not all, of {', '.join(devices)}"
        )
    return sorted(set(map(str, asked)))


def _part(samples: Samples, chosen: NDArray[np.bool_]) -> Samples:
    keys = tuple(key for key, kept in zip(samples.keys or (), chosen, strict=True) if kept)
    return Samples(samples.name, samples.x[chosen], samples.y[chosen], samples.classes, keys, samples.sources)


def _scale(train: Samples, asked: Any) -> float:
    """Return what a value is multiplied by: as asked, or the largest power of two that saturates no training value."""
    if asked is None:
        most = float(np.abs(train.x).max())
        return 1.0 if most == 0 else 2.0 ** min(63, math.floor(math.log2(127.49 / most)))
    if not isinstance(asked, (int, float)) or isinstance(asked, bool) or not 0 < asked <= 1 << 30:
        raise InvalidValueError(f"task {NAME}: scale is {asked!r}; a value times it is int8, a number in 0 .. 2^30")
    return float(asked)


RECORDINGS = TaskSource(
    TaskInfo(
        name=NAME,
        data="windows of 128 samples of three channels of your own boards, at most five labels",
        samples="as many as you have; the last fifth of the devices, or those you name, to test",
        networks=("conv1d-imu",),
        features="value * scale, by default the largest power of two that fits; centre = true: less the window's mean",
        key="device",
        needs=f"{FOLDER}with recordings.csv and the files that it names",
    ),
    _recordings,
)
