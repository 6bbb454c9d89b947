"""A Byzantine board: what its firmware sends is what NumPy makes of the same attack, on every body, and fits the bound."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from byzantiny.attacks import Backdoor, LabelFlip
from byzantiny.attacks.triggers import patch
from byzantiny.validation import norm_limit, squared_norm
from byzantiny_firmware import attack_cost, build, zigcc
from byzantiny_firmware.attacked import BUILD_ID, IN_FIRMWARE, attack_of, attacked_image, attacked_library, options
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import image_path
from byzantiny_firmware.native import NativeBody
from byzantiny_firmware.sizes import elf_sizes
from byzantiny_firmware.unicorn import UnicornBody
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS
from byzantiny_models.quantization import isqrt_ceil, rounding_shift, saturate, stochastic_shift
from byzantiny_models.rng import Stream, derive_key, draw, step_noise
from byzantiny_models.training import train_many

NETWORK = NETWORKS["mlp-64-32-10"]
LAYOUT = NETWORK.layout
CRAFTED = {
    "sign-flip": {"scale": 4},
    "boost": {"factor": 7},
    "gaussian": {"sigma": 30},
    "directed-rounding": {},
}


def trained(spec, offer, work):
    start = LAYOUT.unpack(work.model)
    x, y, _ = datasets.unpack(spec.dataset)
    keys = {s: derive_key(offer.seed, spec.client_id, offer.round_num, s) for s in Stream}
    order, train = [keys[Stream.SAMPLE_ORDER]], [keys[Stream.TRAINING]]
    local = train_many(NETWORK, start[None], [x], [y], order, train, offer.epochs, offer.lr_shift)[0]
    return start.astype(np.int64), local.astype(np.int64), keys


def normal(key, d):
    """Twelve draws a coordinate, int64 (d,), deviation 2^16."""
    at = 12 * np.arange(d, dtype=np.uint32)[:, None] + np.arange(12, dtype=np.uint32)
    return (draw(at, *key) >> np.uint32(16)).astype(np.int64).sum(axis=1) - 6 * 65536


def attacked_change(attack, change, shift, where, keys):
    """The change of one tensor, in Python's integers, as docs/byzantine-board.md has it."""
    limit = 127 << shift
    bounded = saturate(change, limit)
    if attack == "sign-flip":
        return saturate(-4 * bounded, limit)
    if attack == "boost":
        return saturate(7 * bounded, limit)
    if attack == "gaussian":
        steps = np.array([int(v) for v in 30 * normal(keys[Stream.ATTACK], LAYOUT.d)[where]], dtype=object)
        toward = np.array([abs(v) // 16 * (1 if v >= 0 else -1) for v in steps], dtype=np.int64)
        scaled = np.sign(toward) * (np.abs(toward) // (1 << (12 - shift)))
        return saturate(scaled, limit)
    return bounded


def expected(attack, spec, offer, work):
    """Saturate, attack, clip to the bound, round: SPEC 3's order with the attack before the clip."""
    start, local, keys = trained(spec, offer, work)
    noise, low = step_noise(0, *keys[Stream.CODES], LAYOUT.d), min(LAYOUT.exponents(offer.shifts))
    change, norm = np.empty(LAYOUT.d, dtype=np.int64), 0
    for where, shift, exponent in zip(LAYOUT.slices, offer.shifts, LAYOUT.exponents(offer.shifts), strict=True):
        change[where] = attacked_change(attack, (local - start)[where], shift, where, keys)
        nearest = rounding_shift(change[where], shift)
        norm += int(nearest @ nearest) << 2 * (exponent - low)
    if offer.l2_bound and norm > offer.l2_bound**2:
        c = (offer.l2_bound << 12) // isqrt_ceil(norm)
        change = np.sign(change) * (np.abs(change) * c >> 12)
    codes = np.empty(LAYOUT.d, dtype=np.int64)
    for where, shift in zip(LAYOUT.slices, offer.shifts, strict=True):
        if attack == "directed-rounding":
            codes[where] = np.sign(change[where]) * (np.abs(change[where]) >> shift)
        else:
            codes[where] = stochastic_shift(change[where], shift, noise[where])
    return saturate(codes, 127).astype(np.int8)


def sent(rounds, body, specs, *works):
    fleet = rounds.Fleet(body, specs)
    try:
        return [[rounds.codes_of(update) for update in fleet.round(work)] for work in works]
    finally:
        body.close()


@pytest.mark.parametrize("bound", [0, 200])
@pytest.mark.parametrize("attack", CRAFTED)
def test_the_library_sends_what_numpy_makes_of_the_attack(rounds, attack, bound):
    specs = rounds.specs(3)
    offer, work = rounds.offer_of(l2_bound=bound)
    (codes,) = sent(rounds, NativeBody(specs, attack=attack, **CRAFTED[attack]), specs, work)
    for spec, row in zip(specs, codes, strict=True):
        assert np.array_equal(row, expected(attack, spec, offer, work)), attack
        honest = rounds.expected_codes(spec, offer, work)
        assert not np.array_equal(row, honest)
        if bound:
            assert squared_norm(row, LAYOUT, offer.shifts) <= norm_limit(bound, LAYOUT, offer.shifts) ** 2, "accepted"


@pytest.mark.parametrize("attack", [*CRAFTED, "label-flip", "backdoor", "replay"])
def test_an_emulated_board_sends_what_the_library_sends(rounds, attack):
    specs, parameters = rounds.specs(1), CRAFTED.get(attack, {})
    works = [rounds.offer_of(number, model_seed=number)[1] for number in (1, 2)]
    native = sent(rounds, NativeBody(specs, attack=attack, **parameters), specs, *works)
    emulated = sent(rounds, UnicornBody(specs, image="m4f", attack=attack, **parameters), specs, *works)
    assert [[row.tobytes() for row in codes] for codes in emulated] == [
        [row.tobytes() for row in codes] for codes in native
    ]


def test_labels_flipped_in_the_firmware_are_those_flipped_in_the_data(rounds):
    (spec,) = rounds.specs(1, samples=24)
    _, work = rounds.offer_of()
    x, y, classes = datasets.unpack(spec.dataset)
    _, flipped = LabelFlip().poison(x, y, classes, np.random.default_rng(0))
    poisoned = replace(spec, dataset=datasets.pack(x, flipped, classes))
    inside = sent(rounds, NativeBody([spec], attack="label-flip"), [spec], work)
    before = sent(rounds, NativeBody([poisoned]), [poisoned], work)
    assert np.array_equal(inside[0][0], before[0][0])


def test_the_firmwares_backdoor_is_the_patch_on_five_of_every_sixteen_samples(rounds):
    (spec,) = rounds.specs(1, samples=40)
    _, work = rounds.offer_of()
    x, y, classes = datasets.unpack(spec.dataset)
    chosen = np.arange(40) % 16 < 5
    assert Backdoor().share == 5 / 16
    stamped = np.where(chosen[:, None], patch(x, (8, 8), 127), x)
    poisoned = replace(spec, dataset=datasets.pack(stamped, np.where(chosen, 3, y).astype(np.uint8), classes))
    inside = sent(rounds, NativeBody([spec], attack="backdoor", target=3), [spec], work)
    before = sent(rounds, NativeBody([poisoned]), [poisoned], work)
    assert np.array_equal(inside[0][0], before[0][0])


def test_a_board_that_replays_sends_its_first_update_for_ever_and_it_is_a_valid_one(rounds):
    specs = rounds.specs(2)
    works = [rounds.offer_of(number, model_seed=number)[1] for number in (1, 2, 3)]
    codes = sent(rounds, NativeBody(specs, attack="replay"), specs, *works)
    honest = sent(rounds, NativeBody(specs), specs, *works)
    for slot in range(2):
        assert np.array_equal(codes[0][slot], honest[0][slot])
        assert np.array_equal(codes[1][slot], codes[0][slot])
        assert np.array_equal(codes[2][slot], codes[0][slot])
        assert not np.array_equal(honest[1][slot], honest[0][slot])


def test_the_boards_noise_is_normal_enough():
    z = normal(derive_key(3, "dev-01", 1, Stream.ATTACK), 20_000) / 65536
    assert abs(z.mean()) < 4 / 20_000**0.5
    assert abs(z.std() - 1.0) < 0.02
    assert abs((np.abs(z) > 1.96).mean() - 0.05) < 0.01
    assert np.abs(z).max() < 6.0


def test_an_attacked_build_cannot_be_taken_for_an_honest_one(rounds):
    specs = rounds.specs(1)
    _, work = rounds.offer_of()
    hellos = []
    for body in (NativeBody(specs), NativeBody(specs, attack="sign-flip"), NativeBody(specs, attack="boost")):
        fleet = rounds.Fleet(body, specs)
        fleet.round(work)
        hellos.append(fleet.sessions[0].hello)
        body.close()
    assert [attack_of(hello.build_id) for hello in hellos] == [None, "sign-flip", "boost"]
    assert len({hello.fw_sha256 for hello in hellos}) == 3
    assert {BUILD_ID + option.number for option in IN_FIRMWARE.values()} == set(range(BUILD_ID + 1, BUILD_ID + 8))
    assert attacked_library("mlp-64-32-10", "boost").parent != build.BUILT


def test_an_honest_image_has_nothing_of_an_attack_in_it(tmp_path):
    """Built without the option, the image is one whose sources have no attack: the options' macros are identities."""
    source = (build.CORE / "byz_attack.h").read_text(encoding="utf-8")
    assert "#define BYZ_ATTACK 0" in source
    sizes = elf_sizes(image_path("m4f"), "m4f")
    for attack, option in IN_FIRMWARE.items():
        lying = elf_sizes(attacked_image("m4f", "mlp-64-32-10", attack), f"{attack}-m4f")
        assert abs(lying.flash_bytes - sizes.flash_bytes) < 512, "an attack is a few hundred bytes"
        assert (lying.static_ram_bytes > sizes.static_ram_bytes) == (attack == "replay"), option


@pytest.mark.parametrize(
    ("attack", "parameters", "said"),
    [
        ("sign-flop", {}, "did you mean `sign-flip`"),
        ("sign-flip", {"scale": 65}, "scale is 65; it must be an integer from 1 to 64"),
        ("sign-flip", {"scale": True}, "scale is True"),
        ("boost", {"scale": 2}, "unknown parameter of boost in the firmware `scale`"),
        ("replay", {"back": 1}, "unknown parameter"),
    ],
)
def test_what_no_build_can_be_is_refused_by_name(attack, parameters, said):
    with pytest.raises(FirmwareError, match=said):
        options(attack, NETWORK, parameters)


@pytest.mark.parametrize("attack", IN_FIRMWARE)
def test_a_lying_client_stays_within_its_buffers_too(attack, tmp_path):
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("neither gcc nor clang is on PATH; the sanitizers come with them")
    core = [str(path) for path in build.image_sources("mps2") if path.suffix == ".c" and build.CORE in path.parents]
    program, source = tmp_path / "fuzz", pathlib.Path(__file__).parent / "c" / "fuzz_client.c"
    subprocess.run(
        [compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror", *options(attack, NETWORK),
         "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{build.CORE}", *core, str(source), "-o",
         str(program)],
        check=True,
    )  # fmt: skip
    seconds = str(float(os.environ.get("BYZANTINY_FUZZ_SECONDS", "2")) / 4)
    done = subprocess.run([str(program), seconds, "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_recorded_costs_are_of_these_sources_and_of_every_attack():
    record = attack_cost.record()
    assert record["source_sha256"] == attack_cost.sources_sha256(), (
        "the C core has changed: byzantiny attack-cost --write"
    )
    names = [row["attack"] for row in record["costs"]]
    assert len(names) == len(set(names))
    assert set(names) == {*attack_cost.ATTACKS, *IN_FIRMWARE}
    assert [row["attack"] for row in record["costs"] if row["where"] == "firmware"] == [
        n for n in names if n in IN_FIRMWARE
    ]


@pytest.mark.parametrize("attack", ["sign-flip", "replay"])
def test_what_is_measured_again_is_what_is_on_record(attack):
    again = attack_cost.measured(attack)
    (kept,) = [row for row in attack_cost.record()["costs"] if row["attack"] == attack]
    if attack_cost.record()["compiler"] == f"ziglang {zigcc.compiler_version()}":
        assert (again.flash_bytes, again.static_ram_bytes) == (kept["flash_bytes"], kept["static_ram_bytes"])
        assert again.instructions == kept["instructions"]
    assert again.instructions > 0


def test_every_option_is_a_build_of_its_own():
    found = {build.attacked_sha256(build.native_sources(), options(attack, NETWORK)) for attack in IN_FIRMWARE}
    assert len(found) == len(IN_FIRMWARE)
    assert build.native_sha256() not in found
