"""Every network of the zoo, whole and in part, trains in C bit for bit as in NumPy: as batch calls, and through frames on
every body."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from byzantiny.bodies.numpy_body import NumpyBody
from byzantiny.wire.codec import decode_frame
from byzantiny.wire.messages import Hello, Reason, Receipt, Verdict
from byzantiny_firmware import library, network_tables, qemu, sizes, unicorn
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import CORES
from byzantiny_firmware.native import NativeBody
from byzantiny_firmware.qemu import QemuBody
from byzantiny_firmware.unicorn import UnicornBody
from byzantiny_models.errors import LayoutError
from byzantiny_models.inference import forward
from byzantiny_models.networks import NETWORKS, initial_model

SCOPES = ("last-layer", "biases", "lowest-kernel")
needs_unicorn = pytest.mark.skipif(unicorn.unavailable_reason() is not None, reason=str(unicorn.unavailable_reason()))
needs_qemu = pytest.mark.skipif(qemu.unavailable_reason() is not None, reason=str(qemu.unavailable_reason()))


def part_of(name, scope, seed=3):
    network = NETWORKS[name]
    chosen = (network.layout.tensors[0].name,) if scope == "lowest-kernel" else scope
    return network.scoped(chosen, initial_model(network, seed))


@pytest.fixture(scope="module", params=library.supported_variants())
def lib(request):
    return library.load_variant(request.param)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_from_the_initial_model_equals_numpy(lib, calls, name):
    network, index = NETWORKS[name], list(NETWORKS).index(name)
    rng = np.random.default_rng(index)
    n = 5 if network.features > 500 else 12
    prototypes = rng.integers(-20, 100, (network.classes, network.features))
    y = rng.integers(0, network.classes, n)
    x = np.clip(prototypes[y] + rng.normal(0, 10, (n, network.features)), -128, 127).astype(np.int8)
    trained = calls.check(calls.Core(lib, index, network), initial_model(network, 1), x, y, 5, epochs=4)
    assert (trained != initial_model(network, 1)).any()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [1, 2])
def test_values_at_their_limits_equal_numpy(lib, calls, name, seed):
    index = list(NETWORKS).index(name)
    model, x, y = calls.draw(np.random.default_rng(seed), NETWORKS[name], 3, extreme=0.3)
    calls.check(calls.Core(lib, index, NETWORKS[name]), model, x, y, 4, epochs=1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_part_equals_numpy(calls, name, scope):
    network = part_of(name, scope)
    model, x, y = calls.draw(np.random.default_rng(5), network, 3, extreme=0.0)
    core = calls.Core(library.load(), list(NETWORKS).index(name), network)
    assert core.describe()[1] == network.layout.sha256
    calls.check(core, network.project(model), x, y, 4, epochs=2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scope", ["all", *SCOPES])
@pytest.mark.parametrize("max_payload", [64, 240, 4096])
def test_the_generators_sizes_are_the_cores(calls, name, scope, max_payload):
    network = NETWORKS[name] if scope == "all" else part_of(name, scope)
    found, sha256 = calls.Core(library.load(), list(NETWORKS).index(name), network).describe(max_payload)
    layout = network.layout
    assert found == (layout.d, layout.model_bytes, network_tables.scratch_bytes(network),
                     network_tables.arena_bytes(network, max_payload))  # fmt: skip
    assert sha256 == layout.sha256


@pytest.mark.parametrize("name", ["cnn-8x8", "autoencoder-32"])
def test_forward_equals_numpy_on_many_inputs(calls, name):
    network, rng = NETWORKS[name], np.random.default_rng(4)
    x = rng.integers(-128, 128, (500, network.features)).astype(np.int8)
    core = calls.Core(library.load(), list(NETWORKS).index(name), network)
    for scale in (1, 4, 20):
        model = network.layout.saturate(initial_model(network, scale) * scale)
        np.testing.assert_array_equal(core.forward(model, x), forward(network, model, x))


def damaged(blob, rng):
    """A base with a byte changed, cut, longer, or of values at and beyond their limits."""
    bad, kind = bytearray(blob), rng.integers(5)
    at = int(rng.integers(len(bad)))
    if kind == 0:
        bad[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        bad[at] = 0x80
    elif kind == 2:
        del bad[at:]
    elif kind == 3:
        bad += bytes(int(rng.integers(1, 5)))
    else:
        bad[44 + int(rng.integers(8))] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(bad)


@pytest.mark.parametrize("scope", ["last-layer", "biases"])
def test_c_refuses_the_bases_that_python_refuses_and_no_others(calls, scope):
    network, rng = NETWORKS["cnn-8x8"], np.random.default_rng(6)
    core = calls.Core(library.load(), list(NETWORKS).index("cnn-8x8"), part_of("cnn-8x8", scope))
    refused = 0
    for _ in range(400):
        base = damaged(core.network.base, rng)
        core.which = (core.index, base, len(base))
        try:
            expected = network.with_base(base).layout.sha256
        except LayoutError:
            assert core.describe() in (-7, -8)
            refused += 1
        else:
            assert core.describe()[1] == expected
    assert 100 < refused < 390


@pytest.mark.parametrize("name", NETWORKS)
def test_a_round_on_the_native_body_gives_the_codes_of_the_reference(rounds, name):
    network = NETWORKS[name]
    specs = rounds.specs(2, samples=3, network=network)
    offer, work = rounds.offer_of(epochs=1, lr_shift=5, l2_bound=90, network=network)
    body = NativeBody(specs)
    for spec, update in zip(specs, rounds.Fleet(body, specs).round(work), strict=True):
        assert (rounds.codes_of(update) == rounds.expected_codes(spec, offer, work)).all()
    body.close()


@pytest.mark.parametrize("name", ["mlp-64-32-10", "cnn-8x8"])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_part_is_the_numpy_body_frame_for_frame(rounds, name, scope):
    network = part_of(name, scope)
    specs = rounds.specs(2, samples=4, network=network)
    logs = []
    for body in (NativeBody(specs), NumpyBody(specs)):
        fleet = rounds.Fleet(body, specs)
        for number in (1, 2):
            fleet.round(rounds.offer_of(number, seed=number, epochs=1, network=network)[1])
        logs.append([entry for entry in fleet.log if not _is_hello(entry)])
        body.close()
    assert logs[0] == logs[1]


def _is_hello(entry):
    way, _, frame = entry
    return way == "up" and isinstance(decode_frame(frame, from_device=True).message, Hello)


@pytest.mark.parametrize("body_of", [NativeBody, NumpyBody])
def test_another_base_is_another_layout_and_is_refused(rounds, body_of):
    network = part_of("mlp-64-32-10", "last-layer")
    specs = rounds.specs(1, samples=3, network=part_of("mlp-64-32-10", "last-layer", seed=4))
    body = body_of(specs)
    fleet = rounds.Fleet(body, specs)
    with pytest.raises(AssertionError, match="after"):
        fleet.round(rounds.offer_of(epochs=1, network=network)[1], timeout_s=0.3)
    answers = [decode_frame(frame, from_device=True).message for way, _, frame in fleet.log if way == "up"]
    receipts = [message for message in answers if isinstance(message, Receipt)]
    assert {(receipt.verdict, receipt.reason) for receipt in receipts} == {(Verdict.REJECTED, Reason.WRONG_LAYOUT)}


def test_a_base_of_another_network_starts_no_device(rounds):
    network = part_of("mlp-64-32-10", "last-layer")
    with pytest.raises(
        FirmwareError, match=r"the base of dev-00: a base of 4 tensors .* take the base of this network"
    ):
        NativeBody([replace(rounds.specs(1, network=NETWORKS["cnn-8x8"])[0], base=network.base)])


def _on_a_board(rounds, body_of, network, samples=3, epochs=1):
    specs = rounds.specs(1, samples=samples, network=network)
    _, work = rounds.offer_of(epochs=epochs, lr_shift=5, l2_bound=90, network=network)
    native = NativeBody(specs)
    expected = rounds.Fleet(native, specs).round(work)
    native.close()
    body = body_of(specs)
    try:
        assert rounds.Fleet(body, specs).round(work, timeout_s=120.0) == expected
        return body.boards[0].stats() if hasattr(body, "boards") else None
    finally:
        body.close()


@needs_unicorn
@pytest.mark.parametrize("core", ["m0", "m3", "m4f"])
@pytest.mark.parametrize("name", ["cnn-8x8", "conv1d-imu"])
def test_a_convolution_on_an_emulated_core_is_the_native_library(rounds, core, name):
    _on_a_board(rounds, lambda specs: UnicornBody(specs, image=core), NETWORKS[name])


@needs_unicorn
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("cnn-8x8", "conv1d-imu")])
def test_every_network_has_an_image_that_trains_it(rounds, name):
    _on_a_board(rounds, lambda specs: UnicornBody(specs, image="m4f"), NETWORKS[name])


@needs_unicorn
@pytest.mark.parametrize(("core", "name", "scope"), [("m0", "cnn-8x8", "last-layer"), ("m3", "mlp-64-32-10", "biases"),
                                                     ("m4f", "cnn-28x28", "lowest-kernel")])  # fmt: skip
def test_a_part_on_an_emulated_core_is_the_native_library(rounds, core, name, scope):
    _on_a_board(rounds, lambda specs: UnicornBody(specs, image=core), part_of(name, scope))


@needs_qemu
@pytest.mark.parametrize("scope", ["all", "last-layer"])
def test_a_convolution_on_qemu_is_the_native_library(rounds, scope):
    network = NETWORKS["cnn-8x8"] if scope == "all" else part_of("cnn-8x8", scope)
    _on_a_board(rounds, lambda specs: QemuBody(specs, image="m3"), network, samples=6, epochs=2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("core", CORES)
def test_every_image_fits_the_smallest_class_of_ram_it_can(name, core):
    size = sizes.image_sizes(core, name)
    assert size.ram_bytes == network_tables.ram_class(NETWORKS[name]) <= sizes.RAM_LIMIT_BYTES
    assert size.flash_bytes <= sizes.FLASH_BUDGET_BYTES
    assert size.max_samples >= 700
    arena = network_tables.arena_bytes(NETWORKS[name], 240)
    assert arena < size.static_ram_bytes < arena + 2048


def test_training_a_part_leaves_room_for_more_samples():
    size = sizes.image_sizes("m4f", "cnn-28x28-62")
    networks = [
        NETWORKS["cnn-28x28-62"],
        *(part_of("cnn-28x28-62", s) for s in ("last-layer", "biases", "lowest-kernel")),
    ]
    room = [size.samples_with(network, 240) for network in networks]
    assert room[0] == size.max_samples
    assert room == sorted(room)
    assert room[-1] > room[0] + 19_000


@needs_unicorn
def test_a_part_can_hold_the_samples_that_the_whole_cannot(rounds):
    network = part_of("mlp-64-32-10", "biases")
    many = sizes.image_sizes("m3").max_samples + 1000
    with pytest.raises(FirmwareError, match="room for the order"):
        UnicornBody(rounds.specs(1, samples=many), image="m3")
    body = UnicornBody(rounds.specs(1, samples=many, network=network), image="m3")
    try:
        banners, began = [], time.monotonic()
        while not banners and time.monotonic() - began < 20:
            banners = body.exchange([], 0)
        assert decode_frame(banners[0][1], from_device=True).message.n_samples == many
    finally:
        body.close()


def test_the_committed_images_are_one_for_every_network(tmp_path, monkeypatch):
    from byzantiny_firmware import build, headers

    assert build.image_networks("mps2")[0] == build.DEFAULT_NETWORK
    assert set(build.image_networks("mps2")) == set(NETWORKS)
    stale = tmp_path / "images"
    shutil.copytree(headers.IMAGES, stale)
    (stale / "gone-1-2.c").write_text("", encoding="utf-8")
    monkeypatch.setattr(headers, "IMAGES", stale)
    assert headers.main(["--check"]) == 1
    assert headers.main([]) == 0
    assert not (stale / "gone-1-2.c").exists()
