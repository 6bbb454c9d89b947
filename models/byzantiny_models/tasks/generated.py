"""Tasks of generated sensor data; what they model and what not is on their card (docs/data.md).

The seeds are part of the task: two runs train on the same windows. Devices that test never train.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.networks import NETWORKS
from byzantiny_models.readers.samples import Samples
from byzantiny_models.synthetic import imu_gestures, machine_sound
from byzantiny_models.synthetic.imu import CLASSES as GESTURES
from byzantiny_models.tasks.scaling import labels, moved, to_int8
from byzantiny_models.tasks.task import Origin, Task

TRAIN_SEED, TEST_SEED = 1, 2
IMU = {"devices": 24, "windows": 50, "test_devices": 8}
MACHINES = {"machines": 16, "frames": 100, "test_machines": 6, "test_frames": 120}


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@functools.cache
def imu() -> Task:
    """Return the task `imu-gestures`: what moved (scaling.moved), 2^-6 g a step, so +-2 g; the key is the device."""
    train = imu_gestures(_rng(TRAIN_SEED), IMU["devices"], IMU["windows"])
    test = imu_gestures(_rng(TEST_SEED), IMU["test_devices"], IMU["windows"], first=IMU["devices"] + 1)
    origin = Origin("byzantiny_models.synthetic.imu_gestures", parameters={**IMU, **_SEEDS})
    return Task(
        "imu-gestures", NETWORKS["conv1d-imu"], moved(train.x), labels(train), moved(test.x), labels(test),
        len(GESTURES), train.keys, GESTURES, origin,
    )  # fmt: skip


@functools.cache
def machine() -> Task:
    """Return the task `machine-anomaly`: octaves of energy above 19, 2^-3 octave a step; the key is the machine.

    All training frames are normal (label 0); half of the test frames have a fault (label 1, whichever of the three).
    """
    train = machine_sound(_rng(TRAIN_SEED), MACHINES["machines"], MACHINES["frames"], faults=False)
    first = MACHINES["machines"] + 1
    test = machine_sound(_rng(TEST_SEED), MACHINES["test_machines"], MACHINES["test_frames"], faults=True, first=first)
    origin = Origin("byzantiny_models.synthetic.machine_sound", parameters={**MACHINES, **_SEEDS})
    x, test_x = (to_int8(part.x, 8, offset=19) for part in (train, test))
    return Task(
        "machine-anomaly", NETWORKS["autoencoder-32"], x, _faulty(train), test_x, _faulty(test), 2, train.keys,
        ("normal", "faulty"), origin,
    )  # fmt: skip


_SEEDS = {"train_seed": TRAIN_SEED, "test_seed": TEST_SEED}


def _faulty(samples: Samples) -> NDArray[np.uint8]:
    faulty: NDArray[np.uint8] = (samples.y != 0).astype(np.uint8)
    return faulty
