"""Boards under QEMU: the same images as under Unicorn, the same bytes; an independent check of both."""

from __future__ import annotations

import pathlib
import random
import subprocess
import sys
import time

import pytest

from byzantiny.wire.codec import decode_frame, encode_frame
from byzantiny.wire.messages import Frame, Hello, Ping
from byzantiny_firmware import qemu
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.native import NativeBody
from byzantiny_firmware.qemu import MACHINES, QemuBody, unavailable_reason

needs_qemu = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))


@needs_qemu
@pytest.mark.parametrize("image", sorted(MACHINES))
def test_every_image_gives_the_update_of_the_native_library(rounds, image):
    specs = rounds.specs(2, samples=6)
    _, work = rounds.offer_of(epochs=2, l2_bound=50)
    native = rounds.Fleet(NativeBody(specs), specs).round(work)
    body = QemuBody(specs, image=image)
    try:
        assert rounds.Fleet(body, specs).round(work) == native
    finally:
        body.close()


@needs_qemu
def test_with_icount_it_is_the_same(rounds):
    specs = rounds.specs(1, samples=2)
    _, work = rounds.offer_of(epochs=1)
    body = QemuBody(specs, icount=True)
    try:
        assert rounds.Fleet(body, specs).round(work) == rounds.Fleet(NativeBody(specs), specs).round(work)
    finally:
        body.close()


@needs_qemu
def test_a_power_cycle_has_another_boot_id(rounds):
    specs = rounds.specs(1, samples=2)
    body = QemuBody(specs)
    try:
        fleet = rounds.Fleet(body, specs)
        first = fleet.round(rounds.offer_of(epochs=1)[1])
        body.reboot(0, 4711)
        again = rounds.Fleet(body, specs)
        assert (rounds.codes_of(again.round(rounds.offer_of(epochs=1)[1])[0]) == rounds.codes_of(first[0])).all()
        assert again.sessions[0].hello.boot_id == 4711
    finally:
        body.close()


@needs_qemu
def test_garbage_on_the_line_leaves_the_firmware_alive(rounds):
    specs = rounds.specs(1, samples=2)
    rng = random.Random(6)
    body = QemuBody(specs)
    try:
        for _ in range(20):
            body._ports[0].send(rng.randbytes(rng.randrange(9000)))
        ping = encode_frame(Frame(Ping(7), 1), to_device=True)
        frames, answers = [(0, b""), (0, ping)], []
        while not any(isinstance(answer, Ping) for answer in answers):
            answers += [decode_frame(f, from_device=True).message for _, f in body.exchange(frames, 0)]
            frames = []
        assert any(isinstance(answer, Hello) for answer in answers), "the banner"
    finally:
        body.close()


def test_without_qemu_the_reason_is_a_sentence(rounds, monkeypatch):
    monkeypatch.setattr(qemu, "PROGRAM", "qemu-system-nowhere")
    assert "apt install qemu-system-arm" in unavailable_reason()
    with pytest.raises(FirmwareError, match="not on PATH"):
        QemuBody(rounds.specs(1))


@needs_qemu
def test_qemu_ends_with_its_parent():
    script = (
        "import time\n"
        "from byzantiny.bodies.base import DeviceSpec\n"
        "from byzantiny_models import datasets\n"
        "from byzantiny_firmware.qemu import QemuBody\n"
        "body = QemuBody([DeviceSpec('dev-01', bytes(32), datasets.pack([[0] * 64], [1], 10))])\n"
        "print(body._boards[0]._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    group = int(parent.stdout.readline())  # the guard leads a group of its own, QEMU is in it
    parent.kill()
    parent.wait()
    parent.stdout.close()
    began = time.monotonic()
    while _alive(group):
        assert time.monotonic() - began < 20, "QEMU has outlived its parent"
        time.sleep(0.02)


def _alive(group):
    """Whether any process of the group is more than an orphan that nobody has reaped yet."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(process_group) == group and state != "Z":
            return True
    return False
