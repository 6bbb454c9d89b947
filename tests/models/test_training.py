"""INT8-SR against an independent derivation in Python integers, at random and at every limit."""

import itertools
import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.plans import layer_plans
from byzantiny_models.quantization import derive_weights
from byzantiny_models.training import accuracy, forward, output_error, train, train_many

DUMP = json.loads((pathlib.Path(__file__).parent / "data" / "step_4_3_2.json").read_text())
MLP = NETWORKS["mlp-64-32-10"]


def network(sizes):
    last = len(sizes) - 2
    layers = [Dense(n, m, "linear" if i == last else "relu") for i, (n, m) in enumerate(itertools.pairwise(sizes))]
    return Network("-".join(map(str, sizes)), tuple(layers))


def sample(rng, net, n, extreme=0.3):
    """A model and samples, some of whose values lie at their limits."""
    limits = net.layout.limits.astype(np.int64)
    spread = rng.choice([64, 2048, 32_512], size=len(limits))
    model = np.clip(rng.integers(-spread, spread + 1), -limits, limits)
    model = np.where(rng.random(len(limits)) < extreme, np.sign(model) * limits, model).astype(np.int32)
    x = np.where(rng.random((n, net.features)) < extreme, rng.choice([-128, 0, 127]), rng.integers(-128, 128))
    return model, x.astype(np.int8), rng.integers(0, net.classes, n)


def test_the_dump_is_what_its_program_writes(pure):
    assert (pathlib.Path(__file__).parent / "data" / "step_4_3_2.json").read_text() == pure.text()


def test_the_dump_meets_a_dead_a_live_and_a_saturated_unit_and_a_saturating_weight():
    hidden = [v for step in DUMP["steps"] for v in step["layers"][0]["out"]]
    assert 0 in hidden
    assert 127 in hidden
    assert any(0 < v < 127 for v in hidden)
    assert any(abs(v) == 32_512 for v in DUMP["model_after"])


def test_training_reproduces_the_dump():
    net, keys = network(DUMP["sizes"]), DUMP["keys"]
    x, y = np.array(DUMP["x"], dtype=np.int8), np.array(DUMP["y"])
    order, key = tuple(keys["sample_order"]), tuple(keys["training"])
    after = train(net, DUMP["model_before"], x, y, order, key, DUMP["epochs"], DUMP["lr_shift"])
    assert after.tolist() == DUMP["model_after"]


def test_each_forward_pass_and_output_error_of_the_dump_is_reproduced():
    net, model = network(DUMP["sizes"]), DUMP["model_before"]
    for step in DUMP["steps"]:
        z = forward(net, model, np.array([step["x"]], dtype=np.int8))
        assert z[0].tolist() == step["layers"][-1]["out"]
        assert output_error(z, np.array([step["label"]]))[0].tolist() == step["layers"][-1]["error"]
        model = step["model_after"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.sampled_from([[4, 3, 2], [7, 5, 10], [64, 32, 10], [5, 3], [6, 5, 4, 3], [3, 6, 7, 2, 4], [1, 1, 1]]),
    lr_shift=st.integers(4, 14),
    epochs=st.integers(0, 2),
)
def test_training_equals_plain_integers(pure, seed, sizes, lr_shift, epochs):
    rng, net = np.random.default_rng(seed), network(sizes)
    model, x, y = sample(rng, net, n=int(rng.integers(1, 5)))
    keys = [tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in range(2)]
    expected, _ = pure.train(sizes, model.tolist(), x.tolist(), y.tolist(), *keys, epochs, lr_shift)
    assert train(net, model, x, y, *keys, epochs, lr_shift).tolist() == expected


@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, 1), (-1, 1, -1), (-1, -1, -1), (1, 1, -1)])
@pytest.mark.parametrize("x_value", [-128, 127])
@pytest.mark.parametrize("sizes", [[64, 32, 10], [1100, 4, 3], [8, 300, 500, 4]])
def test_nothing_overflows_with_everything_at_its_limit(pure, sizes, x_value, signs):
    # Plain integers cannot overflow and assert int32 at every sum; 1,100 inputs, 500 inner outputs take float64 sums.
    net = network(sizes)
    model = net.layout.limits * signs[0]
    model[net.layout.slices[0]] *= signs[1]
    model[net.layout.slices[-2]] *= signs[2]
    x, y = np.full((1, sizes[0]), x_value, dtype=np.int8), [sizes[-1] - 1]
    keys = (1, 2), (3, 4)
    expected, _ = pure.train(sizes, model.tolist(), x.tolist(), y, *keys, 1, 4)
    assert train(net, model, x, np.array(y), *keys, 1, 4).tolist() == expected


