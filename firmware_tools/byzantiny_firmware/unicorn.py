"""Boards under Unicorn: each a child process behind a loopback socket, and the body `unicorn` made of them.

The engine is never loaded here; `byzantiny_firmware.unicorn_board` is the process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import IO, Any, Final

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.port_body import BAUD, PortBody
from byzantiny.bodies.ports import Training
from byzantiny.records import FirmwareInfo
from byzantiny.transport.serial_line import open_line
from byzantiny_firmware.attacked import attacked_image
from byzantiny_firmware.described import image_info, with_cost
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import MAX_PAYLOAD, image_path
from byzantiny_firmware.provision import network_of, provision
from byzantiny_firmware.sizes import elf_sizes

START_TIMEOUT_S: Final = 30.0
ANSWER_TIMEOUT_S: Final = 300.0
"""The board answers between two waits of its firmware, so after a training at the latest."""
STOP_TIMEOUT_S: Final = 5.0


def unavailable_reason() -> str | None:
    """Why there can be no Unicorn board here, as a sentence; None where there can."""
    for module in ("unicorn", "elftools"):
        if importlib.util.find_spec(module) is None:
            return f'the package {module} is not installed; install it with `pip install "byzantiny[emulator]"`'
    return None


@dataclass(frozen=True, slots=True)
class BoardStats:
    """What a board has counted since power-on. Instructions are of the emulated core, exact; `last` is one training."""

    instructions: int
    last_instructions: int
    last_steps: int
    steps: int
    trainings: int
    native_count: bool
    fault: str | None

    @property
    def instructions_per_step(self) -> float:
        """Of the last training; nan before the first."""
        return self.last_instructions / self.last_steps if self.last_steps else float("nan")


class BoardHandle:
    """A board's process, as its parent holds it; it ends with `close`, or with its parent.

    `url` is the serial line (pyserial's `socket://`, or a pty's path). Errors are FirmwareError.
    """

    def __init__(self, spec: DeviceSpec, info: FirmwareInfo, arguments: Sequence[str], blob: bytes) -> None:
        self.spec = spec
        self.info = info
        self.fault: str | None = None
        self._url: str | None = None
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the board is)
        with tempfile.NamedTemporaryFile(prefix="byzantiny-", suffix=".provision", delete=False) as file:
            file.write(blob)
            self._provision = Path(file.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "byzantiny_firmware.unicorn_board", "--provision", file.name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends this one
        )
        self._reader = threading.Thread(target=self._read, name=f"byz-board-{spec.client_id}", daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The serial line; waits until the board has started."""
        with self._lock:
            if self._url is None:
                self._url = str(self._answer(START_TIMEOUT_S)["url"])
                self._provision.unlink(missing_ok=True)
            return self._url

    def reset(self, boot_id: int) -> None:
        """Power cycle: RAM is lost, flash stays; the banner follows."""
        self.fault = None
        self._ask(f"reset {boot_id}")

    def stats(self) -> BoardStats:
        """What the board has counted; waits for the end of a training under way."""
        return BoardStats(**self._ask("stats"))

    def training(self) -> Training | None:
        """What the last training cost; None before the first. Waits for the end of one under way."""
        stats = self.stats()
        return Training(stats.last_instructions, stats.last_steps) if stats.last_steps else None

    def close(self) -> None:
        """End the process; idempotent."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            with contextlib.suppress(OSError):  # it may have ended already
                process.stdin.write("quit\n")
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()
        self._provision.unlink(missing_ok=True)

    def __enter__(self) -> BoardHandle:  # noqa: PYI034  (typing.Self is Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, command: str) -> dict[str, Any]:
        _ = self.url
        with self._lock:
            assert self._process.stdin is not None, "the process has a pipe"
            try:
                self._process.stdin.write(command + "\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise FirmwareError(self._post_mortem()) from error
            answer = self._answer(ANSWER_TIMEOUT_S)
        if "error" in answer:
            raise FirmwareError(f"the board {self.spec.client_id}: {answer['error']}")
        return answer

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise FirmwareError(f"the board {self.spec.client_id} does not answer within {timeout_s} s") from None
        if answer is None:
            self._answers.put(None)
            raise FirmwareError(self._post_mortem())
        return answer

    def _post_mortem(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return (
            f"the process of board {self.spec.client_id} has ended with status {self._process.returncode}: "
            f"{said[-1] if said else 'it said nothing'}"
        )

    def _read(self) -> None:
        assert self._process.stdout is not None, "the process has a pipe"
        for line in self._process.stdout:
            answer = json.loads(line)
            if set(answer) == {"fault"}:
                self.fault = answer["fault"]
            else:
                self._answers.put(answer)
        self._answers.put(None)


def start_board(
    spec: DeviceSpec,
    image: str = "m4f",
    *,
    pty: bool = False,
    ram_bytes: int | None = None,
    budget: int | None = None,
    native_count: bool = True,
) -> BoardHandle:
    """Start one board and return at once; its `url` waits until it is up.

    `image` is a core's name (m0, m3, m4f, m7), of which the image for the device's network is taken, or an ELF file whose
    name ends in `_<core>.elf`. `ram_bytes` models a smaller microcontroller than the image is for, `budget` is how many
    instructions the firmware may execute without waiting for a byte.

    Raises FirmwareError: no such image, a stale one, no engine, or a device that cannot be provisioned.
    """
    reason = unavailable_reason()
    if reason is not None:
        raise FirmwareError(reason)
    path = Path(image) if image.endswith(".elf") else image_path(image, spec.network)
    sizes = elf_sizes(path, image, spec.network)
    arguments = ["--image", str(path)]
    arguments += ["--pty"] if pty else []
    arguments += ["--ram-bytes", str(sizes.ram_bytes if ram_bytes is None else ram_bytes)]
    arguments += ["--budget", str(budget)] if budget is not None else []
    arguments += [] if native_count else ["--count-in-python"]
    blob = provision(spec, max_payload=MAX_PAYLOAD, max_samples=sizes.samples_with(network_of(spec), spec.max_payload))
    return BoardHandle(spec, image_info(path, image, spec.network), arguments, blob)


def image_of(spec: DeviceSpec, image: str, attack: str | None, parameters: Mapping[str, int]) -> str:
    """Return what `start_board` is to run: the image as named, or with an attack inside. Raises FirmwareError."""
    return image if attack is None else str(attacked_image(image, spec.network, attack, parameters))


def firmware_of(boards: Sequence[BoardHandle]) -> list[FirmwareInfo]:
    """What boards run: each image once, with the instructions per step over the last trainings of its boards."""
    by_image: dict[FirmwareInfo, list[Training | None]] = {}
    for board in boards:
        by_image.setdefault(board.info, []).append(board.training())
    return [with_cost(info, trainings) for info, trainings in by_image.items()]


class UnicornBody(PortBody):
    """One emulated board a slot; `boards` are their handles (instruction counts, power)."""

    def __init__(
        self, specs: Sequence[DeviceSpec], *, image: str = "m4f", attack: str | None = None, **parameters: int
    ) -> None:
        self.boards: list[BoardHandle] = []
        try:
            images = [image_of(spec, image, attack, parameters) for spec in specs]
            self.boards.extend(starmap(start_board, zip(specs, images, strict=True)))  # all start at once ...
            lines = [open_line(board.url, BAUD, dtr=True) for board in self.boards]  # ... and are waited for in turn
        except BaseException:
            self._close_boards()
            raise
        super().__init__(lines, names=[spec.client_id for spec in specs])

    def exchange(self, frames: Sequence[tuple[int, bytes]], now_ms: int) -> list[tuple[int, bytes]]:
        """As PortBody; raises FirmwareError when a board's firmware has crashed."""
        came = super().exchange(frames, now_ms)
        if not came:
            for board in self.boards:
                if board.fault is not None:
                    raise FirmwareError(f"the firmware of board {board.spec.client_id} has crashed: {board.fault}")
        return came

    def firmware(self) -> list[FirmwareInfo]:
        """Return the image: its size from the ELF, its instructions per step from the last trainings."""
        return firmware_of(self.boards)

    def reboot(self, slot: int, boot_id: int) -> None:
        """Power-cycle a board."""
        self.boards[slot].reset(boot_id)

    def close(self) -> None:
        """End the boards; idempotent."""
        super().close()
        self._close_boards()

    def _close_boards(self) -> None:
        for board in self.boards:
            board.close()
        self.boards.clear()


def unicorn_m0(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornBody:
    """The body `unicorn-m0`."""
    return UnicornBody(specs, image="m0", attack=attack, **parameters)


def unicorn_m3(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornBody:
    """The body `unicorn-m3`."""
    return UnicornBody(specs, image="m3", attack=attack, **parameters)


def unicorn_m4f(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornBody:
    """The body `unicorn-m4f`."""
    return UnicornBody(specs, image="m4f", attack=attack, **parameters)


def unicorn_m7(specs: Sequence[DeviceSpec], *, attack: str | None = None, **parameters: int) -> UnicornBody:
    """The body `unicorn-m7`."""
    return UnicornBody(specs, image="m7", attack=attack, **parameters)
