"""The serial transport over ptys and sockets: whole frames, noise, a busy port, a board that goes and comes back."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from byzantiny.transport.base import Inbox
from byzantiny.transport.errors import TransportError
from byzantiny.transport.router import Router
from byzantiny.transport.serial_port import SerialTransport
from byzantiny.wire.codec import Deframer, decode_frame, delimit
from byzantiny.wire.messages import HelloRequest

FRAME = bytes(range(60))


class Board:
    """The far end of a pty: a master descriptor that a test reads and writes."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self.slave: int | None = slave
        self.deframer = Deframer()

    def frames(self, count: int) -> list[bytes]:
        got: list[bytes] = []
        until = time.monotonic() + 10
        while len(got) < count and time.monotonic() < until:
            if select.select([self.master], [], [], 0.1)[0]:
                got += self.deframer.feed(os.read(self.master, 4096))
        return got

    def close(self) -> None:
        if self.slave is not None:
            os.close(self.slave)
            os.close(self.master)
            self.slave = None


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    board.close()


def collect(inbox: Inbox, count: int) -> list[tuple[str, bytes]]:
    got: list[tuple[str, bytes]] = []
    until = time.monotonic() + 10
    while len(got) < count and time.monotonic() < until:
        got += inbox.drain(0.2)
    return got


def test_frames_cross_a_pty_whole_in_both_directions(board: Board) -> None:
    inbox = Inbox()
    transport = SerialTransport("dev-01", board.path)
    transport.open(inbox)
    try:
        transport.send("dev-01", FRAME)
        assert board.frames(1) == [FRAME]
        encoded = delimit(FRAME[::-1])
        os.write(board.master, b"noise\0" + encoded[:10])
        time.sleep(0.05)
        os.write(board.master, encoded[10:])
        assert collect(inbox, 1)[-1] == ("dev-01", FRAME[::-1])
    finally:
        transport.close()
    assert transport.stats["sent"] == 1


def test_noise_is_counted_and_the_next_frame_gets_through(board: Board) -> None:
    inbox = Inbox()
    transport = SerialTransport("dev-01", board.path)
    transport.open(inbox)
    try:
        os.write(board.master, b"\0\x7fshort\0" + b"\x01" * 2000 + b"\0" + delimit(FRAME))
        assert collect(inbox, 1) == [("dev-01", FRAME)]
    finally:
        transport.close()
    assert (transport.stats["rejected-cobs"], transport.stats["rejected-size"]) == (1, 1)


def test_a_device_that_writes_before_it_reads_does_not_stop_the_line(board: Board) -> None:
    inbox = Inbox()
    transport = SerialTransport("dev-01", board.path)
    transport.open(inbox)
    try:
        for _ in range(100):  # far more than a pty holds
            transport.send("dev-01", bytes(range(256)))
        sent = 0
        while sent < 100:
            os.write(board.master, delimit(FRAME))
            sent += 1
        assert len(collect(inbox, 100)) == 100
        assert len(board.frames(100)) == 100
    finally:
        transport.close()


def test_a_port_in_use_is_said_to_be(board: Board) -> None:
    first = SerialTransport("dev-01", board.path)
    first.open(Inbox())
    try:
        with pytest.raises(TransportError, match="in use by another program"):
            SerialTransport("dev-02", board.path).open(Inbox())
    finally:
        first.close()


def test_a_missing_port_and_a_wrong_url_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="plug the board in"):
        SerialTransport("dev-01", str(tmp_path / "ttyACM9")).open(Inbox())
    with pytest.raises(TransportError, match=r"write /dev/"):
        SerialTransport("dev-01", "nonsense://x").open(Inbox())
    with pytest.raises(TransportError, match=r"write /dev/"):
        SerialTransport("dev-01", "socket://nowhere").open(Inbox())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TransportError, match="emulator is running"):
        SerialTransport("dev-01", f"socket://127.0.0.1:{port}").open(Inbox())
    with pytest.raises(TransportError, match="over 512"):
        SerialTransport("dev-01", "/dev/null", max_payload=1024)


