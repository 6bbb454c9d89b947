"""Trainers on what no honest round brings: saturated models, extreme samples, labels, samples and rates that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError, TrainerError
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.trainers import TRAINERS, check_trainer

MLP = NETWORKS["mlp-64-32-10"]
TINY = Network("tiny", (Dense(3, 4, "relu"), Dense(4, 2, "linear")))
KEYS = [[derive_key(1, "dev-01", 1, stream)] for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)]


def train(name, network, start, x, y, *, epochs=1, lr_shift=5):
    (local,) = TRAINERS[name].train_many(network, np.asarray(start), [x], [y], *KEYS, epochs, lr_shift)
    return local


def pairs():
    for name, trainer in TRAINERS.items():
        for network in NETWORKS.values():
            try:
                check_trainer(trainer.info, network)
            except TrainerError:
                continue
            yield pytest.param(name, network, id=f"{name}-{network.name}")


@pytest.mark.parametrize(("name", "network"), list(pairs()))
def test_models_and_samples_at_their_limits_leave_a_model_within_them(name, network):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((2, network.features)) < 0.5, -128, 127).astype(np.int8)
    y = rng.integers(0, network.classes, 2)
    for start in (network.layout.limits, -network.layout.limits):
        for lr_shift in TRAINERS[name].info.lr_shifts:
            network.layout.check(
                train(name, network, start, x, y, epochs=2, lr_shift=lr_shift)
            )  # raises beyond a limit


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(TRAINERS)), st.integers(0, 2**32 - 1), st.integers(4, 8))
def test_any_model_and_any_samples_leave_a_model_within_its_limits(name, seed, lr_shift):
    rng = np.random.default_rng(seed)
    start = rng.integers(-TINY.layout.limits, TINY.layout.limits, endpoint=True)
    x = rng.integers(-128, 128, (4, 3)).astype(np.int8)
    TINY.layout.check(train(name, TINY, start, x, rng.integers(0, 2, 4), epochs=3, lr_shift=lr_shift))


@pytest.mark.parametrize("name", TRAINERS)
def test_what_is_no_sample_of_the_network_is_refused(name):
    start, x = initial_model(MLP, 1), np.zeros((2, 64), dtype=np.int8)
    for wrong, labels in ((x, [0, 10]), (x, [-1, 0]), (x, [0]), (x[:, :63], [0, 1]), (x.astype(np.float32), [0, 1])):
        with pytest.raises(InvalidValueError):
            train(name, MLP, start, wrong, labels)
    with pytest.raises(InvalidValueError, match="lr_shift 15"):
        train(name, MLP, start, x, [0, 1], lr_shift=15)
    with pytest.raises(InvalidValueError, match="epochs 256"):
        train(name, MLP, start, x, [0, 1], epochs=256)


@pytest.mark.parametrize("name", TRAINERS)
def test_no_samples_are_no_update(name):
    start = initial_model(MLP, 1)
    assert np.array_equal(train(name, MLP, start, np.zeros((0, 64), dtype=np.int8), np.zeros(0, dtype=int)), start)


def test_niti_trains_four_layers_that_begin_with_nothing():
    """Every product is 0, so nothing is rescaled and the outputs' exponent is far below what the loss is computed at."""
    network = Network("deep", (*(Dense(4, 4, "relu") for _ in range(3)), Dense(4, 2, "linear")))
    x = np.full((3, 4), 64, dtype=np.int8)
    network.layout.check(train("niti", network, np.zeros(network.layout.d, dtype=np.int32), x, [0, 1, 1]))
