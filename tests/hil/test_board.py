"""Opening a mapped board: the right one, the wrong one, none, and one that goes away. Nothing here needs the emulator."""

from __future__ import annotations

import dataclasses
import os
import pty
import re
import time
import tty
from pathlib import Path

import pytest

from byzantiny.bodies.numpy_body import FIRMWARE
from byzantiny.bodies.ports import load_ports
from byzantiny.transport.base import Inbox
from byzantiny.transport.serial_port import SerialTransport
from byzantiny.wire.codec import decode_offer, delimit, encode_frame, split_update
from byzantiny.wire.messages import Frame, Hello
from byzantiny_hil.board import Board, open_board, ports
from byzantiny_hil.errors import HilError
from byzantiny_hil.framelog import read_log
from byzantiny_hil.rounds import expected_codes, make_work, oldest_round, run_round

from .fake_board import FakeBoard, spec_of, write_map


def test_a_board_on_a_port_takes_a_round_and_gives_numpys_codes(tmp_path: Path) -> None:
    with FakeBoard() as fake, open_board("bench", write_map(tmp_path, fake.url, fake.spec)) as board:
        assert board.hello.device_id == "lab-01"
        assert 0 < board.ping() < 1
        work = make_work(board, oldest_round(board))
        outcome = run_round(board, work)
        expected = expected_codes(board, decode_offer(work.offer_body), work.model)
        assert split_update(outcome.update).codes == expected.tobytes()
        with pytest.raises(HilError, match="cannot be power-cycled from here; reset it by hand"):
            board.power_cycle()


def test_the_oldest_round_of_a_board_is_found_and_not_raised(tmp_path: Path) -> None:
    with FakeBoard() as fake, open_board("bench", write_map(tmp_path, fake.url, fake.spec)) as board:
        assert oldest_round(board) == 1
        run_round(board, make_work(board, 1000))
        assert oldest_round(board) == 1000
        run_round(board, make_work(board, oldest_round(board)))
        assert oldest_round(board) == 1000
        with pytest.raises(HilError, match="refuses the round with STALE_ROUND"):
            run_round(board, make_work(board, 999))


def test_another_board_on_the_port_is_named_with_the_one_expected(tmp_path: Path) -> None:
    with FakeBoard(spec_of("lab-02")) as fake:
        path = write_map(tmp_path, fake.url, fake.spec, device_id="lab-01")
        with pytest.raises(HilError, match="reports the device id `lab-02`, the map says `lab-01`"):
            open_board("bench", path)


def test_another_address_is_named(tmp_path: Path) -> None:
    with FakeBoard(spec_of(address=7)) as fake:
        path = write_map(tmp_path, fake.url, fake.spec, address=1)
        with pytest.raises(HilError, match="answers from address 7, the map says 1; set `address` to 7"):
            open_board("bench", path)


def test_another_secret_than_the_boards_is_suspected_by_name(tmp_path: Path) -> None:
    with FakeBoard() as fake:
        path = write_map(tmp_path, fake.url, fake.spec)
        (tmp_path / "bench.secret").write_text("11" * 32)
        with open_board("bench", path) as board, pytest.raises(HilError, match="BAD_TAG; is its secret_file the right"):
            run_round(board, make_work(board, 1))


def test_a_port_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    path = write_map(tmp_path, "/dev/serial/by-id/usb-nothing", spec_of())
    with pytest.raises(HilError, match=r"\[boards.bench\]: there is no port /dev/serial/by-id/usb-nothing; plug"):
        open_board("bench", path)


def test_a_port_that_nobody_listens_on_is_said_to_be(tmp_path: Path) -> None:
    fake = FakeBoard()
    fake.unplug()
    with pytest.raises(HilError, match=r"cannot be opened: .*check that the board or the emulator is running"):
        open_board("bench", write_map(tmp_path, fake.url, fake.spec))


def test_a_port_in_use_is_said_to_be(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    first = SerialTransport("lab-01", os.ttyname(slave))
    first.open(Inbox())
    try:
        with pytest.raises(HilError, match="is in use by another program"):
            open_board("bench", write_map(tmp_path, os.ttyname(slave), spec_of()))
    finally:
        first.close()
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", "and nothing else; check that the firmware is flashed"),
        (b"\0\x7fnot at this rate\0" * 3, r"what comes is no frames \(\d+ pieces of noise\); check `baud`"),
        (delimit(bytes([0x20]) + bytes(30)), "frames come, but .*check that its firmware is of this version"),
    ],
    ids=["silent", "wrong-rate", "unreadable"],
)
def test_a_board_that_does_not_say_hello_is_told_apart(tmp_path: Path, said: bytes, sentence: str) -> None:
    with FakeBoard(answer=lambda _: said) as fake:
        path = write_map(tmp_path, fake.url, fake.spec, answer_timeout_s=0.7)
        began = time.monotonic()
        with pytest.raises(HilError, match=sentence):
            open_board("bench", path, logdir=tmp_path)
        assert time.monotonic() - began < 3


