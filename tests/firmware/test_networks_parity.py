"""The core walks any network of the definition, not only the zoo: deeper, without a hidden layer, odd widths, every window."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from byzantiny_firmware import build, library, network_tables, zigcc
from byzantiny_models.networks import (
    AveragePool1D,
    AveragePool2D,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    Network,
    initial_model,
)
from byzantiny_models.plans import layer_plans

NETWORKS = {
    network.name: network
    for network in (
        Network("linear-12-4", (Dense(12, 4, "linear"),)),
        Network("deep-20-24-16-5", (Dense(20, 24, "relu"), Dense(24, 16, "relu"), Dense(16, 5, "linear"))),
        Network("odd-33-70-2", (Dense(33, 70, "relu"), Dense(70, 2, "linear"))),
        Network("wide-130-64-32-10", (Dense(130, 64, "relu"), Dense(64, 32, "relu"), Dense(32, 10, "linear"))),
        Network("same-7x5x2", (Conv2D((7, 5, 2), 6, (3, 2), (2, 1), "same"), Conv2D((4, 5, 6), 4, (4, 4), (1, 3), "same"),
                               Flatten((4, 2, 4)), Dense(32, 3, "linear"))),
        Network("pools", (AveragePool2D((9, 8, 2), (2, 2)), Conv2D((4, 4, 2), 4, (2, 3), (1, 1), "valid", "linear"),
                          AveragePool2D((3, 2, 4), (3, 1)), AveragePool2D((1, 2, 4), (1, 2)), Flatten((1, 1, 4)),
                          Dense(4, 3, "linear"))),
        Network("seventeen", (Conv2D((6, 6, 3), 16, (3, 3), (1, 1), "same"), Conv2D((6, 6, 16), 17, (2, 2), (2, 2)),
                              Flatten((3, 3, 17)), Dense(153, 2, "linear"))),
        Network("signal", (Conv1D((30, 2), 8, 5, 3, "same"), Conv1D((10, 8), 5, 4), AveragePool1D((7, 5), 3), Flatten((2, 5)),
                           Dense(10, 4, "relu"), Dense(4, 3, "linear"))),
        Network("filter-of-1", (Conv1D((5, 2), 2, 1), Conv1D((5, 2), 2, 5), Flatten((1, 2)), Dense(2, 2, "linear"))),
        Network("line-512", (Conv2D((1, 512, 1), 2, (1, 1)), Flatten((1, 512, 2)), Dense(1024, 16, "relu"),
                             Dense(16, 2, "linear"))),
        Network("line-3000", (Conv2D((1, 3000, 1), 2, (1, 1)), Flatten((1, 3000, 2)), Dense(6000, 16, "relu"),
                              Dense(16, 2, "linear"))),
        Network("auto-10-4-10", (Dense(10, 6, "relu"), Dense(6, 4, "linear"), Dense(4, 10, "linear")), "squared-error"),
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    """The host library with the tables of these networks instead of the zoo's."""
    core = tmp_path_factory.mktemp("core") / "core"
    shutil.copytree(build.CORE, core)
    for path in (core / "native").iterdir():
        if not path.name.startswith("byz_batch."):
            path.unlink()
    (core / "generated" / "byz_networks.h").write_text(network_tables.networks_header(NETWORKS), encoding="utf-8")
    (core / "generated" / "byz_networks.c").write_text(network_tables.networks_source(NETWORKS), encoding="utf-8")
    variant = {v.name: v for v in build.native_variants()}[library.variant_name()]
    out = core / variant.file_name("byz")
    target = ["-target", variant.target, f"-mcpu={variant.cpu}", f"-I{core}"]
    command = [*zigcc.compiler(), *build.NATIVE_FLAGS, *target, *map(str, core.rglob("*.c")), "-o", str(out)]
    subprocess.run(command, check=True, env=zigcc.environment())
    loaded = ctypes.CDLL(str(out))
    for name, (result, arguments) in library.PROTOTYPES.items():
        getattr(loaded, name).restype, getattr(loaded, name).argtypes = result, arguments
    return loaded


@pytest.fixture
def core(lib, calls):
    return lambda network: calls.Core(lib, list(NETWORKS).index(network.name), network)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("lr_shift", [4, 5, 14])
