"""What a body says it runs is what is in the manifest: every body that runs C names it, with its hash."""

from __future__ import annotations

import hashlib

import pytest

from byzantiny.bodies.base import Described
from byzantiny_firmware import library, qemu, unicorn
from byzantiny_firmware.images import image_path
from byzantiny_firmware.native import NativeBody
from byzantiny_firmware.ports import UnicornPorts
from byzantiny_firmware.sizes import image_sizes

needs_unicorn = pytest.mark.skipif(unicorn.unavailable_reason() is not None, reason=str(unicorn.unavailable_reason()))
needs_qemu = pytest.mark.skipif(qemu.unavailable_reason() is not None, reason=str(qemu.unavailable_reason()))


def check(info, path):
    assert (info.name, info.sha256) == (path.stem, hashlib.sha256(path.read_bytes()).hexdigest())
    assert info.compiler.startswith("ziglang ")


def check_image(info, core):
    check(info, image_path(core))
    sizes = image_sizes(core)
    assert (info.flash_bytes, info.ram_bytes) == (sizes.flash_bytes, sizes.static_ram_bytes)


def test_the_native_body_is_its_library_in_the_variant_that_runs():
    body = NativeBody([])
    assert isinstance(body, Described)
    (info,) = body.firmware()
    check(info, library.library_path(library.variant_name()))
    assert info.name.endswith(library.variant_name())
    assert (info.flash_bytes, info.instructions_per_step) == (None, None)


@needs_unicorn
def test_unicorn_boards_are_one_image_with_the_instructions_of_their_trainings(rounds):
    specs = rounds.specs(2, samples=3)
    body = unicorn.UnicornBody(specs, image="m3")
    try:
        assert isinstance(body, Described)
        (before,) = body.firmware()
        assert before.instructions_per_step is None
        rounds.Fleet(body, specs).round(rounds.offer_of(epochs=1)[1])
        (info,) = body.firmware()
        check_image(info, "m3")
        counts = [board.stats() for board in body.boards]
        assert info.instructions_per_step == sum(c.last_instructions for c in counts) / sum(
            c.last_steps for c in counts
        )
    finally:
        body.close()


@needs_unicorn
def test_an_image_that_is_rebuilt_meanwhile_is_not_the_one_that_runs(rounds, monkeypatch):
    body = unicorn.UnicornBody(rounds.specs(1))
    try:
        sha256 = body.firmware()[0].sha256
        monkeypatch.setattr("byzantiny_firmware.images.source_sha256", lambda: "0" * 64)
        assert body.firmware()[0].sha256 == sha256
    finally:
        body.close()


@needs_unicorn
def test_unicorn_ports_say_the_same(rounds):
    ports = UnicornPorts(rounds.specs(2), image="m0")
    try:
        assert isinstance(ports, Described)
        (info,) = ports.firmware()
        check_image(info, "m0")
        assert ports.training(1) is None
    finally:
        ports.close()


@needs_qemu
def test_qemu_boards_are_one_image_and_count_nothing(rounds):
    body = qemu.QemuBody(rounds.specs(2), image="m7")
    try:
        assert isinstance(body, Described)
        (info,) = body.firmware()
        check_image(info, "m7")
        assert info.instructions_per_step is None
    finally:
        body.close()
