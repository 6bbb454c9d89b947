"""Synthetic sound of a rotating machine, as 32 band energies a frame, and three faults put into it.

No machine was recorded. A machine has a speed, a comb of harmonics and a noise floor; a fault adds to it: an imbalance to the
first harmonic, a bearing blows at its own frequency, friction to the noise above. Parameters: docs/data.md. The bands are
computed in integers, as a device could: a sum over 512 samples per frequency, squared, then a logarithm by table.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.readers.samples import Samples
from byzantiny_models.synthetic.waves import AMPLITUDE, cosine, decaying, noise, sine

STATES = ("normal", "imbalance", "bearing", "friction")
FRAME = 512
RATE_HZ = 16_000
BANDS = 32
BINS_PER_BAND = FRAME // 2 // BANDS
LOG_STEPS = 8
"""Steps of the logarithm to the base 2 per octave of energy: 0.375 dB each."""
MOST_LOG = 61 * LOG_STEPS

Signal = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: its speed in hertz, the amplitude of each harmonic, its noise; amplitudes are of int16."""

    speed_hz: int
    harmonics: Signal
    noise: int
    blade: int
    """Which harmonic the blades give: 3 to 9."""


def machine_sound(
    rng: np.random.Generator, machines: int, frames: int, *, faults: bool, first: int = 1, fault_strength: int = 1000
) -> Samples:
    """Return `frames` frames of each machine, float32 (n, 32): log2 energy per band in octaves.

    Without `faults` all are normal (label 0); with them every second frame has one, the faults in turn
    (labels 1, 2, 3). `fault_strength` is in thousandths. Keys are `machine-001` and so on, from `first`.

    >>> samples = machine_sound(np.random.default_rng(0), machines=2, frames=12, faults=True)
    >>> samples.n, samples.shape, samples.counts.tolist()
    (24, (32,), [12, 4, 4, 4])
    """
    labels = [0 if not faults or f % 2 == 0 else 1 + (f // 2) % 3 for f in range(frames)]
    features = []
    for _ in range(machines):
        machine = _draw_machine(rng)
        sounds = np.stack([_sound(rng, machine, label, fault_strength) for label in labels])
        features.append(band_energies(sounds))
    x = (np.concatenate(features) / LOG_STEPS).astype(np.float32)
    keys = tuple(f"machine-{first + i:03d}" for i in range(machines) for _ in range(frames))
    return Samples("machine-sound", x, np.tile(np.array(labels, dtype=np.int64), machines), len(STATES), keys)


def band_energies(sounds: Signal) -> Signal:
    """Return `floor(8 log2(1 + energy))` of 32 bands of eight frequencies each, int64 (n, 32), of frames int16 (n, 512).

    >>> tone = sine(np.arange(512) * 65_536 * 36 // 512)[None, :] // 4
    >>> int(band_energies(tone).argmax())
    4
    """
    # Exact in float64 whatever the order: 2^15 * 2^15 * 2^9 < 2^53.
    real, imaginary = ((sounds.astype(np.float64) @ waves).astype(np.int64) >> 20 for waves in _fourier())
    energy = (real**2 + imaginary**2).reshape(len(sounds), BANDS, BINS_PER_BAND).sum(axis=2)
    return np.asarray(np.searchsorted(_THRESHOLDS, energy + 1, side="right") - 1, dtype=np.int64)


@functools.cache
def _fourier() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    turns = np.arange(FRAME)[:, None] * np.arange(FRAME // 2) * (65_536 // FRAME)
    return cosine(turns).astype(np.float64), sine(turns).astype(np.float64)


def _thresholds() -> Signal:
    """ceil(2^(k / 8)) for every k, by integer roots: the smallest t with t^8 >= 2^k."""
    values = []
    for k in range(MOST_LOG + 1):
        t = max(1, round(2 ** (k / LOG_STEPS)) - 2)
        while t**LOG_STEPS < 1 << k:
            t += 1
        values.append(t)
    return np.array(values, dtype=np.int64)


_THRESHOLDS = _thresholds()


def _draw_machine(rng: np.random.Generator) -> Machine:
    blade = int(rng.integers(3, 10))
    harmonics = 1500 // np.arange(1, 33) + rng.integers(0, 60, 32)
    harmonics[blade - 1] += int(rng.integers(600, 1200))
    return Machine(int(rng.integers(90, 181)), harmonics, int(rng.integers(60, 160)), blade)


def _sound(rng: np.random.Generator, machine: Machine, state: int, strength: int) -> Signal:
    speed_mhz = machine.speed_hz * 1000 + int(rng.integers(-1500, 1501))
    load = int(rng.integers(800, 1201))
    wave = noise(rng, (FRAME,), machine.noise)
    time = np.arange(FRAME, dtype=np.int64)
    amplitudes = machine.harmonics * load // 1000
    if state == 1:
        amplitudes = amplitudes.copy()
        amplitudes[0] += 4500 * strength // 1000
    order = np.arange(1, len(amplitudes) + 1)[:, None]
    turns = rng.integers(0, 65_536, (len(amplitudes), 1)) + time * 65_536 * speed_mhz * order // (1000 * RATE_HZ)
    wave = wave + (sine(turns) * amplitudes[:, None] // AMPLITUDE).sum(axis=0)
    if state == 2:
        wave = wave + _blows(rng, speed_mhz) * (900 * strength // 1000) // AMPLITUDE
    if state == 3:
        hiss = noise(rng, (FRAME + 1,), 170 * strength // 1000)
        wave = wave + hiss[1:] - hiss[:-1]  # a difference: more of it the higher the frequency
    return np.asarray(np.clip(wave, -32_768, 32_767), dtype=np.int64)


def _blows(rng: np.random.Generator, speed_mhz: int) -> Signal:
    """A ringing blow 3.6 times a turn, as an outer race gives it."""
    ring = decaying(64, 93, 100) * sine(np.arange(64) * 65_536 * 4100 // RATE_HZ) // AMPLITUDE
    period = RATE_HZ * 10_000 // (speed_mhz * 36)
    wave = np.zeros(FRAME + 64, dtype=np.int64)
    for at in range(int(rng.integers(0, period)), FRAME, period):
        wave[at : at + 64] += ring
    return wave[:FRAME]
