"""Generators of sensor data that say they are generators: seeded, in integers, with a data card in docs/data.md."""

from __future__ import annotations

from byzantiny_models.synthetic.imu import imu_gestures
from byzantiny_models.synthetic.machine import machine_sound

__all__ = ["imu_gestures", "machine_sound"]
