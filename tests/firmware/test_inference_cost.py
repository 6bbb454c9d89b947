"""Instructions of an inference: counted on measuring images, on record for these sources, and part of a training step."""

from __future__ import annotations

import pytest

from byzantiny_firmware import build, zigcc
from byzantiny_firmware.described import image_info
from byzantiny_firmware.images import BOARD, CORES, image_path, source_sha256
from byzantiny_firmware.inference_cost import inference_cost, record
from byzantiny_firmware.measuring import inference_instructions, instructions_per_step, samples
from byzantiny_models.networks import NETWORKS


def test_the_record_is_of_these_sources():
    now = zigcc.sources_sha256(build.FIRMWARE, build.image_sources(BOARD))
    assert record()["source_sha256"] == now, "the C core has changed: byzantiny firmware measure"
    assert {name: set(cores) for name, cores in record()["instructions"].items()} == {
        key: set(CORES) for key in NETWORKS
    }


def test_what_is_counted_again_is_what_is_on_record():
    again = inference_instructions("mlp-64-32-10", "m4f")
    recorded = inference_cost("mlp-64-32-10", "m4f", source_sha256())
    same_compiler = record()["compiler"] == f"ziglang {zigcc.compiler_version()}"
    assert again == pytest.approx(recorded, rel=0 if same_compiler else 0.1)


def test_an_inference_is_part_of_a_training_step():
    network = NETWORKS["mlp-64-32-10"]
    step = instructions_per_step(network, "m4f", *samples(network))
    assert 0.2 * step < inference_cost(network.name, "m4f", source_sha256()) < step


def test_a_measuring_image_does_what_it_is_for_and_an_ordinary_one_trains(tmp_path):
    network = NETWORKS["mlp-64-32-10"]
    inference, nothing = build.build_measuring(tmp_path, BOARD, "m3", network.name)
    x, y = samples(network)
    steps = [instructions_per_step(network, str(path), x, y) for path in (nothing, inference, image_path("m3"))]
    assert steps[0] < steps[1] < steps[2]  # the first is keys, checks and order, which all three have


def test_an_image_says_what_an_inference_costs_and_only_of_its_own_sources():
    assert image_info(image_path("m0"), "m0").instructions_per_inference == inference_cost(
        "mlp-64-32-10", "m0", source_sha256()
    )
    assert inference_cost("mlp-64-32-10", "m0", "0" * 64) is None
    assert inference_cost("nothing-1", "m0", source_sha256()) is None
