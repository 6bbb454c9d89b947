"""`byzantiny doctor`: what is installed, what is missing, and what is unavailable without it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as json_module
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny import kernels
from byzantiny.bodies.ports import GROUP as PORTS
from byzantiny.bodies.ports import port_names
from byzantiny.bodies.registry import GROUP as BODIES
from byzantiny.bodies.registry import body_names, unavailable_reason
from byzantiny_models.deploy.runtimes import MODULES, ORDER, RuntimeMissingError, search


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
    ("tflite", "tflite", "reading and patching .tflite files", "pip install 'byzantiny[tflite]'", False),
    ("scikit-learn", "sklearn", "the digits task", "pip install 'byzantiny[data]'", False),
    ("unicorn", "unicorn", "emulated Cortex-M boards (bodies unicorn-*)", "pip install 'byzantiny[emulator]'", False),
    ("pyelftools", "elftools", "loading and sizing firmware images", "pip install 'byzantiny[emulator]'", False),
    ("amqtt", "amqtt", "a broker without mosquitto", "pip install 'byzantiny[broker]'", False),
    ("jinja2", "jinja2", "report.html", "pip install 'byzantiny[report]'", False),
    ("vl-convert-python", "vl_convert", "the report's charts", "pip install 'byzantiny[report]'", False),
    ("ziglang", "ziglang", "rebuilding firmware and native libraries", "pip install 'byzantiny[firmware]'", False),
)
NARROW_COLUMNS, LEAST_BESIDE = 80, 64
"""Below the first, what was found has no column of its own; the second are those that mark, name and remedy need."""
INTERPRETER_TIMEOUT_S = 30.0
REMEDIES = {
    "tflite-runtime": "pip install 'byzantiny[tflite]'",
    "ai-edge-litert": "pip install ai-edge-litert",
    "tf.lite": "pip install 'byzantiny[tensorflow]'",
    "tflite-micro": "pip install tflite-micro",
    "numpy": "pip install byzantiny",
}
INTERPRETERS = {
    "tflite-runtime": "the deployed model in TFLM's arithmetic (BUILTIN_REF)",
    "ai-edge-litert": "the deployed model; up to 1.2 in TFLM's arithmetic",
    "tf.lite": "Keras files, templates of new networks, quantization-aware training",
    "tflite-micro": "the deployed model by TFLM itself",
}
PROGRAMS = (
    ("mosquitto", ("mosquitto", "-h"), "the fast private MQTT broker", "apt-get install mosquitto"),
    ("qemu-system-arm", ("qemu-system-arm", "--version"), "the body qemu", "apt-get install qemu-system-arm"),
    ("git", ("git", "--version"), "the commit in a manifest", "apt-get install git"),
)


def diagnose() -> list[Finding]:
    """Look at packages, programs, native code, interpreters and limits; what is started is bounded in time."""
    findings = [_package(*entry) for entry in PACKAGES]
    findings += [_program(*entry) for entry in PROGRAMS]
    findings.append(_kernels())
    findings += _interpreters()
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
        console = Console(highlight=False)
        console.print(_table(findings, console.width))
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
    return Finding(name, _version(first[0]) if first else path, gives, remedy)


def _version(line: str) -> str:
    """The version in a program's first line of output; the line itself if there is none.

    >>> _version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"), _version("it works")
    ('7.2.22', 'it works')
    """
    found = re.search(r"\d+(?:\.\d+)+", line)
    return found[0] if found else line[:32]


def _kernels() -> Finding:
    backend = kernels.backend().variant
    found = backend if backend != "numpy" else ""
    return Finding("native kernels", found, "fast aggregation (NumPy: the same, slower)", "byzantiny firmware build")


def _interpreters() -> list[Finding]:
    """Who runs the deployed model, found by running one in a process of its own, and why those preferred to it do not."""
    gives = "running the exported .tflite of a model"
    try:
        found = search(timeout_s=INTERPRETER_TIMEOUT_S)
    except RuntimeMissingError as error:
        return [Finding("deployed model", "", gives, str(error))]
    runtime = found.runtime
    who = f"{runtime.package} {runtime.version}, {runtime.arithmetic or 'an unknown arithmetic'} ({runtime.resolver})"
    findings = [Finding("deployed model", who, gives, REMEDIES[runtime.package])]
    for package in (each for each in ORDER if each in MODULES and each != runtime.package):
        there = _has(MODULES[package])
        broken = found.reasons.get(package, "") if there else ""
        version = "installed, not tried" if there and not broken else ""
        findings.append(Finding(package, version, INTERPRETERS[package], broken or REMEDIES[package]))
    return findings


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


def _table(findings: list[Finding], width: int) -> Table:
    """A line a finding; on a narrow terminal what was found stands above what it is for."""
    table = Table.grid(padding=(0, 2, 0, 0))
    narrow = width < NARROW_COLUMNS
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    if not narrow:
        table.add_column(overflow="fold", max_width=width - LEAST_BESIDE)
    table.add_column(overflow="fold")
    for finding in findings:
        if finding.found:
            mark, text = Text("ok", style="green"), finding.gives
        else:
            mark = Text("missing", style="red") if finding.required else Text("absent", style="yellow")
            text = f"unavailable: {finding.gives}\n{finding.remedy}"
        told = ["\n".join(filter(None, (finding.found, text)))] if narrow else [finding.found, text]
        table.add_row(mark, Text(finding.name), *map(Text, told))
    return table
