# SPDX-License-Identifier: MIT
"""One emulated board as a process: a Cortex-M image under Unicorn behind a loopback socket or a pty.

    python -m byzantiny_firmware.unicorn_board --image m4f --provision FILE [--listen 127.0.0.1:0 | --pty]

The engine is GPLv2; it is imported here and nowhere else, in a process of its own. What this process says to its
parent is one JSON object a line on stdout: first `{"url": ...}`, then an answer to every line on stdin (`stats`,
`reset BOOT_ID`, `quit`), and unasked `{"fault": ...}` when the firmware has crashed. It ends with its stdin, that is,
with its parent.

The model is what the image touches of an MPS2 (boards/mps2/mps2.h): flash, RAM of the modelled microcontroller and no
more, the provisioning block, the CMSDK UART, LED 0 as the marker around training. WFI is the only way the firmware
yields; the emulator resumes it when bytes have arrived. Nothing here depends on the host's time, so instruction counts
are exact and repeatable.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import queue
import selectors
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FLASH_BYTES = 256 << 10
RAM_BASE = 0x2000_0000
RAM_BYTES = 32 << 10
PROVISION_BASE = 0x0010_0000
UART_BASE = 0x4000_4000
FPGAIO_BASE = 0x4002_8000
SCS_BASE = 0xE000_E000
PAGE = 0x1000
TCG_BUFFER_BYTES = 8 << 20
BUDGET_INSTRUCTIONS = 50_000_000_000
"""Between two WFIs: far above the longest training that makes sense, some minutes of emulation."""
KEPT_OUTPUT_BYTES = 1 << 16
_LINE_BUFFER_BYTES = 1 << 16


class FaultError(Exception):
    """The firmware did something the modelled microcontroller cannot do."""


class _CounterState(ctypes.Structure):
    """`byz_counter_t` of core/native/byz_batch.h."""

    _fields_ = (
        ("image", ctypes.c_void_p),
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("enabled", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


def thumb_instructions(code: bytes) -> int:
    """How many instructions a run of Thumb code has: a halfword of 0b11101 and above begins one of 4 bytes.

    >>> thumb_instructions(bytes.fromhex("00bf" "00f001f8" "7047"))
    3
    """
    count = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 >= 0x1D else 2
        count += 1
    return count


class Counter:
    """Instructions of the blocks entered: exact, equal to QEMU's icount. In C where the native library loads."""

    def __init__(self, uc: Any, image: bytes, block_hook: int, *, native: bool = True) -> None:
        self._image = ctypes.create_string_buffer(image, len(image))
        self._state = _CounterState(ctypes.addressof(self._image), 0, len(image), 0, 1, 0)
        self.native = native and self._hook_native(uc, block_hook)
        if not self.native:
            self._cache: dict[tuple[int, int], int] = {}
            uc.hook_add(block_hook, self._on_block)

    @property
    def count(self) -> int:
        """Instructions since power-on."""
        return int(self._state.count)

    def _hook_native(self, uc: Any, block_hook: int) -> bool:
        try:
            uclib: Any = importlib.import_module("unicorn.unicorn_py3.unicorn").uclib
            from byzantiny_firmware import library

            function = ctypes.cast(library.load().byz_count_block, ctypes.c_void_p)
        except Exception:  # whatever is missing, counting in Python gives the same numbers
            return False
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            uc._uch, ctypes.byref(handle), block_hook, function, ctypes.addressof(self._state),  # noqa: SLF001
            ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        return bool(status == 0)

    def _on_block(self, _uc: Any, address: int, size: int, _data: object) -> None:
        count = self._cache.get((address, size))
        if count is None:
            count = self._cache[address, size] = thumb_instructions(self._image.raw[address : address + size])
        self._state.count += count


