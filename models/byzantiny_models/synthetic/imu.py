"""Synthetic accelerometer gestures: 128 samples of three axes at 50 Hz, five classes, one device a person.

Nobody wore these. A device has a bias, a gain, a noise, a way of being worn and a slow drift of its bias; a person a tempo and
a strength. What the parameters are, and what is not modelled, is on the data card (docs/data.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.readers.samples import Samples
from byzantiny_models.synthetic.waves import AMPLITUDE, cosine, decaying, noise, sine

CLASSES = ("rest", "shake", "circle", "tap", "tilt")
LENGTH = 128
RATE_HZ = 50
GRAVITY_MG = 1000
RANGE_MG = 4000

Signal = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Device:
    """One board on one person, in thousandths: bias and drift in mg, gain and tempo and strength of 1000."""

    bias: Signal
    drift: Signal
    gain: Signal
    noise_mg: int
    down: Signal
    along: Signal
    tempo: int
    strength: int


def imu_gestures(rng: np.random.Generator, devices: int, windows: int, *, first: int = 1) -> Samples:
    """Return `windows` windows of each of `devices` devices, float32 (n, 128, 3) in g within +-4, classes in turn.

    The drift grows over a device's windows, so its first and its last ones differ. Keys are `imu-001` and so on,
    from `first`.

    >>> samples = imu_gestures(np.random.default_rng(0), devices=2, windows=10)
    >>> samples.n, samples.shape, samples.counts.tolist(), samples.keys[-1]
    (20, (128, 3), [4, 4, 4, 4, 4], 'imu-002')
    """
    y = np.tile(np.arange(windows) % len(CLASSES), devices)
    signals = []
    for _ in range(devices):
        device = _draw_device(rng)
        for w in range(windows):
            moved = _MOVES[w % len(CLASSES)](rng, device)
            offset = device.bias + device.drift * w // max(1, windows - 1)
            measured = (moved * device.gain) // 1000 + offset + noise(rng, moved.shape, device.noise_mg)
            signals.append(np.clip(measured, -RANGE_MG, RANGE_MG))
    x = (np.stack(signals) / 1000).astype(np.float32)
    keys = tuple(f"imu-{first + i:03d}" for i in range(devices) for _ in range(windows))
    return Samples("imu-gestures", x, y.astype(np.int64), len(CLASSES), keys)


def _draw_device(rng: np.random.Generator) -> Device:
    down = _direction(rng)
    return Device(
        bias=rng.integers(-80, 81, 3),
        drift=rng.integers(-150, 151, 3),
        gain=rng.integers(950, 1051, 3),
        noise_mg=int(rng.integers(15, 61)),
        down=down,
        along=_direction(rng),
        tempo=int(rng.integers(800, 1251)),
        strength=int(rng.integers(700, 1301)),
    )


def _direction(rng: np.random.Generator) -> Signal:
    """A vector of about 1000 in any direction, never along an axis only."""
    while True:
        vector = rng.integers(-1000, 1001, 3)
        square = int((vector**2).sum())
        if 640_000 <= square <= 1_440_000:
            return np.asarray(vector)


def _held(device: Device) -> Signal:
    return np.tile(device.down * GRAVITY_MG // 1000, (LENGTH, 1))


def _turns(rng: np.random.Generator, device: Device, low_mhz: int, high_mhz: int) -> Signal:
    """The phase of every sample, in 65,536ths of a turn, of a movement of about so many thousandths of a hertz."""
    frequency = int(rng.integers(low_mhz, high_mhz)) * device.tempo // 1000
    return int(rng.integers(0, 65_536)) + np.arange(LENGTH, dtype=np.int64) * 65_536 * frequency // (1000 * RATE_HZ)


def _strength(rng: np.random.Generator, device: Device, low: int, high: int) -> int:
    return int(rng.integers(low, high)) * device.strength // 1000


def _scaled(wave: Signal, vector: Signal, amplitude_mg: int) -> Signal:
    return np.asarray(wave[:, None] * vector * amplitude_mg // (1000 * AMPLITUDE))


def _rest(rng: np.random.Generator, device: Device) -> Signal:
    """Held still, with the hand's own tremor."""
    tremor = sine(_turns(rng, device, 7000, 11_000))
    return _held(device) + _scaled(tremor, _direction(rng), int(rng.integers(0, 120)))


def _shake(rng: np.random.Generator, device: Device) -> Signal:
    """To and fro along one line, 2.5 to 6 Hz, beginning or ending within the window."""
    wave = sine(_turns(rng, device, 2500, 6000))
    edge = int(rng.integers(0, LENGTH // 3))
    wave[:edge] = 0
    return _held(device) + _scaled(wave, device.along, _strength(rng, device, 500, 1300))


def _circle(rng: np.random.Generator, device: Device) -> Signal:
    """Round in a plane, 1 to 3 Hz: two axes a quarter of a turn apart."""
    turns = _turns(rng, device, 1000, 3000)
    across = np.roll(device.along, 1)
    amplitude = _strength(rng, device, 300, 900)
    return _held(device) + _scaled(sine(turns), device.along, amplitude) + _scaled(cosine(turns), across, amplitude)


def _tap(rng: np.random.Generator, device: Device) -> Signal:
    """One to three blows that ring out."""
    blow = decaying(24, int(rng.integers(550, 800)), 1000) * np.where(np.arange(24) % 2, -1, 1)
    wave = np.zeros(LENGTH + 24, dtype=np.int64)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, LENGTH - 8))
        wave[at : at + 24] += blow
    return _held(device) + _scaled(wave[:LENGTH], device.down, _strength(rng, device, 700, 2200))


def _tilt(rng: np.random.Generator, device: Device) -> Signal:
    """Turned from one way of being held to another within a quarter to a whole of the window."""
    length = int(rng.integers(LENGTH // 4, LENGTH))
    start = int(rng.integers(0, LENGTH - length + 1))
    progress = np.clip((np.arange(LENGTH) - start) * 32_768 // length, 0, 32_768)
    share = (AMPLITUDE - cosine(progress)) // 2  # 0 .. 32767, smooth at both ends
    held = _held(device)
    other = np.tile(_direction(rng) * GRAVITY_MG // 1000, (LENGTH, 1))
    return held + (other - held) * share[:, None] // AMPLITUDE


_MOVES: tuple[Any, ...] = (_rest, _shake, _circle, _tap, _tilt)
