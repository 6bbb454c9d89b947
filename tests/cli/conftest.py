"""The command line as a function, and as a process whose imports and limits a test can choose."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from byzantiny.cli import main

WITHOUT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {gone!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Without, sys.meta_path)
from byzantiny.cli import main
main()
"""


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence on stderr, after a check that it is that and nothing else."""
        assert self.status == 2, self
        assert "Traceback" not in self.err
        *before, last = self.err.splitlines()
        assert last.startswith("byzantiny: "), self.err
        assert all(line.startswith("what was recorded is kept; go on with: byzantiny resume ") for line in before)
        return last.removeprefix("byzantiny: ")


Cli = Callable[..., Said]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["byzantiny", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Said(status, *capfd.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Cli:
    """Run it as a process; `gone` are modules that are not installed, `most_bytes` is where the disk is full."""

    def run(
        *arguments: object, gone: Sequence[str] = (), path: str | None = None, most_bytes: int | None = None
    ) -> Said:
        def limit() -> None:
            if most_bytes is not None:  # Python ignores SIGXFSZ, so a write beyond fails as on a full disk
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        done = subprocess.run(
            [sys.executable, "-c", WITHOUT.format(gone=set(gone)), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **({} if path is None else {"PATH": path})},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            preexec_fn=limit,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A small experiment's file."""
    path = tmp_path / "small.toml"
    path.write_text('name = "small"\nrounds = 2\ntraining = { epochs = 1 }\n[[clients]]\ncount = 4\n')
    return path


@pytest.fixture
def finished(cli: Cli, experiment: Path, tmp_path: Path, digits: None) -> Path:
    """The run directory of a finished run."""
    assert cli("run", experiment).status == 0
    (run_dir,) = (tmp_path / "runs").iterdir()
    return run_dir


@pytest.fixture
def unfinished(finished: Path) -> Path:
    """The same, as if it had been killed before its last file."""
    (finished / "arms/main/seed-1/final.json").unlink()
    manifest = finished / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"finished": true', '"finished": false'))
    return finished
