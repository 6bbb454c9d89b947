"""`byzantiny doctor`: what is installed, what is missing, and what is unavailable without it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as json_module
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from byzantiny import kernels
from byzantiny.bodies.ports import GROUP as PORTS
from byzantiny.bodies.ports import port_names
from byzantiny.bodies.registry import GROUP as BODIES
from byzantiny.bodies.registry import body_names, unavailable_reason


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    name: str
    found: str
    """Version or place; empty if it is missing."""
    gives: str
    remedy: str
    required: bool = False


PACKAGES = (
    ("numpy", "numpy", "arrays", "pip install byzantiny", True),
    ("paho-mqtt", "paho.mqtt", "the MQTT transport", "pip install byzantiny", True),
    ("pyserial", "serial", "the serial transport, emulated and real boards", "pip install byzantiny", True),
    ("scikit-learn", "sklearn", "the digits task", "pip install 'byzantiny[data]'", False),
    ("unicorn", "unicorn", "emulated Cortex-M boards (bodies unicorn-*)", "pip install 'byzantiny[emulator]'", False),
    ("pyelftools", "elftools", "loading and sizing firmware images", "pip install 'byzantiny[emulator]'", False),
    ("amqtt", "amqtt", "a broker without mosquitto", "pip install 'byzantiny[broker]'", False),
    ("jinja2", "jinja2", "report.html", "pip install 'byzantiny[report]'", False),
    ("vl-convert-python", "vl_convert", "the report's charts", "pip install 'byzantiny[report]'", False),
    ("ziglang", "ziglang", "rebuilding firmware and native libraries", "pip install 'byzantiny[firmware]'", False),
    ("tflite-runtime", "tflite_runtime", "the deployed model's interpreter", "pip install 'byzantiny[tflite]'", False),
    ("tensorflow", "tensorflow", "building model templates from Keras", "pip install 'byzantiny[tensorflow]'", False),
)
PROGRAMS = (
    ("mosquitto", ("mosquitto", "-h"), "the fast private MQTT broker", "apt-get install mosquitto"),
    ("qemu-system-arm", ("qemu-system-arm", "--version"), "the body qemu", "apt-get install qemu-system-arm"),
    ("git", ("git", "--version"), "the commit in a manifest", "apt-get install git"),
)


def diagnose() -> list[Finding]:
    """Look at packages, programs, native code and limits; nothing is started but `--version`."""
    findings = [_package(*entry) for entry in PACKAGES]
    findings += [_program(*entry) for entry in PROGRAMS]
    findings.append(_kernels())
    findings += _plugged(BODIES, body_names(), "what executes clients in an experiment (body = ...)")
    findings += _plugged(PORTS, port_names(), 'the same on a serial line (transport = "serial")')
    findings.append(_descriptors())
    return findings


def print_diagnosis(*, json: bool) -> None:
    """Print the findings; exit with status 2 if something required is missing."""
    findings = diagnose()
    missing = [finding for finding in findings if finding.required and not finding.found]
    if json:
        sys.stdout.write(json_module.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        Console().print(_table(findings))
    if missing:
        raise SystemExit(2)


def _package(name: str, module: str, gives: str, remedy: str, required: bool) -> Finding:
    try:
        found = importlib.metadata.version(name) if _has(module) else ""
    except importlib.metadata.PackageNotFoundError:
        found = "installed"
    return Finding(name, found, gives, remedy, required)


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _program(name: str, command: tuple[str, ...], gives: str, remedy: str) -> Finding:
    path = shutil.which(name)
    if path is None and name == "mosquitto":
        path = shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        return Finding(name, "", gives, remedy)
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=10, check=False)
        first = (done.stdout or done.stderr).strip().splitlines()
    except (OSError, subprocess.SubprocessError):
        first = []
    return Finding(name, first[0][:32] if first else path, gives, remedy)


def _kernels() -> Finding:
    backend = kernels.backend().variant
    found = backend if backend != "numpy" else ""
    return Finding("native kernels", found, "fast aggregation (NumPy: the same, slower)", "byzantiny firmware build")


def _plugged(group: str, names: list[str], what: str) -> list[Finding]:
    """One line for all that work, and one for each that does not: its module fails, or says what is missing."""
    reasons = {name: _reason(group, name) for name in names}
    ready = [name for name, reason in reasons.items() if reason is None]
    kind = group.rpartition(".")[2]
    broken = [Finding(f"{kind}: {name}", "", what, reason) for name, reason in reasons.items() if reason is not None]
    return [Finding(kind, ", ".join(ready), what, f"pip install {group.partition('.')[0]}"), *broken]


def _reason(group: str, name: str) -> str | None:
    try:
        return unavailable_reason(group, name)
    except Exception as error:  # one of another package may fail in any way; the doctor says how
        return str(error)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("file descriptors", f"{soft} (hard limit {hard})", "one MQTT device each", "ulimit -n")


def _table(findings: list[Finding]) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None)
    for column in ("", "name", "found", "what it is for, or what is unavailable and how to get it"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        if finding.found:
            mark, text = "[green]ok[/]", finding.gives
        else:
            mark = "[red]missing[/]" if finding.required else "[yellow]absent[/]"
            text = f"unavailable: {finding.gives}. {finding.remedy}"
        table.add_row(mark, *(escape(cell) for cell in (finding.name, finding.found, text)))
    return table