@pytest.mark.parametrize(
    ("sizes", "reached"),
    [
        ([64, 32, 2], {4032, -4032}),  # two classes share an error of 254 steps: (127 * 254 + 4) >> 3
        ([64, 8, 6, 2], {32_767, -32_768}),  # further down the errors saturate: sat16
    ],
)
def test_the_largest_errors_and_their_products_do_not_overflow(pure, sizes, reached):
    # All weights at their limits; biases hold every hidden unit at a = 64, where the gradient passes.
    net = network(sizes)
    model = np.zeros(net.layout.d, dtype=np.int32)
    a, depth = np.full(sizes[0], -128), len(sizes) - 1
    for i, plan in enumerate(layer_plans(net)):
        signs = np.where(np.arange(plan.outputs) % 2, -1, 1)[:, np.newaxis] * np.ones(plan.inputs, dtype=int)
        if i == depth - 2 and depth > 2:
            signs = signs * np.where(np.arange(plan.inputs) % 2, -1, 1)
        if i == depth - 1:
            signs = signs * np.where(np.arange(plan.inputs) % 2, -1, 1)
        model[plan.kernel] = 32_512 * signs.ravel()
        if i < depth - 1:
            model[plan.bias] = (64 << plan.k) - 127 * signs @ a
            a = np.full(plan.outputs, 64)
        else:
            model[plan.bias] = [-(2**24) + 1, 2**24 - 1]
    x, y, keys = np.full((1, sizes[0]), -128, dtype=np.int8), np.array([0]), ((1, 2), (3, 4))
    expected, steps = pure.train(sizes, model.tolist(), x.tolist(), [0], *keys, 1, 4)
    errors = {e for layer in steps[0]["layers"][:-1] for e in layer["error"]}
    assert errors >= reached
    assert train(net, model, x, y, *keys, 1, 4).tolist() == expected


def test_the_float_type_of_a_layers_sums_is_exact():
    assert [plan.dtype for plan in layer_plans(network([1032, 8, 10]))] == [np.float32, np.float32]
    assert [plan.dtype for plan in layer_plans(network([1033, 8, 10]))] == [np.float64, np.float32]
    assert [plan.dtype for plan in layer_plans(network([8, 8, 8, 10]))] == [np.float32, np.float64, np.float32]


@pytest.mark.parametrize("sizes", [[131_072, 2, 2], [4, 4, 517, 2], [4, 257]])
def test_a_network_that_could_overflow_is_refused(sizes):
    with pytest.raises(InvalidValueError, match="make it smaller"):
        layer_plans(network(sizes))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_clients_train_as_each_would_alone(seed):
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, 1, 2, 5, 9], size=6)
    drawn = [sample(rng, MLP, int(n)) for n in counts]
    keys = [[tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in drawn] for _ in range(2)]
    models, xs, ys = (list(part) for part in zip(*drawn, strict=True))
    together = train_many(MLP, np.array(models), xs, ys, *keys, epochs=2, lr_shift=5)
    for c, alone in enumerate(zip(models, xs, ys, *keys, strict=True)):
        assert np.array_equal(together[c], train(MLP, *alone, epochs=2, lr_shift=5))


def test_more_clients_than_a_chunk_share_one_start():
    n, start = 300, initial_model(MLP, 1)
    x, y = np.full((1, 64), 32, dtype=np.int8), np.array([3])
    keys = [(c, 1) for c in range(n)]
    trained = train_many(MLP, start, [x] * n, [y] * n, keys, keys, epochs=1, lr_shift=5)
    for c in (0, 127, 128, 299):
        assert np.array_equal(trained[c], train(MLP, start, x, y, keys[c], keys[c], 1, 5))
    assert len(np.unique(trained, axis=0)) == n  # each with noise of its own


def test_no_clients_and_no_epochs_change_nothing():
    start = initial_model(MLP, 1)
    assert train_many(MLP, start, [], [], [], [], epochs=1, lr_shift=5).shape == (0, 2410)
    x, y = np.zeros((2, 64), dtype=np.int8), np.array([0, 1])
    assert np.array_equal(train(MLP, start, x, y, (1, 2), (3, 4), epochs=0, lr_shift=5), start)


def test_training_leaves_its_arguments_alone():
    rng = np.random.default_rng(1)
    model, x, y = sample(rng, MLP, 4)
    before = [a.copy() for a in (model, x, y)]
    for array in (model, x, y):
        array.setflags(write=False)
    train(MLP, model, x, y, (1, 2), (3, 4), 1, 5)
    assert all(np.array_equal(a, b) for a, b in zip(before, (model, x, y), strict=True))


def test_the_derived_weight_of_every_master_is_its_rounding_within_127():
    w16 = np.arange(-32_512, 32_513)
    w8 = derive_weights(w16)
    assert np.array_equal(w8, np.minimum(np.floor(w16 / 256 + 0.5), 127))
    assert (w8.min(), w8.max()) == (-127, 127)


