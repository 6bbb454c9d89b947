"""Convolutions, pooling, both heads and frozen tensors against plain Python integers, at random and at every limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import accuracy, activations, forward, reconstruction_errors
from byzantiny_models.layers import AveragePool1D, AveragePool2D, Conv1D, Conv2D, Dense, Flatten
from byzantiny_models.networks import Network, initial_model
from byzantiny_models.plans import layer_plans
from byzantiny_models.quantization import derive_weights
from byzantiny_models.training import squared_error, train, train_many

NETWORKS = {
    network.name: network
    for network in (
        Network("image", (Conv2D((5, 5, 1), 4, (3, 3)), Conv2D((3, 3, 4), 3, (2, 2), padding="same"),
                          AveragePool2D((3, 3, 3), (2, 2)), Flatten((1, 1, 3)), Dense(3, 4, "linear"))),
        Network("strides", (Conv2D((6, 5, 2), 3, (3, 2), (2, 3), "same"), Conv2D((3, 2, 3), 2, (2, 1), (1, 1), "valid", "linear"),
                            Flatten((2, 2, 2)), Dense(8, 3, "relu"), Dense(3, 3, "linear"))),
        Network("signal", (AveragePool1D((13, 2), 2), Conv1D((6, 2), 4, 3, 2, "same"), AveragePool1D((3, 4), 3),
                           Flatten((1, 4)), Dense(4, 3, "linear"))),
        Network("line", (Conv1D((8, 1), 2, 3), Flatten((6, 2)), Dense(12, 2, "linear"))),
        Network("auto", (Dense(6, 4, "relu"), Dense(4, 2, "linear"), Dense(2, 6, "linear")), head="squared-error"),
        Network("flat", (Dense(3, 3, "linear"),), head="squared-error"),
    )
}  # fmt: skip


def described(network):
    """The layers as the oracle takes them."""
    rows = []
    for layer in network.layers:
        if isinstance(layer, Dense):
            rows.append(("dense", layer.inputs, layer.outputs, layer.activation))
        elif isinstance(layer, Conv2D):
            rows.append(
                ("conv", layer.input_shape, layer.filters, layer.kernel, layer.strides, layer.padding, layer.activation)
            )
        elif isinstance(layer, Conv1D):
            image = (1, *layer.input_shape)
            rows.append(
                ("conv", image, layer.filters, (1, layer.kernel), (1, layer.stride), layer.padding, layer.activation)
            )
        elif isinstance(layer, AveragePool2D):
            rows.append(("pool", layer.input_shape, layer.pool))
        elif isinstance(layer, AveragePool1D):
            rows.append(("pool", (1, *layer.input_shape), (1, layer.pool)))
    return rows


def tensors(network, flat):
    """A model as the oracle takes it."""
    own, rows = iter(network.layout.slices), []
    for i, trained in enumerate(network.trainable):
        rows.append({"master": flat[next(own)].tolist()} if trained else {"frozen": network.frozen_tensor(i).tolist()})
    return list(zip(rows[::2], rows[1::2], strict=True))


def masters(model):
    return [v for pair in model for tensor in pair for v in tensor.get("master", ())]


def sample(rng, network, n, extreme=0.2):
    """A model and samples, some of whose values lie at their limits."""
    limits = network.whole.layout.limits.astype(np.int64)
    spread = rng.choice([64, 2048, 32_512], size=len(limits))
    model = np.clip(rng.integers(-spread, spread + 1), -limits, limits)
    model = np.where(rng.random(len(limits)) < extreme, np.sign(model) * limits, model).astype(np.int32)
    x = np.where(rng.random((n, network.features)) < extreme, rng.choice([-128, 0, 127]), rng.integers(-128, 128))
    return model, x.astype(np.int8), rng.integers(0, network.classes, n)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(NETWORKS)), lr_shift=st.integers(4, 14))
def test_training_equals_plain_integers(layered, seed, name, lr_shift):
    network, rng = NETWORKS[name], np.random.default_rng(seed)
    model, x, y = sample(rng, network, int(rng.integers(1, 4)), extreme=rng.choice([0.0, 0.3]))
    keys = [tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in range(2)]
    rows = described(network)
    for found, sample_x in zip(zip(*activations(network, model, x), strict=True), x.tolist(), strict=True):
        expected = layered.forward(rows, network.head, tensors(network, model), sample_x)[1:]
        assert [a.tolist() for a in found] == expected
    expected = layered.train(rows, network.head, tensors(network, model), x.tolist(), y.tolist(), *keys, 2, lr_shift)
    assert train(network, model, x, y, *keys, 2, lr_shift).tolist() == masters(expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("x_value", [-128, 127])
def test_nothing_overflows_with_everything_at_its_limit(layered, name, signs, x_value):
    # Plain integers cannot overflow, and the oracle asserts int32 at every sum.
    network = NETWORKS[name]
    model = network.layout.limits * signs[0]
    model[network.layout.slices[-2]] *= signs[1]
    x, y, keys = np.full((1, network.features), x_value, dtype=np.int8), [network.classes - 1], ((1, 2), (3, 4))
    expected = layered.train(described(network), network.head, tensors(network, model), x.tolist(), y, *keys, 1, 4)
    assert train(network, model, x, np.array(y), *keys, 1, 4).tolist() == masters(expected)


def wide(positions, filters=2, units=16):
    """A 1x1 convolution over a line, two dense layers above it: an error that saturates reaches every position."""
    return Network("wide", (Conv2D((1, positions, 1), filters, (1, 1)), Flatten((1, positions, filters)),
                            Dense(positions * filters, units, "relu"), Dense(units, 2, "linear")))  # fmt: skip


def at_the_limit(network, sign):
    """A model in which every activation below the outputs is 64, and every error reaches its limit with this sign."""
    model = np.zeros(network.layout.d, dtype=np.int32)
    conv, inner, last = layer_plans(network)
    model[conv.bias] = 64 << conv.k
    weight = 32_512 if inner.fan_in <= 2048 else 16 << 8  # the bias, below 2^24, has to make up for all of them
    model[inner.kernel] = np.where(np.arange(inner.rows) % 2, 1, -1).repeat(inner.fan_in) * weight * sign
    model[inner.bias] = (64 << inner.k) - derive_weights(model[inner.kernel]).reshape(inner.rows, -1).sum(axis=1) * 64
    model[last.kernel] = np.outer([1, -1], np.where(np.arange(last.fan_in) % 2, -1, 1)).ravel() * 32_512
    return model


@pytest.mark.parametrize("positions", [512, 1024, 3000])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_sum_of_a_filters_gradient_stays_within_int32_at_its_limit(layered, positions, sign):
    network = wide(positions)
    limit = layer_plans(network)[0].error_limit
    assert limit == min(32_767, (2**31 - 2**17) // (128 * positions) - 1)
    model = at_the_limit(network, sign)
    x, y, keys, seen = np.full((1, positions), -128, dtype=np.int8), np.array([0]), ((1, 2), (3, 4)), {}
    expected = layered.train(described(network), "softmax", tensors(network, model), x.tolist(), [0], *keys, 1, 4, seen)
    errors = [e for layer, found in seen["errors"] if layer == 0 for e in found]
    assert set(errors) <= {limit, -limit - 1}
    assert seen["gradient"] == 128 * positions * max(map(abs, errors))
    assert seen["gradient"] + 128 * positions > 2**31 - 2**20
    assert train(network, model, x, y, *keys, 1, 4).tolist() == masters(expected)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ((Conv2D((1, 140_000, 1), 2, (1, 1)), Flatten((1, 140_000, 2)), Dense(280_000, 2, "linear")), "positions"),
        ((Dense(4, 4, "relu"), Dense(4, 517, "relu"), Dense(517, 2, "linear")), "outputs an input"),
        ((Conv2D((9, 9, 1), 4, (1, 1)), Conv2D((9, 9, 4), 58, (3, 3)), Flatten((7, 7, 58)), Dense(2842, 2, "linear")),
         "outputs an input"),
        ((Conv2D((1, 131_072, 1), 2, (1, 131_072)), Flatten((1, 1, 2)), Dense(2, 2, "linear")), "131072 products"),
    ],
)  # fmt: skip
def test_a_layer_that_could_overflow_is_refused(layers, why):
    with pytest.raises(InvalidValueError, match=f"{why}.*make it smaller"):
        layer_plans(Network("large", layers))


def test_below_a_frozen_part_there_is_no_limit_on_what_is_not_computed():
    large = Network("large", (Dense(4, 4, "relu"), Dense(4, 517, "relu"), Dense(517, 2, "linear")))
    assert len(layer_plans(large.scoped("last-layer", initial_model(large, 1)))) == 3


SCOPES = {
    "image": ["last-layer", "biases", ["conv2d1/kernel"], ["conv2d0/bias", "dense0/bias"], ["conv2d0/kernel"]],
    "strides": ["last-layer", "biases", ["conv2d1/bias", "dense1/kernel"], ["dense0/kernel", "dense0/bias"]],
    "signal": ["last-layer", "biases", ["conv1d0/kernel"]],
    "auto": ["last-layer", "biases", ["dense1/kernel"]],
}


@pytest.mark.parametrize(("name", "scope"), [(name, scope) for name, scopes in SCOPES.items() for scope in scopes])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_scope_trains_its_tensors_as_plain_integers_do_and_no_other(layered, name, scope, seed):
    rng = np.random.default_rng(seed)
    model, x, y = sample(rng, NETWORKS[name], 3, extreme=0.1)
    network = NETWORKS[name].scoped(scope, model)
    start, keys = network.project(model), ((5, 6), (7, 8))
    expected = layered.train(
        described(network), network.head, tensors(network, start), x.tolist(), y.tolist(), *keys, 2, 4
    )
    trained = train(network, start, x, y, *keys, 2, 4)
    assert trained.tolist() == masters(expected)
    assert np.array_equal(forward(network, start, x), forward(NETWORKS[name], model, x)), (
        "frozen int8 weights are the same"
    )
    assert np.array_equal(forward(network, trained, x), forward(NETWORKS[name], network.merge(trained), x))


def test_many_clients_train_as_each_would_alone():
    rng, network = np.random.default_rng(3), NETWORKS["image"]
    drawn = [sample(rng, network, int(n)) for n in (3, 0, 1, 5, 2)]
    keys = [[tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in drawn] for _ in range(2)]
    models, xs, ys = (list(part) for part in zip(*drawn, strict=True))
    together = train_many(network, np.array(models), xs, ys, *keys, epochs=2, lr_shift=5)
    for c, alone in enumerate(zip(models, xs, ys, *keys, strict=True)):
        assert np.array_equal(together[c], train(network, *alone, epochs=2, lr_shift=5))


def test_the_squared_error_is_twice_the_difference_saturated():
    y, t = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    e = squared_error(y, t)
    assert np.array_equal(e, np.clip(2 * (y - t), -127, 127))
    assert (e.min(), e.max()) == (-127, 127)


def test_a_reconstruction_learns_and_its_labels_do_not_matter():
    network, rng = NETWORKS["auto"], np.random.default_rng(1)
    x = (rng.normal(0, 20, (200, 2)) @ np.array([[1, 0.5, 0, -0.5, 1, 0], [0, 0.5, 1, 0.5, 0, -1]])).clip(-127, 127)
    x, start = x.astype(np.int8), initial_model(network, 1)
    trained = train(network, start, x, np.zeros(200, dtype=int), (1, 2), (3, 4), 12, 5)
    assert np.array_equal(trained, train(network, start, x, np.ones(200, dtype=int), (1, 2), (3, 4), 12, 5))
    assert reconstruction_errors(network, trained, x).sum() < 0.2 * reconstruction_errors(network, start, x).sum()


def test_each_head_refuses_the_others_measure():
    x = np.zeros((1, 6), dtype=np.int8)
    with pytest.raises(InvalidValueError, match="reconstruction_errors"):
        accuracy(NETWORKS["auto"], np.zeros(44, dtype=np.int32), x, [0])
    with pytest.raises(InvalidValueError, match="measure accuracy"):
        reconstruction_errors(NETWORKS["line"], np.zeros(34, dtype=np.int32), np.zeros((1, 8), dtype=np.int8))


def loss_of(network, flat, x, label):
    """The float64 loss of one sample, clamps and pooling included, written from the definition."""
    a, parameters = x / 64, []
    for spec, where in zip(network.layout.tensors, network.layout.slices, strict=True):
        parameters.append(flat[where].reshape(spec.shape))
    rest = iter(parameters)
    for i, layer in enumerate(network.layers):
        if isinstance(layer, Flatten):
            a = a.ravel()
            continue
        a = a.reshape(layer.input_shape)
        if isinstance(layer, AveragePool2D):
            h, w = (n // p for n, p in zip(layer.input_shape, layer.pool, strict=False))
            a = a[: h * layer.pool[0], : w * layer.pool[1]].reshape(h, layer.pool[0], w, layer.pool[1], -1).mean((1, 3))
            continue
        kernel, bias = next(rest), next(rest)
        if isinstance(layer, Dense):
            a = kernel @ a + bias
        else:
            (kh, kw), (sh, sw) = layer.kernel, layer.strides
            assert layer.padding == "valid"
            z = np.zeros(layer.output_shape)
            for y, u in np.ndindex(z.shape[:2]):
                z[y, u] = np.tensordot(kernel, a[y * sh : y * sh + kh, u * sw : u * sw + kw], 3) + bias
            a = z
        if i < len(network.layers) - 1:
            a = np.clip(a, 0 if layer.activation == "relu" else -4, 127 / 32)
    if network.head == "squared-error":
        return ((a - x / 64) ** 2).sum() / 2
    return np.log(np.exp(a - a.max()).sum()) + a.max() - a[label]


@pytest.mark.parametrize("name", ["small-cnn", "auto"])
def test_the_mean_step_follows_the_numerical_gradient_within_the_formats_quanta(name):
    cnn = Network("small-cnn", (Conv2D((7, 6, 1), 3, (3, 2), (2, 1)), Conv2D((3, 5, 3), 4, (2, 2)), AveragePool2D((2, 4, 4)),
                                Flatten((1, 2, 4)), Dense(8, 3, "linear")))  # fmt: skip
    # Inputs and weights small enough that no difference of the reconstruction saturates (a real 1).
    network, lr_shift, scale, reach = {"small-cnn": (cnn, 5, 1, 40), "auto": (NETWORKS["auto"], 5, 2, 48)}[name]
    rng = np.random.default_rng(11)
    model = network.layout.saturate(initial_model(network, 2) // scale + rng.integers(-200, 200, network.layout.d))
    x, label = rng.integers(-reach, reach + 1, (1, network.features)).astype(np.int8), np.array([1])
    keys = [(c, 9) for c in range(600)]
    trained = train_many(network, model, [x] * 600, [label] * 600, keys, keys, 1, lr_shift)
    change = (trained - model).mean(axis=0)
    units = np.concatenate([np.full(t.elements, 2.0**t.frac) for t in network.layout.tensors])
    # The forward pass uses the weights of 8 bits: the gradient is taken there.
    real = np.concatenate([
        ((model[w] + 128) >> 8) / 64 if t.dtype == "int16" else model[w] / 2.0**t.frac
        for t, w in zip(network.layout.tensors, network.layout.slices, strict=True)
    ])  # fmt: skip
    gradient = np.zeros(network.layout.d)
    for i in range(network.layout.d):
        nudge = np.zeros(network.layout.d)
        nudge[i] = 1e-5
        gradient[i] = (loss_of(network, real + nudge, x[0], 1) - loss_of(network, real - nudge, x[0], 1)) / 2e-5
    expected = -(2.0**-lr_shift) * gradient * units
    for where in network.layout.slices:
        scale = np.abs(expected[where]).max()
        assert scale > 0.5, "a tensor without gradient would prove nothing"
        # Signals and errors of some tens of quanta (Q5, Q6, Q7): each of the roundings on the way is a few per cent.
        assert np.abs(change[where] - expected[where]).max() <= 0.12 * scale + 0.5
