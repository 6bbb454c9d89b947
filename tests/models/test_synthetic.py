"""Generated sensor data: the same on every machine, what its card says, and hard enough to tell methods apart."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from byzantiny_models.synthetic import imu_gestures, machine_sound
from byzantiny_models.synthetic.imu import CLASSES
from byzantiny_models.synthetic.machine import BINS_PER_BAND, FRAME, LOG_STEPS, band_energies
from byzantiny_models.synthetic.waves import noise, sine


def digest(samples):
    return hashlib.sha256(samples.x.astype("<f4").tobytes() + samples.y.astype("<i8").tobytes()).hexdigest()[:16]


def test_generated_samples_are_pinned():
    """A platform that computes one of them differently would show here, and in every model after it."""
    assert digest(imu_gestures(np.random.default_rng(1), devices=3, windows=20)) == "f7ee34f262333560"
    assert digest(machine_sound(np.random.default_rng(1), machines=3, frames=24, faults=True)) == "681de64649885b38"


def test_the_wave_table_is_a_sine():
    turns = np.arange(0, 65_536, 7)
    assert np.abs(sine(turns) / 32_767 - np.sin(2 * np.pi * turns / 65_536)).max() < 2 * np.pi / 4096 + 1e-4
    assert abs(int(sine(np.arange(0, 65_536, 16)).sum())) == 0


def test_the_noise_has_the_deviation_asked_for_and_no_mean():
    drawn = noise(np.random.default_rng(0), (200_000,), 400)
    assert abs(drawn.mean() + 0.5) < 4 * 400 / np.sqrt(200_000)  # rounded down: half a step below 0
    assert abs(drawn.std() - 400) < 3


def test_the_bands_are_those_of_a_fourier_transform():
    """Against NumPy's FFT: the logarithm of the energy in eight frequencies each, within one step of the logarithm."""
    rng = np.random.default_rng(2)
    sounds = rng.integers(-8000, 8001, (50, FRAME))
    spectrum = np.abs(np.fft.rfft(sounds, axis=1)[:, : FRAME // 2] * 32_767 / (1 << 20)) ** 2
    energy = spectrum.reshape(50, -1, BINS_PER_BAND).sum(axis=2)
    assert np.abs(band_energies(sounds) - LOG_STEPS * np.log2(1 + energy)).max() < 1.2


def test_gestures_are_in_turn_within_range_and_of_the_device_they_name():
    samples = imu_gestures(np.random.default_rng(3), devices=4, windows=25, first=7)
    assert np.abs(samples.x).max() <= 4
    assert samples.counts.tolist() == [20] * len(CLASSES)
    assert sorted(set(samples.keys)) == ["imu-007", "imu-008", "imu-009", "imu-010"]


def test_a_device_at_rest_shows_gravity_its_bias_and_its_drift():
    samples = imu_gestures(np.random.default_rng(4), devices=30, windows=50)
    rest = samples.x[samples.y == 0].reshape(30, 10, 128, 3).mean(axis=2)
    length = np.linalg.norm(rest, axis=2)
    assert 0.6 < length.min() < length.max() < 1.5
    drift = np.linalg.norm(rest[:, -1] - rest[:, 0], axis=1)
    assert 0.05 < drift.mean() < 0.3
    assert drift.max() <= np.sqrt(3) * 0.15 + 0.05


def test_gestures_differ_in_how_much_they_move():
    samples = imu_gestures(np.random.default_rng(5), devices=20, windows=25)
    moved = samples.x.std(axis=1).mean(axis=1)
    average = [moved[samples.y == c].mean() for c in range(len(CLASSES))]
    assert min(average[1:]) > 2 * average[0]


@pytest.mark.parametrize("state", [1, 2, 3])
def test_a_fault_is_found_by_a_linear_model_of_normal_sound_more_often_than_not_and_not_always(state):
    """What an autoencoder is to learn: four principal components of normal frames, the rest of a frame is its score."""
    normal = machine_sound(np.random.default_rng(6), machines=8, frames=80, faults=False).x
    tested = machine_sound(np.random.default_rng(7), machines=4, frames=120, faults=True, first=9)
    mean = normal.mean(axis=0)
    basis = np.linalg.svd(normal - mean, full_matrices=False)[2][:4]
    rest = tested.x - mean
    score = ((rest - rest @ basis.T @ basis) ** 2).mean(axis=1)
    good, bad = score[tested.y == 0], score[tested.y == state]
    auc = (bad[:, None] > good[None, :]).mean()
    assert 0.7 < auc < 0.99


def test_a_stronger_fault_is_heard_better():
    def distance(strength):
        samples = machine_sound(np.random.default_rng(8), machines=2, frames=60, faults=True, fault_strength=strength)
        return np.abs(samples.x[samples.y == 3].mean(axis=0) - samples.x[samples.y == 0].mean(axis=0)).mean()

    assert distance(0) < distance(1000) < distance(4000)


def test_a_generator_draws_from_nothing_but_the_one_it_is_given():
    for make in (lambda g: imu_gestures(g, 2, 5), lambda g: machine_sound(g, 2, 5, faults=True)):
        assert digest(make(np.random.default_rng(9))) == digest(make(np.random.default_rng(9)))
        assert digest(make(np.random.default_rng(9))) != digest(make(np.random.default_rng(10)))