class Machine:
    """The microcontroller: flash, RAM, UART, marker. `run` executes until WFI finds nothing to receive.

    A new one is a power cycle: RAM starts with noise, as it does in hardware.
    """

    def __init__(
        self,
        segments: Sequence[tuple[int, bytes]],
        cpu: str,
        provision: bytes,
        *,
        ram_bytes: int = RAM_BYTES,
        native_count: bool = True,
        budget: int = BUDGET_INSTRUCTIONS,
        on_marker: Callable[[], None] = lambda: None,
    ) -> None:
        unicorn: Any = importlib.import_module("unicorn")
        arm_const: Any = importlib.import_module("unicorn.arm_const")
        models = {
            "m0": arm_const.UC_CPU_ARM_CORTEX_M0, "m3": arm_const.UC_CPU_ARM_CORTEX_M3,
            "m4f": arm_const.UC_CPU_ARM_CORTEX_M4, "m7": arm_const.UC_CPU_ARM_CORTEX_M7,
        }  # fmt: skip
        self._error = unicorn.UcError
        self._pc_register = arm_const.UC_ARM_REG_PC
        self.budget = budget
        self.exhausted = False
        self.running_from: int | None = None
        self._on_marker = on_marker
        self._received: deque[int] = deque()
        self.sent = bytearray()
        self.last_instructions = self.last_steps = self.trainings = self.total_steps = 0
        self._began: int | None = None

        # Without UC_MODE_MCLASS, which forces the model to Cortex-M33 whatever is asked for (reference/firmware.md B1).
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        uc.ctl_set_cpu_model(models[cpu])
        uc.ctl_set_tcg_buffer_size(TCG_BUFFER_BYTES)
        read_only, read_write = unicorn.UC_PROT_READ, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        uc.mem_map(0, FLASH_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        uc.mem_map(RAM_BASE, ram_bytes, read_write)
        uc.mem_map(SCS_BASE, PAGE, read_write)
        uc.mem_map(PROVISION_BASE, max(PAGE, -(-len(provision) // PAGE) * PAGE), read_only)
        flash = bytearray(FLASH_BYTES)
        for address, data in segments:
            uc.mem_write(address, data)
            flash[address : address + len(data)] = data
        uc.mem_write(RAM_BASE, bytes((i * 151 + 89) & 0xFF for i in range(256)) * (ram_bytes // 256))
        uc.mem_write(PROVISION_BASE, provision)
        received, sent = self._received, self.sent

        def uart_read(_uc: Any, offset: int, _size: int, _data: object) -> int:
            if offset == 4:
                return 2 if received else 0
            return received.popleft() if offset == 0 and received else 0

        def uart_write(_uc: Any, offset: int, _size: int, value: int, _data: object) -> None:
            if offset == 0:
                sent.append(value & 0xFF)

        uc.mmio_map(UART_BASE, PAGE, uart_read, None, uart_write, None)
        uc.mmio_map(FPGAIO_BASE, PAGE, None, None, self._on_led, None)
        self.counter = Counter(uc, bytes(flash), unicorn.UC_HOOK_BLOCK, native=native_count)
        if uc.ctl_get_cpu_model() != models[cpu]:
            raise FaultError(f"the engine runs CPU model {uc.ctl_get_cpu_model()}, not {cpu}'s {models[cpu]}")
        stack, self._pc = struct.unpack_from("<II", flash)
        uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._uc = uc

    def receive(self, data: bytes) -> None:
        """Bytes on the line towards the board."""
        self._received.extend(data)

    def run(self) -> None:
        """Execute until the firmware waits with nothing received.

        Raises FaultError when it leaves the modelled machine, or exceeds the budget.
        """
        waiting = -1
        while len(self._received) != waiting:  # a firmware that no longer reads is parked: waking it again is no use
            waiting = len(self._received)
            self.running_from = self.counter.count
            try:
                self._uc.emu_start(self._pc | 1, 0xFFFF_FFFF)
            except self._error as error:
                raise FaultError(f"{error} at pc 0x{self._uc.reg_read(self._pc_register):08x}") from error
            finally:
                self.running_from = None
            if self.exhausted:
                raise FaultError(f"more than {self.budget} instructions without waiting for a byte")
            self._pc = self._uc.reg_read(self._pc_register)
            if not self._received:
                return
        self._received.clear()

    def check_budget(self) -> None:
        """Stop a firmware that has not waited for too long; for a watchdog in another thread."""
        began = self.running_from
        if began is not None and self.counter.count - began > self.budget:
            self.exhausted = True
            self._uc.emu_stop()

    def stats(self) -> dict[str, int | bool]:
        """What has been counted since power-on; `last` is the last training."""
        return {
            "instructions": self.counter.count,
            "last_instructions": self.last_instructions,
            "last_steps": self.last_steps,
            "steps": self.total_steps,
            "trainings": self.trainings,
            "native_count": self.counter.native,
        }

    def _on_led(self, _uc: Any, offset: int, _size: int, value: int, _data: object) -> None:
        if offset != 0:
            return
        if value & 1:
            self._began = self.counter.count
            self._on_marker()
        elif self._began is not None:
            self.last_instructions = self.counter.count - self._began
            self.last_steps = value >> 1
            self.total_steps += self.last_steps
            self.trainings += 1
            self._began = None


def load_segments(path: Path) -> list[tuple[int, bytes]]:
    """What an ELF image puts into flash: (address, bytes)."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        return [
            (segment["p_paddr"], segment.data())
            for segment in ELFFile(file).iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
        ]


class _Pty:
    """A pseudo-terminal in raw mode, with the interface of a connected socket; the slave stays open."""

    def __init__(self) -> None:
        import tty

        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.url = os.ttyname(self._slave)

    def fileno(self) -> int:
        return self._master

    def recv(self, size: int) -> bytes:
        return os.read(self._master, size)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._master, view) :]

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class Board:
    """The process's loop: one line to the world, one to the parent."""

    def __init__(
        self, make_machine: Callable[[bytes, Callable[[], None]], Machine], provision: bytes, listen: str | None
    ) -> None:
        self._make_machine = make_machine
        self._provision = provision
        self._fault: str | None = None
        self._commands: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wake, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_commands)
        self._line: socket.socket | _Pty | None = None
        if listen is None:
            pty = _Pty()
            self.url = pty.url
            self._attach(pty)
        else:
            host, _, port = listen.rpartition(":")
            self._listener = socket.create_server((host, int(port)))
            self.url = f"socket://{host}:{self._listener.getsockname()[1]}"
            self._selector.register(self._listener, selectors.EVENT_READ, self._on_connection)

    def serve(self) -> None:
        """Power on and never return."""
        self._machine = self._make_machine(self._provision, self._flush)
        _say({"url": self.url})
        threading.Thread(target=self._read_commands, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        self._run()
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _run(self) -> None:
        if self._fault is None:
            try:
                self._machine.run()
            except FaultError as fault:
                self._fault = str(fault)
                _say({"fault": self._fault})
        self._flush()

    def _flush(self) -> None:
        sent = self._machine.sent
        if self._line is None:
            del sent[:-KEPT_OUTPUT_BYTES]  # nobody listens yet: keep the banner, not everything
            return
        data = bytes(sent)
        sent.clear()
        with contextlib.suppress(OSError):  # the other end has gone; the next read finds out
            self._line.sendall(data)

    def _attach(self, line: socket.socket | _Pty) -> None:
        self._detach()
        self._line = line
        self._selector.register(line, selectors.EVENT_READ, self._on_bytes)

    def _detach(self) -> None:
        if self._line is not None:
            self._selector.unregister(self._line)
            self._line.close()
            self._line = None

    def _on_connection(self) -> None:
        line, _ = self._listener.accept()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._attach(line)
        self._flush()

    def _on_bytes(self) -> None:
        if self._line is None:
            return
        try:
            data = self._line.recv(_LINE_BUFFER_BYTES)
        except OSError:
            data = b""
        if not data:
            self._detach()
            return
        self._machine.receive(data)
        self._run()

    def _on_commands(self) -> None:
        self._wake.recv(_LINE_BUFFER_BYTES)
        while not self._commands.empty():
            _say(self._obey(self._commands.get().split()))

    def _obey(self, words: list[str]) -> dict[str, Any]:
        match words:
            case ["stats"]:
                return {**self._machine.stats(), "fault": self._fault}
            case ["reset", boot_id] if boot_id.isdigit():
                from byzantiny_firmware.provision import with_boot_id

                self._provision = with_boot_id(self._provision, int(boot_id))
                self._machine = self._make_machine(self._provision, self._flush)
                self._fault = None
                self._run()
                return {"boot_id": int(boot_id)}
            case _:
                return {"error": f"unknown command {words}; stats, reset BOOT_ID and quit are known"}

    def _read_commands(self) -> None:
        # In a thread, so that the parent's end is noticed while the firmware trains.
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            if line.strip():
                self._commands.put(line)
                self._waker.send(b"!")
        os._exit(0)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(0.5):
            self._machine.check_budget()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Run one board until stdin ends."""
    parser = argparse.ArgumentParser("python -m byzantiny_firmware.unicorn_board", description="one board")
    parser.add_argument("--image", required=True, help="an ELF file, or the name of a built image: m0, m3, m4f")
    parser.add_argument("--cpu", choices=("m0", "m3", "m4f", "m7"), help="the core; the image's name by default")
    parser.add_argument("--provision", required=True, type=Path, help="the provisioning block and data set")
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port of the serial line; port 0 takes a free one")
    parser.add_argument("--pty", action="store_true", help="a pseudo-terminal instead of a socket")
    parser.add_argument("--ram-bytes", type=int, default=RAM_BYTES, help="RAM of the modelled microcontroller")
    parser.add_argument("--budget", type=int, default=BUDGET_INSTRUCTIONS, help="instructions between two waits")
    parser.add_argument("--count-in-python", action="store_true", help="count instructions without the native library")
    options = parser.parse_args(argv)
    path = Path(options.image)
    if not path.is_file():
        from byzantiny_firmware.images import image_path

        path = image_path(options.image)
    segments = load_segments(path)
    cpu = options.cpu or path.stem.rpartition("_")[2]

    def make_machine(provision: bytes, on_marker: Callable[[], None]) -> Machine:
        return Machine(
            segments,
            cpu,
            provision,
            ram_bytes=options.ram_bytes,
            native_count=not options.count_in_python,
            budget=options.budget,
            on_marker=on_marker,
        )

    Board(make_machine, options.provision.read_bytes(), None if options.pty else options.listen).serve()


if __name__ == "__main__":
    main()