@given(z=st.lists(st.integers(-128, 127), min_size=2, max_size=12), data=st.data())
def test_output_error_is_the_softmax_gradient_within_its_quantum(z, data):
    label = data.draw(st.integers(0, len(z) - 1))
    e = output_error(np.array([z], dtype=np.int8), np.array([label]))[0]
    exps = np.exp((np.array(z) - max(z)) / 8)
    gradient = exps / exps.sum() - (np.arange(len(z)) == label)
    # Q7; the label's 1 is 127 rather than 128 steps, p at most 127: one step each beside the rounding.
    assert np.abs(e - gradient * 128).max() <= 1.51
    assert np.all((e >= -127) & (e <= 127))


def test_one_step_follows_the_float_gradient_within_its_quantum():
    # Averaged over noise, the update of a weight is -lr * dL/dw: the noise of one step is at most one master unit.
    rng, net, lr_shift = np.random.default_rng(5), network([6, 4, 3]), 5
    model = rng.integers(-8000, 8000, net.layout.d).astype(np.int32)
    model[[24, 25, 26, 27, 40, 41, 42]] = [900, 1800, -300, 2500, 10, -20, 30]
    x, y = rng.integers(-64, 65, (1, 6)).astype(np.int8), np.array([1])
    keys = [(c, 9) for c in range(400)]
    trained = train_many(net, model, [x] * 400, [y] * 400, keys, keys, 1, lr_shift)
    change = (trained - model).mean(axis=0)
    w0, w1 = derive_weights(model[:24]).reshape(4, 6) / 64, derive_weights(model[28:40]).reshape(3, 4) / 64
    a = np.clip((w0 @ (x[0] / 64) + model[24:28] / 2**12), 0, 127 / 32)
    z = w1 @ a + model[40:43] / 2**11
    p = np.exp(z - z.max())
    e = p / p.sum() - np.eye(3)[1]
    eh = (w1.T @ e) * ((a > 0) & (a < 127 / 32))
    rate = 2.0**-lr_shift
    gradient = np.concatenate([np.outer(eh, x[0] / 64).ravel(), eh, np.outer(e, a).ravel(), e])
    units = np.concatenate([np.full(24, 2.0**14), np.full(4, 2.0**12), np.full(12, 2.0**14), np.full(3, 2.0**11)])
    expected = -rate * gradient * units
    # e is off by up to 1.5 steps of Q7 (and logits by half a step of Q3), so 8 % of the largest gradient is ample.
    for where in (slice(0, 24), slice(24, 28), slice(28, 40), slice(40, 43)):
        assert np.abs(change[where] - expected[where]).max() <= 0.08 * np.abs(expected[where]).max() + 0.2


BAD = {
    "lr_shift too small": {"lr_shift": 3},
    "lr_shift too large": {"lr_shift": 15},
    "epochs": {"epochs": 256},
    "label too large": {"y": np.array([10, 0])},
    "label below zero": {"y": np.array([-1, 0])},
    "a label missing": {"y": np.array([1])},
    "float labels": {"y": np.array([0.0, 1.0])},
    "features": {"x": np.zeros((2, 63), dtype=np.int8)},
    "float features": {"x": np.zeros((2, 64))},
    "features beyond int8": {"x": np.full((2, 64), 128)},
    "model": {"flat": np.zeros(2409, dtype=np.int32)},
    "model beyond its limits": {"flat": np.full(2410, 32_513, dtype=np.int32)},
}


@pytest.mark.parametrize("name", BAD)
def test_what_training_cannot_do_is_refused(name):
    good = {"flat": np.zeros(2410, dtype=np.int32), "x": np.zeros((2, 64), dtype=np.int8), "y": np.array([0, 1])}
    arguments = {**good, "key_order": (1, 2), "key_train": (3, 4), "epochs": 1, "lr_shift": 5, **BAD[name]}
    with pytest.raises((InvalidValueError, LayoutError)):
        train(MLP, **arguments)


def test_lists_of_different_lengths_are_refused():
    x, y = np.zeros((2, 64), dtype=np.int8), np.array([0, 1])
    with pytest.raises(InvalidValueError, match="one per client"):
        train_many(MLP, np.zeros(2410, dtype=np.int32), [x], [y], [(1, 2)], [], 1, 5)
    with pytest.raises(InvalidValueError, match="3 models for 1"):
        train_many(MLP, np.zeros((3, 2410), dtype=np.int32), [x], [y], [(1, 2)], [(1, 2)], 1, 5)


def test_accuracy_takes_the_lowest_of_equal_logits_and_refuses_nothing_to_measure():
    x = np.zeros((2, 64), dtype=np.int8)
    assert accuracy(MLP, np.zeros(2410, dtype=np.int32), x, [0, 9]) == 0.5
    with pytest.raises(InvalidValueError, match="at least 1"):
        accuracy(MLP, np.zeros(2410, dtype=np.int32), x[:0], [])
    with pytest.raises(InvalidValueError, match="one each"):
        accuracy(MLP, np.zeros(2410, dtype=np.int32), x, [0])