def test_a_board_of_another_wire_version_is_named(tmp_path: Path) -> None:
    hello = Hello(2, 3, 240, "lab-01", bytes(8), 1, 1, 65536, 1, 32, 0, 60, bytes(32))
    said = delimit(encode_frame(Frame(hello, 1), to_device=False))
    with FakeBoard(answer=lambda _: said) as fake, pytest.raises(HilError, match=r"versions 2..3 of the wire"):
        open_board("bench", write_map(tmp_path, fake.url, fake.spec))


def ping_until(board: Board, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        board.ping()
        time.sleep(0.05)


def test_a_board_that_is_unplugged_is_said_to_be_gone(tmp_path: Path) -> None:
    with FakeBoard() as fake, open_board("bench", write_map(tmp_path, fake.url, fake.spec)) as board:
        board.ping()
        fake.unplug()
        with pytest.raises(HilError, match=r"^board `bench`: .*(its port has gone away: | went away )"):
            ping_until(board, 8)
        with pytest.raises(HilError, match="and did not come back in 3 tries; plug the board in again"):
            ping_until(board, 8)


def test_a_board_that_comes_back_goes_on(tmp_path: Path) -> None:
    with FakeBoard() as fake:
        path = write_map(tmp_path, fake.url, fake.spec, answer_timeout_s=3.0)
        with open_board("bench", path) as board:
            fake.drop()
            board.ping()
            run_round(board, make_work(board, 1))
        assert fake.connections == 2


def test_every_frame_is_logged_with_the_time_and_can_be_read_back(tmp_path: Path) -> None:
    with FakeBoard() as fake, open_board("bench", write_map(tmp_path, fake.url, fake.spec), logdir=tmp_path) as board:
        board.ping(5)
        board.send_bytes(b"\0noise\0")
        with pytest.raises(HilError, match=re.escape(str(tmp_path / "bench.log"))):
            raise board.error("an error names the log")
    lines = read_log(tmp_path / "bench.log")
    assert [(line.way, line.kind) for line in lines][:1] == [("up", "HELLO")]
    assert [(line.way, line.kind) for line in lines][-3:] == [("down", "PING"), ("up", "PING"), ("raw", "-")]
    assert lines[-1].data == b"\0noise\0"
    times = [line.seconds for line in lines]
    assert times == sorted(times)


# A board as a port of an experiment


def test_the_ports_of_a_real_board_carry_its_own_secret_and_address(tmp_path: Path) -> None:
    with FakeBoard(spec_of(address=7)) as fake:
        path = write_map(tmp_path, fake.url, fake.spec)
        given = dataclasses.replace(fake.spec, secret=bytes(32), address=1)
        opened = load_ports("board")([given], board="bench", boards=path)
        assert list(opened.urls) == [fake.url]
        assert opened.baud == 115_200
        assert opened.specs == [fake.spec]
        assert opened.training(0) is None
        assert opened.firmware()[0].sha256 == FIRMWARE.hex()
        with pytest.raises(HilError, match="reset it by hand"):
            opened.reboot(0, 5)
        opened.close()


def test_a_client_that_is_not_the_board_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    path = write_map(tmp_path, "/dev/nothing", spec_of("lab-01"))
    with pytest.raises(HilError, match="provisioned as `lab-01`, the experiment's client is `dev-01`; set the group's"):
        ports([spec_of("dev-01")], board="bench", boards=path)


def test_other_data_than_the_clients_share_are_refused_unless_the_map_says_so(tmp_path: Path) -> None:
    with FakeBoard() as fake:
        share = dataclasses.replace(fake.spec, dataset=fake.spec.dataset[:-1] + b"\x01")
        with pytest.raises(HilError, match=r"the experiment's share of `lab-01` is .*own_data = true"):
            ports([share], board="bench", boards=write_map(tmp_path, fake.url, fake.spec))
        path = write_map(tmp_path, fake.url, fake.spec, own_data=True)
        ports([share], board="bench", boards=path).close()


def test_a_board_that_would_refuse_the_first_round_is_refused_before_it(tmp_path: Path) -> None:
    with FakeBoard() as fake:
        path = write_map(tmp_path, fake.url, fake.spec)
        ports([fake.spec], board="bench", boards=path, round_num=1).close()
        with open_board("bench", path) as board:
            run_round(board, make_work(board, 40))
        with pytest.raises(HilError, match="has accepted round 40 and refuses round 1 until it is reset; reset it by"):
            ports([fake.spec], board="bench", boards=path, round_num=1)
        ports([fake.spec], board="bench", boards=path, round_num=40).close()


def test_a_group_of_boards_needs_a_name_and_is_one_client(tmp_path: Path) -> None:
    with pytest.raises(HilError, match="set `board = NAME`"):
        ports([spec_of()])
    with pytest.raises(HilError, match="board `bench` is one device, not 2"):
        ports([spec_of(), spec_of("lab-02")], board="bench", boards=write_map(tmp_path, "/dev/nothing", spec_of()))
