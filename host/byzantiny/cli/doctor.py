"""`byzantiny doctor`: what is installed, what is missing, and what is unavailable without it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as json_module
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from byzantiny import kernels
from byzantiny.bodies.registry import body_names, load_body


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
    findings += [_body(name) for name in body_names()]
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
    return Finding(name, first[0][:60] if first else path, gives, remedy)


def _kernels() -> Finding:
    backend = kernels.backend().variant
    found = backend if backend != "numpy" else ""
    return Finding("native kernels", found, "fast aggregation (NumPy: the same, slower)", "byzantiny firmware build")


def _body(name: str) -> Finding:
    """A body is there if its module imports and it does not say that something is missing."""
    gives = f"clients with body = {name!r}"
    try:
        factory = load_body(name)
        reason: Callable[[], str | None] = getattr(factory, "unavailable_reason", lambda: None)
        why = reason()
    except Exception as error:  # a body of another package may fail in any way; the doctor says how
        return Finding(f"body {name}", "", gives, str(error))
    return Finding(f"body {name}", "" if why else "ready", gives, why or "")


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("file descriptors", f"{soft} (hard limit {hard})", "one MQTT device each", "ulimit -n")


def _table(findings: list[Finding]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column in ("", "name", "found", "gives", "remedy"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        present = bool(finding.found)
        mark = "[green]ok[/]" if present else ("[red]missing[/]" if finding.required else "[yellow]absent[/]")
        table.add_row(mark, finding.name, finding.found, finding.gives, "" if present else finding.remedy)
    return table
