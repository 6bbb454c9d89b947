"""Ctrl-C suspends: the round stays open, what was accepted stays, and `resume` comes to the same bytes.

One client of six is held back by a gate, so that a signal always meets a round half collected. Its body plugs in through
an entry point, as anyone's would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.ledger import Ledger

Hashes = Callable[[Path], list[bytes | None]]
Check = Callable[[Path, int], Counter[str]]

ROUNDS = 4
BYZANTINY = [sys.executable, "-W", "error", "-c", "from byzantiny.cli import main; main()"]
GATED_BODY = """
import os, pathlib, time
from byzantiny.bodies.numpy_body import NumpyBody

class GatedBody:
    realtime = True

    def __init__(self, specs):
        self._body, self._held = NumpyBody(specs), []

    def exchange(self, frames, now_ms):
        gate = pathlib.Path(os.environ["GATE"])
        if gate.with_name("stuck").exists():
            gate.with_name("is-stuck").touch()
            time.sleep(60)
        self._held += frames
        if not gate.exists():
            return []
        held, self._held = self._held, []
        return self._body.exchange(held, now_ms)

    def reboot(self, slot, boot_id):
        self._body.reboot(slot, boot_id)

    def close(self):
        self._body.close()
"""
EXPERIMENT = f"""
name = "suspended"
rounds = {ROUNDS}
training = {{ epochs = 1 }}
[[clients]]
prefix = "dev"
count = 5
[[clients]]
prefix = "slow"
body = "BODY"
"""


class Shell:
    """A folder in which `byzantiny` runs with the gated body installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.children: list[subprocess.Popen[str]] = []
        plugins = folder / "plugins"
        (plugins / "gated-0.dist-info").mkdir(parents=True)
        (plugins / "gated.py").write_text(GATED_BODY)
        (plugins / "gated-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: gated\nVersion: 0\n")
        (plugins / "gated-0.dist-info" / "entry_points.txt").write_text("[byzantiny.bodies]\ngated = gated:GatedBody\n")
        (folder / "experiment.toml").write_text(EXPERIMENT.replace("BODY", "gated"))
        self._env = {**os.environ, "PYTHONPATH": str(plugins), "GATE": str(self.gate), "PYTHONFAULTHANDLER": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*BYZANTINY, *arguments],
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.children.append(child)
        return child

    def end(self, child: subprocess.Popen[str], timeout_s: float = 30) -> tuple[str, str]:
        """Wait for a child's end; one that hangs says where."""
        try:
            return child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)
            raise AssertionError(child.communicate()[1]) from None

    def run(self, *arguments: str) -> tuple[int, str, str]:
        child = self.start(*arguments)
        out, err = self.end(child, 120)
        return child.returncode, out, err

    def await_half_a_round(self) -> Path:
        """Wait until five of six updates of the open round are durable; returns the run directory."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for path in self.folder.glob("runs/*/arms/main/seed-1/ledger.sqlite"):
                with Ledger.open(path) as ledger:
                    opening = ledger.open_round_record()
                    if opening is not None and len(ledger.accepted(opening.round_num)) == 5:
                        return path.parents[3]
            time.sleep(0.05)
        raise AssertionError([child.poll() for child in self.children])


def ledger_of(run_dir: Path) -> Path:
    return rundir.arm_dir(run_dir, "main", 1) / "ledger.sqlite"


def files_of(run_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    it = Shell(tmp_path)
    yield it
    for child in it.children:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, model_hashes: Hashes) -> list[bytes | None]:
    """The models of a run that nobody disturbed, on another body."""
    experiment = parse_experiment(
        {
            "rounds": ROUNDS,
            "training": {"epochs": 1},
            "clients": [{"prefix": "dev", "count": 5}, {"prefix": "slow", "body": "numpy"}],
        }
    )
    run_dir = rundir.create(tmp_path_factory.mktemp("undisturbed"), "whole", experiment)
    Engine(ignore).run(experiment, run_dir)
    return model_hashes(ledger_of(run_dir))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_within_a_round_suspends_it_and_resume_comes_to_the_same_bytes(
    shell: Shell, expected: list[bytes | None], model_hashes: Hashes, check_exactly_once: Check, number: signal.Signals
) -> None:
    child = shell.start("run", "experiment.toml")
    run_dir = shell.await_half_a_round()
    child.send_signal(number)
    out, err = shell.end(child)

    assert child.returncode == 130
    relative = run_dir.relative_to(shell.folder)
    assert err == f"suspended; nothing is lost. Go on with: byzantiny resume {relative}\n"
    assert "\x1b" not in out, "stdout is no terminal"
    with Ledger.open(ledger_of(run_dir)) as ledger:
        opening = ledger.open_round_record()
        assert opening is not None
        kept = {update.client_id: update.update_sha256 for update in ledger.accepted(opening.round_num)}
        assert sorted(kept) == [f"dev-{n:02d}" for n in range(1, 6)]

    status, out, err = shell.run("report", str(relative))
    assert (status, err) == (0, "")
    assert "unfinished" in out

    shell.gate.touch()
    status, out, err = shell.run("resume", str(relative))
    assert (status, err) == (0, ""), err
    assert f"going on with round {opening.round_num}, which was left open" in out
    assert model_hashes(ledger_of(run_dir)) == expected
    assert check_exactly_once(ledger_of(run_dir), ROUNDS)["ACCEPTED"] == 6 * ROUNDS
    with Ledger.open(ledger_of(run_dir)) as ledger:
        now = {update.client_id: update.update_sha256 for update in ledger.accepted(opening.round_num)}
    assert now.items() > kept.items()


def test_resuming_a_finished_run_changes_no_record_and_prints_the_table(shell: Shell) -> None:
    shell.gate.touch()
    status, _, err = shell.run("run", "experiment.toml")
    assert (status, err) == (0, "")
    (run_dir,) = (shell.folder / "runs").iterdir()
    before = files_of(run_dir)
    status, out, err = shell.run("resume", str(run_dir))
    assert (status, err) == (0, "")
    assert "24 accepted" in out
    assert "round 1/" not in out
    assert files_of(run_dir) == before
    status, out, err = shell.run("resume", str(run_dir), "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["arms"]["main"]["accuracy"] > 0


def test_a_second_interrupt_ends_a_run_that_is_stuck_and_loses_nothing(
    shell: Shell, expected: list[bytes | None], model_hashes: Hashes, check_exactly_once: Check
) -> None:
    child = shell.start("run", "experiment.toml")
    run_dir = shell.await_half_a_round()
    shell.gate.with_name("stuck").touch()
    until = time.monotonic() + 20
    while not shell.gate.with_name("is-stuck").exists() and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None, "the first one waits for the turn's end"
    child.send_signal(signal.SIGINT)
    _, err = shell.end(child)
    assert child.returncode == 130
    assert err == (
        "stopped at once; what was receipted is kept. "
        f"Go on with: byzantiny resume {run_dir.relative_to(shell.folder)}\n"
    )
    shell.gate.with_name("stuck").unlink()
    shell.gate.touch()
    status, _, err = shell.run("resume", str(run_dir))
    assert (status, err) == (0, "")
    assert model_hashes(ledger_of(run_dir)) == expected
    check_exactly_once(ledger_of(run_dir), ROUNDS)


def test_a_run_that_is_under_way_cannot_be_resumed_by_another_process(shell: Shell) -> None:
    child = shell.start("run", "experiment.toml")
    run_dir = shell.await_half_a_round()
    status, _, err = shell.run("resume", str(run_dir))
    assert status == 2
    assert "is being run by another process; wait for it, or stop it with Ctrl-C" in err
    assert "Traceback" not in err
    shell.gate.touch()
    _, err = shell.end(child)
    assert (child.returncode, err) == (0, "")


def test_an_interrupt_of_the_whole_process_group_suspends_a_run_over_mqtt(shell: Shell) -> None:
    """As a terminal does it: the private broker gets the signal too, and must see the run through."""
    text = (shell.folder / "experiment.toml").read_text()
    (shell.folder / "experiment.toml").write_text(text.replace("count = 5", 'count = 5\ntransport = "mqtt"'))
    child = shell.start("run", "experiment.toml")
    run_dir = shell.await_half_a_round()
    os.killpg(child.pid, signal.SIGINT)
    _, err = shell.end(child)
    assert child.returncode == 130, err
    assert err.startswith("suspended; nothing is lost.")
    shell.gate.touch()
    status, _, err = shell.run("resume", str(run_dir))
    assert (status, err) == (0, "")
