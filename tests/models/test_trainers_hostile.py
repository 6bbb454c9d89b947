"""Trainers on what no honest round brings: saturated models, extreme samples, labels and rates that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.trainers import TRAINERS, Job
from byzantiny_models.trainers.niti import loss_error, pseudo_stochastic

MLP = NETWORKS["mlp-64-32-10"]
TINY = Network("tiny", (Dense(3, 4, "relu"), Dense(4, 2, "linear")))
KEYS = tuple(derive_key(1, "dev-01", 1, stream) for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING))


def job(network, start, x, y, *, epochs=1, lr_shift=5):
    return Job(network, np.asarray(start, dtype=np.int32), np.asarray(x), np.asarray(y), *KEYS, epochs, lr_shift)


def pairs():
    for trainer in TRAINERS.values():
        for network in NETWORKS.values():
            try:
                trainer.check(network)
            except InvalidValueError:
                continue
            yield pytest.param(trainer, network, id=f"{trainer.name}-{network.name}")


@pytest.mark.parametrize(("trainer", "network"), list(pairs()))
def test_models_and_samples_at_their_limits_leave_a_model_within_them(trainer, network):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((2, network.features)) < 0.5, -128, 127).astype(np.int8)
    y = rng.integers(0, network.classes, 2)
    for start in (network.layout.limits, -network.layout.limits):
        for lr_shift in (trainer.lr_shifts[0], trainer.lr_shifts[-1]):
            trained = trainer.train(job(network, start, x, y, epochs=2, lr_shift=lr_shift))
            network.layout.check(trained.start)  # raises beyond a limit
            network.layout.check(trained.local)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(TRAINERS)), st.integers(0, 2**32 - 1), st.integers(4, 7))
def test_any_model_and_any_samples_leave_a_model_within_its_limits(name, seed, lr_shift):
    rng = np.random.default_rng(seed)
    limits = TINY.layout.limits
    start = rng.integers(-limits, limits, endpoint=True)
    x = rng.integers(-128, 128, (4, 3)).astype(np.int8)
    trained = TRAINERS[name].train(job(TINY, start, x, rng.integers(0, 2, 4), epochs=3, lr_shift=lr_shift))
    TINY.layout.check(trained.local)
    TINY.layout.check(trained.start)


def test_float32_that_diverges_stays_where_it_began():
    """Squared errors at 2^-4 on extreme inputs grow without bound; what is no number is no update, and warns of nothing."""
    network = NETWORKS["autoencoder-32"]
    start = network.layout.limits
    x = np.full((6, 32), 127, dtype=np.int8)
    trained = TRAINERS["float32"].train(job(network, start, x, np.zeros(6, dtype=np.int64), epochs=3, lr_shift=4))
    assert np.array_equal(trained.local, trained.start)


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda t: t.name)
def test_what_is_no_sample_of_the_network_is_refused_by_name(trainer):
    start, x = initial_model(MLP, 1), np.zeros((2, 64), dtype=np.int8)
    for wrong, labels in ((x, [0, 10]), (x, [-1, 0]), (x, [0]), (x[:, :63], [0, 1]), (x.astype(np.float32), [0, 1])):
        with pytest.raises(InvalidValueError):
            trainer.train(job(MLP, start, wrong, labels))
    with pytest.raises(InvalidValueError, match="lr_shift 15"):
        trainer.train(job(MLP, start, x, [0, 1], lr_shift=15))
    with pytest.raises(InvalidValueError, match="epochs 256"):
        trainer.train(job(MLP, start, x, [0, 1], epochs=256))


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda t: t.name)
def test_no_samples_are_no_update(trainer):
    trained = trainer.train(job(MLP, initial_model(MLP, 1), np.zeros((0, 64), dtype=np.int8), np.zeros(0, dtype=int)))
    assert np.array_equal(trained.local, trained.start)


def test_niti_takes_no_rate_in_silence_for_another():
    with pytest.raises(InvalidValueError, match=r"trainer niti with lr_shift 8: it takes 4 \.\. 7"):
        TRAINERS["niti"].train(job(MLP, initial_model(MLP, 1), np.zeros((1, 64), dtype=np.int8), [0], lr_shift=8))


@given(st.lists(st.integers(-127, 127), min_size=2, max_size=10), st.integers(-60, -7))
def test_niti_s_loss_of_ever_smaller_logits_is_that_of_integers_without_limit(logits, e):
    """The series 1 + x + x^2 / 2 at x = v 2^e, times 2^(1 - 2e), as Python's integers have it."""
    g = [2 ** (1 - 2 * e) + v * 2 ** (1 - e) + v * v for v in logits]
    g = [(each << 11) // sum(g) for each in g]
    g[0] -= sum(g)
    assert np.array_equal(loss_error(np.array([logits]), e, np.array([0]))[0], pseudo_stochastic(np.array(g), 4))


def test_niti_trains_four_layers_that_begin_with_nothing():
    network = Network("deep", (*(Dense(4, 4, "relu") for _ in range(3)), Dense(4, 2, "linear")))
    trained = TRAINERS["niti"].train(
        job(network, np.zeros(network.layout.d), np.full((3, 4), 64, dtype=np.int8), [0, 1, 1])
    )
    network.layout.check(trained.local)