def test_a_board_that_does_not_answer_is_reported_and_the_port_released(board: Board) -> None:
    silent = SerialTransport("dev-01", board.path, answer_within_s=0.3)
    with pytest.raises(TransportError, match=r"nothing answers.*baud rate"):
        silent.open(Inbox())
    request = board.frames(1)[0]
    assert isinstance(decode_frame(request, from_device=False).message, HelloRequest)
    again = SerialTransport("dev-01", board.path, answer_within_s=5.0)
    answer = threading.Timer(0.1, os.write, (board.master, delimit(FRAME)))
    answer.start()
    inbox = Inbox()
    again.open(inbox)
    answer.join()
    again.close()
    assert inbox.drain(0.0) == [("dev-01", FRAME)]


def test_a_socket_port_carries_frames_and_comes_back_after_a_hang_up() -> None:
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SerialTransport(
            "dev-01", f"socket://127.0.0.1:{server.getsockname()[1]}", reopen_tries=50, reopen_wait_s=0.02
        )
        transport.open(inbox)
        try:
            with server.accept()[0] as peer:
                peer.sendall(delimit(FRAME))
                assert collect(inbox, 1) == [("dev-01", FRAME)]
            with server.accept()[0] as peer:
                peer.sendall(b"\0" + delimit(FRAME))
                assert collect(inbox, 1) == [("dev-01", FRAME)]
                transport.send("dev-01", FRAME)
                peer.settimeout(5)
                assert Deframer().feed(peer.recv(4096)) == [FRAME]
        finally:
            transport.close()
    assert transport.stats["reopened"] >= 1


def test_a_board_unplugged_for_good_is_an_error_with_the_remedy(board: Board) -> None:
    transport = SerialTransport("dev-01", board.path, reopen_tries=2, reopen_wait_s=0.02)
    transport.open(Inbox())
    try:
        board.close()
        with pytest.raises(TransportError, match="plug the board in again"):  # noqa: PT012 - it takes a moment
            for _ in range(500):
                transport.send("dev-01", FRAME)
                time.sleep(0.01)
    finally:
        transport.close()
        transport.close()


def test_a_line_that_takes_nothing_fills_a_bounded_queue(board: Board) -> None:
    transport = SerialTransport("dev-01", board.path)
    transport.open(Inbox())
    try:
        for _ in range(700):
            transport.send("dev-01", bytes(500))
        assert transport.stats["dropped-queue"] > 0
    finally:
        transport.close()


def test_a_client_elsewhere_is_not_on_this_line(board: Board) -> None:
    transport = SerialTransport("dev-01", board.path)
    with pytest.raises(TransportError, match="not to 'dev-02'"):
        transport.send("dev-02", FRAME)
    with pytest.raises(TransportError, match="not open"):
        transport.send("dev-01", FRAME)


def test_a_port_without_a_descriptor_goes_through_pyserial() -> None:
    inbox = Inbox()
    transport = SerialTransport("dev-01", "loop://")
    transport.open(inbox)
    try:
        transport.send("dev-01", FRAME)
        assert collect(inbox, 1) == [("dev-01", FRAME)]
    finally:
        transport.close()


def test_two_boards_are_one_transport_behind_a_router() -> None:
    boards = [Board(), Board()]
    inbox = Inbox()
    router = Router({f"dev-{i}": SerialTransport(f"dev-{i}", board.path) for i, board in enumerate(boards)})
    router.open(inbox)
    try:
        for i, board in enumerate(boards):
            router.send(f"dev-{i}", FRAME + bytes([i]))
            assert board.frames(1) == [FRAME + bytes([i])]
            os.write(board.master, delimit(FRAME))
        assert sorted(collect(inbox, 2)) == [("dev-0", FRAME), ("dev-1", FRAME)]
    finally:
        router.close()
        for board in boards:
            board.close()
