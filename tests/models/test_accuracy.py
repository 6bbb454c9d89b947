"""What the integers cost: INT8-SR beside float32 SGD on digits, centralised; and the float control itself."""

import numpy as np
import pytest

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.float_training import accuracy_float, forward_float, to_float, train_float, train_float_many
from byzantiny_models.networks import Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import load_task
from byzantiny_models.training import accuracy, train_many

# Means of seeds 1..5 on the pinned split, 20 epochs. With features of pixel * 7: INT8-SR at lr 2^-5 96.56 +- 0.57 %.
# With pixel * 4 it was 96.44 there (and 97.39 on five random splits: the pinned one is hard), but a federation of twelve
# clients learns more slowly from it: 95.5 % after 40 rounds of two epochs, against 96.2 %.
SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def integers():
    task = load_task("digits")
    order, noise = (
        [derive_key(seed, "central", 1, s) for seed in SEEDS] for s in (Stream.SAMPLE_ORDER, Stream.TRAINING)
    )
    starts = np.stack([initial_model(task.network, seed) for seed in SEEDS])
    n = len(SEEDS)
    models = train_many(
        task.network, starts, [task.train_x] * n, [task.train_y] * n, order, noise, epochs=20, lr_shift=5
    )
    return np.mean([accuracy(task.network, model, task.test_x, task.test_y) for model in models])


def test_int8_training_learns_digits(integers):
    assert integers >= 0.965


def test_float32_training_does_no_better_than_int8(integers):
    task, rng = load_task("digits"), np.random.default_rng(1)
    start = to_float(task.network.layout, initial_model(task.network, 1))
    model = train_float(task.network, start, task.train_x, task.train_y, rng, epochs=20)
    control = accuracy_float(task.network, model, task.test_x, task.test_y)
    assert control >= 0.955
    assert integers >= control - 0.01


def test_a_float_step_follows_the_numerical_gradient():
    network = Network("tiny", (Dense(5, 4, "relu"), Dense(4, 3, "relu"), Dense(3, 2, "linear")))
    rng = np.random.default_rng(4)
    model = rng.normal(size=network.layout.d).astype(np.float32)
    x, y, rate = rng.integers(-64, 65, (1, 5)), np.array([1]), 1e-3

    def loss(flat):
        z = forward_float(network, flat, x)[0].astype(np.float64)
        return np.log(np.exp(z - z.max()).sum()) + z.max() - z[1]

    step = (model - train_float(network, model, x, y, rng, epochs=1, learning_rate=rate)) / rate
    for i in range(network.layout.d):
        nudge = np.zeros_like(model)
        nudge[i] = 1e-2
        assert step[i] == pytest.approx((loss(model + nudge) - loss(model - nudge)) / 2e-2, abs=5e-3)


def test_the_float_control_starts_from_the_same_numbers():
    task = load_task("digits")
    start = initial_model(task.network, 2)
    real = to_float(task.network.layout, start)
    assert np.array_equal(real[:2048] * 2**14, start[:2048])
    assert real.dtype == np.float32


def test_float_training_leaves_its_arguments_alone_and_refuses_what_does_not_fit():
    task = load_task("digits")
    start = to_float(task.network.layout, initial_model(task.network, 2))
    before = start.copy()
    rng = np.random.default_rng(0)
    train_float(task.network, start, task.train_x[:5], task.train_y[:5], rng, epochs=1)
    assert np.array_equal(start, before)
    with pytest.raises(InvalidValueError, match="labels"):
        train_float(task.network, start, task.train_x[:2], [0], rng, epochs=1)
    with pytest.raises(InvalidValueError, match="labels"):
        train_float(task.network, start, task.train_x[:1], [10], rng, epochs=1)
    with pytest.raises(InvalidValueError, match="2410"):
        train_float(task.network, start[:-1], task.train_x[:1], [1], rng, epochs=1)


def test_float_clients_that_train_together_are_those_that_train_alone():
    """Clients of other sizes, one without samples; the order that each draws is its own."""
    task, sizes = load_task("digits"), [3, 40, 0, 17]
    start = to_float(task.network.layout, initial_model(task.network, 2))
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    xs, ys = ([array[part] for part in parts] for array in (task.train_x, task.train_y))
    together = train_float_many(task.network, start, xs, ys, [np.random.default_rng(i) for i in range(4)], epochs=2)
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        assert np.allclose(
            together[i], train_float(task.network, start, x, y, np.random.default_rng(i), epochs=2), atol=1e-6
        )
    assert np.array_equal(together[2], start)