@pytest.mark.parametrize("scale", [1, 6])
def test_training_inference_and_encoding_equal_numpy(core, calls, name, lr_shift, scale):
    network, gen = NETWORKS[name], np.random.default_rng(lr_shift)
    n = 4 if network.features > 500 else 25
    x = gen.integers(-128, 128, (n, network.features)).astype(np.int8)
    y = gen.integers(0, network.classes, n)
    start = initial_model(network, 3) * scale + gen.integers(-50, 50, network.layout.d)
    calls.check(core(network), network.layout.saturate(start), x, y, lr_shift)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [1, 2])
def test_values_at_their_limits_equal_numpy(core, calls, name, seed):
    model, x, y = calls.draw(np.random.default_rng(seed), NETWORKS[name], 3, extreme=0.3)
    calls.check(core(NETWORKS[name]), model, x, y, 4, epochs=2)


def scopes(network):
    names = [spec.name for spec in network.layout.tensors]
    return ["last-layer", "biases", names[:1], names[1::4], names[2:3] + names[-1:]]


@pytest.mark.parametrize("name", ["odd-33-70-2", "same-7x5x2", "pools", "seventeen", "signal", "auto-10-4-10"])
@pytest.mark.parametrize("number", range(5))
def test_every_scope_equals_numpy(core, calls, name, number):
    model, x, y = calls.draw(np.random.default_rng(number), NETWORKS[name], 6)
    network = NETWORKS[name].scoped(scopes(NETWORKS[name])[number], model)
    part = core(network)
    sizes, sha256 = part.describe()
    assert sizes == (network.layout.d, network.layout.model_bytes, network_tables.scratch_bytes(network),
                     network_tables.arena_bytes(network, 240))  # fmt: skip
    assert sha256 == network.layout.sha256
    calls.check(part, network.project(model), x, y, 4, epochs=2)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_hidden_error_saturates_at_both_ends_of_int16(core, calls, sign):
    # All hidden units are active; the last layer's weights are at their limit, for class 0 against the others, and the label is
    # wrong: the error of the inner layer is 4032 everywhere, that of the first one sign * 127 * 4032 * 16 / 64, far beyond.
    network = NETWORKS["deep-20-24-16-5"]
    layout = network.layout
    w0, b0, w1, b1, w2, _ = layout.slices
    start = np.zeros(layout.d, np.int32)
    start[b0] = 128
    start[w1] = sign * 32_512
    start[b1] = 0 if sign > 0 else 6400
    start[w2] = np.repeat([32_512, -32_512, -32_512, -32_512, -32_512], 16)
    x = np.random.default_rng(1).integers(-128, 128, (1, 20)).astype(np.int8)
    trained = calls.check(core(network), start, x, np.array([1]), 4, epochs=1)
    assert (trained[w0] != 0).any()
    extreme = 32_767 if sign > 0 else -32_768
    assert abs(int((start - trained)[b0][0]) - (extreme >> 2)) <= 1


@pytest.mark.parametrize("name", ["line-512", "line-3000"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_filters_gradient_reaches_the_limit_of_int32_and_stays_within(core, calls, name, sign):
    # The model of tests/models/test_layered_training.py: every activation 64, every error at the layer's limit.
    network = NETWORKS[name]
    conv, inner, last = layer_plans(network)
    start = np.zeros(network.layout.d, np.int32)
    start[conv.bias] = 64 << conv.k
    weight = 127 if inner.fan_in <= 2048 else 16
    start[inner.kernel] = np.where(np.arange(16) % 2, 1, -1).repeat(inner.fan_in) * (weight << 8) * sign
    start[inner.bias] = (64 << inner.k) - np.where(np.arange(16) % 2, 1, -1) * sign * weight * inner.fan_in * 64
    start[last.kernel] = np.outer([1, -1], np.where(np.arange(16) % 2, -1, 1)).ravel() * 32_512
    x = np.full((1, network.features), -128, np.int8)
    trained = calls.check(core(network), start, x, np.array([0]), 4, epochs=1)
    assert np.abs(trained[conv.kernel]).tolist() == [32_512] * 2, "a gradient of almost 2^31 steps, and back in range"
