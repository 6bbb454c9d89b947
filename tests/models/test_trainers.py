"""Each trainer against a derivation of its own, in Python integers and loops, and all of them side by side on digits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS, Job, niti
from byzantiny_models.trainers.dfa import feedback
from byzantiny_models.training import accuracy, train

SIZES = st.sampled_from([[4, 3, 2], [7, 5, 10], [6, 5, 4, 3], [5, 3], [1, 1, 1]])
RATES = st.integers(4, 14)
SEED = st.integers(0, 2**32 - 1)


def network(sizes):
    last = len(sizes) - 2
    layers = [Dense(n, m, "linear" if i == last else "relu") for i, (n, m) in enumerate(itertools.pairwise(sizes))]
    return Network("-".join(map(str, sizes)), tuple(layers))


def job(sizes, seed, lr_shift, samples=5, epochs=2):
    """A client whose model and samples lie at their limits here and there."""
    rng, net = np.random.default_rng(seed), network(sizes)
    limits = net.layout.limits.astype(np.int64)
    spread = rng.choice([64, 2048, 32_512], size=len(limits))
    model = np.clip(rng.integers(-spread, spread + 1), -limits, limits)
    model = np.where(rng.random(len(limits)) < 0.2, np.sign(model) * limits, model).astype(np.int32)
    x = np.where(
        rng.random((samples, sizes[0])) < 0.3, rng.choice([-128, 0, 127]), rng.integers(-128, 128, (samples, sizes[0]))
    )
    keys = [tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in range(2)]
    return Job(net, model, x.astype(np.int8), rng.integers(0, net.classes, samples), *keys, epochs, lr_shift)


def kernels_of(sizes):
    """Where the kernels lie in a flat model: offset, rows, fan_in."""
    offset = 0
    for n, m in itertools.pairwise(sizes):
        yield offset, m, n
        offset += n * m + m


def clip(v, low, high):
    return max(low, min(v, high))


def steps_of(pure, work):
    """Which samples a client visits, and when."""
    visits = itertools.chain.from_iterable(
        pure.order(len(work.y), epoch, *work.key_order) for epoch in range(work.epochs)
    )
    return list(enumerate(visits))


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_int8_sr_by_name_is_what_every_body_trains(sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift)
    trained = TRAINERS["int8-sr"].train(work)
    direct = train(
        work.network, work.start, work.x, work.y, work.key_order, work.key_train, epochs=work.epochs, lr_shift=lr_shift
    )
    assert trained.local.tolist() == direct.tolist()
    assert trained.start.tolist() == work.start.tolist()


def int8_only_step(pure, sizes, model, x, y, t, key, lr_shift):
    """`w8 -= floor((e a + u) / 2^(s + 8))`, u uniform below 2^(s + 8), s that of a master; biases as in INT8-SR."""
    record = pure.step(sizes, model, x, y, t, key, lr_shift)
    after, inputs = list(record["model_after"]), [list(x), *(layer["out"] for layer in record["layers"])]
    a_key, b_key = record["noise_key"]
    for layer, (offset, rows, fan_in) in enumerate(kernels_of(sizes)):
        shift = (7 if layer == len(sizes) - 2 else 10) + (6 if layer == 0 else 5) + lr_shift - 14 + 8
        for o, j in itertools.product(range(rows), range(fan_in)):
            i = offset + o * fan_in + j
            product = record["layers"][layer]["error"][o] * inputs[layer][j]
            noise = pure.draw(i, a_key, b_key) >> (32 - shift)
            after[i] = 256 * clip(model[i] // 256 - math.floor((product + noise) / 2**shift), -127, 127)
    return after


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_int8_only_follows_its_formula_and_has_no_finer_weight_than_int8(pure, sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift)
    trained = TRAINERS["int8-only"].train(work)
    model = [int(v) for v in work.start]
    for offset, rows, fan_in in kernels_of(sizes):
        for i in range(offset, offset + rows * fan_in):
            model[i] = 256 * min(127, (model[i] + 128) // 256)
    assert trained.start.tolist() == model
    for t, i in steps_of(pure, work):
        x = [int(v) for v in work.x[i]]
        model = int8_only_step(pure, sizes, model, x, int(work.y[i]), t, work.key_train, lr_shift)
    assert trained.local.tolist() == model
    for offset, rows, fan_in in kernels_of(sizes):
        weights = trained.local[offset : offset + rows * fan_in]
        assert not (weights % 256).any()
        assert np.abs(weights).max() <= 127 * 256
