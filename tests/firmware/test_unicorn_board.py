"""Boards under Unicorn: the Thumb images give the bytes of the native library; instructions are exact; faults are told."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from byzantiny.bodies.port_body import PortBody
from byzantiny.transport.serial_line import open_line
from byzantiny.wire.codec import Deframer, decode_frame, delimit, encode_frame
from byzantiny.wire.messages import Frame, Hello, HelloRequest, Metric, MetricRequest, Ping
from byzantiny_firmware import unicorn
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import CORES
from byzantiny_firmware.native import NativeBody
from byzantiny_firmware.sizes import image_sizes
from byzantiny_firmware.unicorn import (
    UnicornBody,
    start_board,
    unavailable_reason,
    unicorn_m0,
    unicorn_m3,
    unicorn_m4f,
    unicorn_m7,
)

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))


def _until(condition, timeout_s=20.0):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "nothing happened"
        time.sleep(0.01)


def _ask(body, message, want, *, timeout_s=20.0):
    """The first answer of the type wanted."""
    frames = [(0, encode_frame(Frame(message, 1), to_device=True))]
    began = time.monotonic()
    while True:
        assert time.monotonic() - began < timeout_s, f"no {want.__name__} came"
        for _, frame in body.exchange(frames, 0):
            got = decode_frame(frame, from_device=True).message
            if isinstance(got, want):
                return got
        frames = []


@pytest.mark.parametrize("image", CORES)
def test_every_image_gives_the_update_of_the_native_library(rounds, image):
    specs = rounds.specs(2, samples=6)
    offer, work = rounds.offer_of(epochs=2, l2_bound=50)
    native = rounds.Fleet(NativeBody(specs), specs).round(work)
    body = UnicornBody(specs, image=image)
    try:
        fleet = rounds.Fleet(body, specs)
        assert fleet.round(work) == native
        metric = _ask(body, MetricRequest(), Metric)
        stack = metric.stack_bytes
    finally:
        body.close()
    assert (rounds.codes_of(native[0]) == rounds.expected_codes(specs[0], offer, work)).all()
    assert metric.training_steps == 2 * 6
    assert sum(metric.rejects) == 0
    assert 300 < stack <= image_sizes(image).stack_reserved_bytes - 512, "room for what this round did not reach"


def test_the_factories_are_the_images(rounds, monkeypatch):
    started = []

    def start(_spec, image):
        started.append(image)
        raise FirmwareError("enough")

    monkeypatch.setattr(unicorn, "start_board", start)
    for factory in (unicorn_m0, unicorn_m3, unicorn_m4f, unicorn_m7):
        with pytest.raises(FirmwareError, match="enough"):
            factory(rounds.specs(1, samples=5))
    assert started == ["m0", "m3", "m4f", "m7"]


def test_instructions_of_a_training_are_the_same_after_a_power_cycle(rounds):
    specs = rounds.specs(1, samples=5)
    _, work = rounds.offer_of(epochs=2)
    body = UnicornBody(specs)
    try:
        counts = []
        for boot_id in (1, 2):
            rounds.Fleet(body, specs).round(work)
            counts.append(body.boards[0].stats())
            body.reboot(0, boot_id)
            assert _ask(body, HelloRequest(), Hello).boot_id == boot_id
        assert counts[0].last_instructions == counts[1].last_instructions > 10_000
        assert counts[0].last_steps == 10
        assert body.boards[0].stats().trainings == 0
    finally:
        body.close()


def test_counting_in_python_gives_the_same_number(rounds):
    specs = rounds.specs(1, samples=2)
    _, work = rounds.offer_of(epochs=1)
    counts = []
    for native_count in (True, False):
        with start_board(specs[0], "m3", native_count=native_count) as board:
            body = PortBody([open_line(board.url, 115_200, dtr=True)])
            rounds.Fleet(body, specs).round(work)
            body.close()
            stats = board.stats()
            assert stats.native_count is native_count
            counts.append(stats.last_instructions)
    assert counts[0] == counts[1]


def test_garbage_on_the_line_leaves_the_firmware_alive(rounds):
    specs = rounds.specs(1, samples=2)
    rng = random.Random(5)
    with start_board(specs[0], "m0") as board:
        body = PortBody.open([board.url])
        try:
            for _ in range(50):
                body._ports[0].send(rng.randbytes(rng.randrange(9000)))
            body.exchange([(0, b"")], 0)
            assert _ask(body, Ping(99), Ping).nonce == 99
            metric = _ask(body, MetricRequest(), Metric)
            assert metric.rejects[0] + metric.rejects[1] > 100
            rounds.Fleet(body, specs).round(rounds.offer_of(epochs=1)[1])
        finally:
            body.close()
        assert board.fault is None


def test_too_little_ram_is_a_fault_that_is_reported(rounds):
    spec = rounds.specs(1)[0]
    with start_board(spec, ram_bytes=8 << 10) as board:
        assert board.url.startswith("socket://")
        _until(lambda: board.fault is not None)
        assert "0x" in board.fault
        assert board.stats().fault == board.fault


def test_a_firmware_that_does_not_wait_is_stopped_and_can_be_reset(rounds):
    specs = rounds.specs(1, samples=40)
    _, work = rounds.offer_of(epochs=255)
    with start_board(specs[0], budget=20_000_000) as board:
        body = PortBody.open([board.url])
        try:
            with pytest.raises(AssertionError, match=r"after 5\.0 s"):
                rounds.Fleet(body, specs).round(work, timeout_s=5.0)
            assert "20000000 instructions" in str(board.fault)
            board.reset(9)
            assert board.fault is None
            assert _ask(body, HelloRequest(), Hello).boot_id == 9
        finally:
            body.close()


def test_a_crashed_board_makes_the_body_say_so(rounds):
    body = UnicornBody(rounds.specs(1))
    try:
        _ask(body, Ping(1), Ping)
        body.boards[0].fault = "Write to unmapped memory at pc 0x00000100"
        with pytest.raises(FirmwareError, match="dev-00 has crashed: Write"):
            body.exchange([], 0)
    finally:
        body.close()


def test_a_board_ends_with_its_parent():
    script = (
        "import sys, time\n"
        "from byzantiny.bodies.base import DeviceSpec\n"
        "from byzantiny_models import datasets\n"
        "from byzantiny_firmware.unicorn import start_board\n"
        "board = start_board(DeviceSpec('dev-01', bytes(32), datasets.pack([[0] * 64], [1], 10)))\n"
        "board.url\n"
        "print(board._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    def gone():
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        status = pathlib.Path(f"/proc/{child}/stat").read_text()  # it may be an orphan that nobody has reaped yet
        return status.rpartition(")")[2].split()[0] == "Z"

    _until(gone)


def test_a_pty_is_a_serial_port_like_any_other(rounds):
    with start_board(rounds.specs(1)[0], pty=True) as board:
        assert board.url.startswith("/dev/")
        line = open_line(board.url, 115_200, dtr=True)
        try:
            deframer, came = Deframer(), []
            data = delimit(encode_frame(Frame(Ping(3), 1), to_device=True))
            began = time.monotonic()
            while not any(isinstance(decode_frame(f, from_device=True).message, Ping) for f in came):
                assert time.monotonic() - began < 10
                got, gone = line.exchange(data, 0.2)
                data = data[gone:]
                came += deframer.feed(got)
        finally:
            line.close()


def test_what_cannot_start_is_refused_in_a_sentence(rounds):
    spec = rounds.specs(1, samples=4)[0]
    with pytest.raises(FirmwareError, match="no image 'z80'"):
        start_board(spec, "z80")
    with pytest.raises(FirmwareError, match="above the 240 bytes"):
        start_board(replace(spec, max_payload=512))
    with pytest.raises(FirmwareError, match="room for the order"):
        start_board(replace(spec, dataset=rounds.dataset(20_000)))
    with pytest.raises(FirmwareError, match="cannot be provisioned"):
        start_board(replace(spec, client_id="not valid"))


def test_a_child_that_dies_is_an_error_with_its_last_words(rounds, tmp_path):
    image = tmp_path / "broken_m4f.elf"
    image.write_bytes(b"not an ELF file")
    with pytest.raises(FirmwareError, match="cannot be read as an ELF file"):
        start_board(rounds.specs(1)[0], str(image))
    with start_board(rounds.specs(1)[0]) as board:
        _ = board.url
        board._process.kill()
        with pytest.raises(FirmwareError, match="has ended with status"):
            board.stats()
