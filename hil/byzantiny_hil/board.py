"""From a name in the map to an open board, and to a serial port of an experiment.

    with open_board("bench-m4") as board:      # the port is open, and HELLO says who the map says
        board.ping()

Real and emulated are one code path: an emulated entry first starts a Unicorn board, and then its port is opened as any.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.ports import Ports, Training
from byzantiny.records import FirmwareInfo
from byzantiny.wire.messages import Hello
from byzantiny_firmware.attacked import attack_of
from byzantiny_firmware.ports import UnicornPorts
from byzantiny_firmware.unicorn import BoardHandle, start_board
from byzantiny_hil.boardmap import Emulated, Mapped, Wired, load_map
from byzantiny_hil.device import Board
from byzantiny_hil.emulated import emulated_spec
from byzantiny_hil.errors import HilError
from byzantiny_hil.framelog import FrameLog
from byzantiny_hil.rounds import oldest_round

__all__ = ["Board", "BoardPorts", "open_board", "open_mapped", "ports"]


def open_board(name: str, boards: Path | None = None, *, logdir: Path | None = None) -> Board:
    """Open one board of the map as one device; close it, or use it as a context manager.

    Raises HilError (the map, the secret, the port, silence, another identity) or FirmwareError (the emulator), each with
    its remedy.
    """
    return open_mapped(load_map(boards).find(name), logdir=logdir)


def open_mapped(mapped: Mapped, *, logdir: Path | None = None) -> Board:
    """Open one board whose entry is at hand; raises as `open_board`."""
    with ExitStack() as stack:
        handle: BoardHandle | None = None
        dataset: bytes | None
        entry = mapped.entry
        if isinstance(entry, Emulated):
            spec = emulated_spec(mapped)
            handle = start_board(spec, entry.image)
            stack.callback(handle.close)
            url, secret, dataset = handle.url, spec.secret, spec.dataset
        else:
            url, secret, dataset = entry.port, mapped.secret(), mapped.dataset()
        log = FrameLog(logdir / f"{mapped.name}.log" if logdir else None, f"{mapped.name} on {url}")
        stack.callback(log.close)
        board = Board(mapped, url, secret, dataset, log, handle)
        stack.pop_all()
    return board


class BoardPorts:
    """A real board as the one port of a group of clients (`byzantiny.bodies.ports.Ports`).

    `specs` is what is really there: the secret of the board's file and its address, which the coordinator uses in place
    of those it would have given an emulated device.
    """

    def __init__(self, name: str, entry: Wired, spec: DeviceSpec, hello: Hello) -> None:
        self.urls = [entry.port]
        self.baud: int | None = entry.baud
        self.dtr = entry.dtr
        self.specs = [spec]
        self._name = name
        self._hello = hello

    def training(self, slot: int) -> Training | None:  # noqa: ARG002  (there is one)
        """Return None: a real board's instructions are not counted."""
        return None

    def firmware(self) -> list[FirmwareInfo]:
        """Return what HELLO says of the firmware: the first 8 bytes of its hash."""
        return [FirmwareInfo(name=f"board {self._name}", sha256=self._hello.fw_sha256.hex())]

    def reboot(self, slot: int, boot_id: int) -> None:  # noqa: ARG002  (there is one)
        """Raise HilError: a real board takes a hand."""
        raise HilError(f"the board {self._name} cannot be power-cycled from here; reset it by hand")

    def close(self) -> None:
        """Do nothing: whoever opened the port closes it."""


def ports(
    specs: Sequence[DeviceSpec],
    *,
    board: str | None = None,
    boards: Path | None = None,
    round_num: int | None = None,
    attack: str | None = None,
    **parameters: int,
) -> Ports:
    """Return the port of a board of the map, for a group of one client: the entry `board` of `byzantiny.ports`.

    An emulated entry is started as the client it is given. A real one is opened once, to see that it answers and is the
    mapped one; its device id must be the client's id, and its data the client's share (or `own_data` is set). With
    `round_num`, the first round there will be, it must also still take that round (docs/wire.md 5, STALE_ROUND). `attack` says
    that its firmware lies: an emulated entry is started so, and a real one must say it of itself, as an honest one must not.

    Raises HilError: no board named, not one client, another identity, other data, a later round; else as `open_board`.

    >>> ports([])
    Traceback (most recent call last):
    byzantiny_hil.errors.HilError: the body `board` needs to know which: set `board = NAME` in its [[clients]] group ...
    """
    if board is None:
        raise HilError(
            "the body `board` needs to know which: set `board = NAME` in its [[clients]] group "
            "(`byzantiny board list` prints the names)"
        )
    mapped = load_map(boards).find(board)
    if len(specs) != 1:
        raise HilError(f"board `{board}` is one device, not {len(specs)}; set count = 1, and one group for each board")
    entry = mapped.entry
    if isinstance(entry, Emulated):
        return UnicornPorts(specs, image=entry.image, attack=attack, **parameters)
    if specs[0].client_id != mapped.device_id:
        raise HilError(
            f"{mapped.at}: the board is provisioned as `{mapped.device_id}`, the experiment's client is "
            f"`{specs[0].client_id}`; set the group's prefix so that they are equal (prefix-01 with count = 1)"
        )
    with open_mapped(mapped) as opened:
        _check_data(opened, specs[0])
        _check_honesty(opened, attack)
        oldest = oldest_round(opened) if round_num is not None else 0
        if round_num is not None and oldest > round_num:
            raise opened.error(
                f"it has accepted round {oldest} and refuses round {round_num} until it is reset; reset it by hand, "
                "and give each run on a real board one arm and one seed"
            )
    spec = dataclasses.replace(specs[0], secret=opened.secret, address=entry.address)
    return BoardPorts(board, entry, spec, opened.hello)


def _check_honesty(board: Board, attack: str | None) -> None:
    """A firmware with an attack inside says so in HELLO, and is taken for nothing else."""
    inside = attack_of(board.hello.build_id)
    if inside != attack:
        raise board.error(
            f"its firmware is {'honest' if inside is None else f'built with {inside} inside'}, and the experiment says "
            f"{'nothing of an attack' if attack is None else f'firmware_attack = {attack!r}'}; flash the other, or change the"
            " client's group"
        )


def _check_data(board: Board, spec: DeviceSpec) -> None:
    share = hashlib.sha256(spec.dataset).digest()
    entry = board.mapped.entry
    if isinstance(entry, Wired) and not entry.own_data and board.hello.data_sha256 != share:
        raise HilError(
            f"{board.mapped.at}: the board's data are {board.hello.data_sha256.hex()[:16]} "
            f"({board.hello.n_samples} samples), the experiment's share of `{spec.client_id}` is {share.hex()[:16]}; "
            "write that share to its flash, or set own_data = true for a run that no other body repeats"
        )
