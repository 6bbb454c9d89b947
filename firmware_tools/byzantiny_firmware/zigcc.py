"""Compiling C with the `ziglang` wheel: the command, its cache, source hashes, a small job pool.

Imports the standard library only: the build hook uses it before anything else is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

JOBS = 2
"""Compilations at a time; one needs up to 300 MB."""


class CompileError(Exception):
    """The compiler is missing or refused a source; the message holds its output and the remedy."""


@dataclass(frozen=True)
class Job:
    """One output file, and how it is made: arguments of `zig cc`, without `-o`."""

    output: Path
    arguments: tuple[str, ...]


def compiler() -> list[str]:
    """The command that starts zig's C compiler."""
    return [sys.executable, "-m", "ziglang", "cc"]


def compiler_version() -> str:
    """The version of the `ziglang` wheel, for example `0.17.0`.

    Raises:
        CompileError: it is not installed.
    """
    result = subprocess.run(
        [*compiler()[:-1], "version"], capture_output=True, text=True, check=False, env=environment()
    )
    if result.returncode:
        raise CompileError(
            f"the compiler (package ziglang) does not start: {_tail(result.stderr)}; "
            'install it with `pip install "byzantiny[firmware]"`'
        )
    return result.stdout.strip()


def environment() -> dict[str, str]:
    """The environment for zig: its caches in the default place, or in a temporary one where that cannot be written."""
    variables = dict(os.environ)
    fallback = Path(tempfile.gettempdir()) / "byzantiny-zig-cache"
    if "ZIG_GLOBAL_CACHE_DIR" not in variables and not _writable(_default_cache(variables)):
        variables["ZIG_GLOBAL_CACHE_DIR"] = str(fallback)
    # zig's local cache would be a .zig-cache in the working directory, which may be read-only or somebody's project.
    variables.setdefault("ZIG_LOCAL_CACHE_DIR", variables.get("ZIG_GLOBAL_CACHE_DIR", str(fallback)))
    return variables


def _default_cache(variables: dict[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(variables.get("LOCALAPPDATA", tempfile.gettempdir())) / "zig"
    home = variables.get("HOME", tempfile.gettempdir())
    return Path(variables.get("XDG_CACHE_HOME") or Path(home) / ".cache") / "zig"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def sources_sha256(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the names (relative to `root`) and contents of files, sorted by name, as hex.

    Line ends count as LF, so that a checkout with CRLF has the same hash.
    """
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in files):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def run_jobs(jobs: Sequence[Job]) -> None:
    """Compile, a few at a time; an output appears whole or not at all.

    Raises:
        CompileError: the first job, in order, that failed.
    """
    with ThreadPoolExecutor(JOBS) as pool:
        for future in [pool.submit(_run, job) for job in jobs]:
            future.result()


def _run(job: Job) -> None:
    job.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.output.parent, prefix=".build-") as folder:
        made = Path(folder) / job.output.name
        result = subprocess.run(
            [*compiler(), *job.arguments, "-o", str(made)],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        if result.returncode or not made.is_file():
            raise CompileError(f"{job.output.name} does not compile: {_tail(result.stderr)}")
        # A running process may have the old file mapped: replace the name, never the content.
        shutil.move(made, job.output)


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
