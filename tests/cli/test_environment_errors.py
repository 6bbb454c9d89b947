"""A machine that lacks something, or takes it away, is one sentence with the remedy; what is recorded stays."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from byzantiny.ledger import Ledger
from byzantiny.transport import brokers, mqtt_names

Cli = Callable[..., Any]
MQTT = ["--set", 'clients=[{count=4,transport="mqtt"}]']


@pytest.fixture
def listener() -> Iterator[int]:
    """A TCP port that accepts and says nothing."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in accepted:
        each.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_broker_that_is_absent_is_named_and_a_run_that_never_began_leaves_nothing(
    cli: Cli, experiment: Path, tmp_path: Path, digits: None
) -> None:
    port = free_port()
    said = cli("run", experiment, *MQTT, "--broker", f"mqtt://127.0.0.1:{port}")
    assert f"no MQTT broker at 127.0.0.1:{port}" in said.refusal
    assert "resume" not in said.err, "there is nothing to go on with"
    assert list(tmp_path.glob("runs/*")) == []


def test_a_run_whose_broker_is_gone_when_it_is_resumed_keeps_its_rounds(
    cli: Cli, experiment: Path, tmp_path: Path, mosquitto: str, digits: None
) -> None:
    assert cli("run", experiment, *MQTT, "--broker", "").status == 2
    assert cli("run", experiment, *MQTT).status == 0
    (run_dir,) = (tmp_path / "runs").iterdir()
    for final in run_dir.glob("arms/*/*/final.json"):
        final.unlink()
    said = cli("resume", run_dir, "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert "no MQTT broker" in said.refusal
    assert f"byzantiny resume {run_dir}" in said.err
    assert cli("resume", run_dir).status == 0


def test_a_port_that_is_no_broker_is_said_within_seconds(
    cli: Cli, experiment: Path, listener: int, monkeypatch: pytest.MonkeyPatch, digits: None
) -> None:
    monkeypatch.setattr(mqtt_names.MqttOptions.__init__, "__defaults__", ("3.1.1", 20, 1.0, None, None, None))
    said = cli("run", experiment, *MQTT, "--broker", f"mqtt://127.0.0.1:{listener}")
    assert f"127.0.0.1:{listener}" in said.refusal


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://u:s3cret@/", "mqtt://[::1", "x"])
def test_a_broker_url_that_is_none_is_one_sentence_without_the_password(
    url: str, cli: Cli, experiment: Path, tmp_path: Path, digits: None
) -> None:
    said = cli("run", experiment, *MQTT, "--broker", url)
    assert "write mqtt://[user:password@]host[:port]" in said.refusal
    assert "s3cret" not in said.err
    assert not list(tmp_path.glob("runs/*"))


def test_a_brokers_password_is_not_in_the_run_directory(cli: Cli, experiment: Path, tmp_path: Path) -> None:
    assert cli("run", experiment, "--broker", "mqtt://me:s3cr@t@127.0.0.1").status == 0
    for path in tmp_path.glob("runs/**/*"):
        assert path.is_dir() or b"s3cr" not in path.read_bytes(), path


def test_without_mosquitto_and_amqtt_both_remedies_are_named(
    cli: Cli, experiment: Path, monkeypatch: pytest.MonkeyPatch, digits: None
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: None)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "amqtt" else found(name, *more)
    )
    said = cli("run", experiment, *MQTT)
    assert "apt install mosquitto" in said.refusal
    assert "byzantiny[broker]" in said.refusal


@pytest.mark.parametrize(
    ("gone", "arguments", "extra"),
    [
        ("sklearn", [], "byzantiny[data]"),
        ("unicorn", ["--set", 'clients=[{count=1,body="unicorn-m4f",transport="serial"}]'], "byzantiny[emulator]"),
    ],
)
def test_a_missing_extra_is_named_with_its_remedy(
    gone: str, arguments: list[str], extra: str, process: Cli, experiment: Path, tmp_path: Path
) -> None:
    said = process("run", experiment, *arguments, gone=[gone])
    assert extra in said.refusal
    assert all(path.read_bytes() == b"" for path in tmp_path.glob("runs/*/arms/*/*/rounds.jsonl")), "a round was run"


@pytest.mark.parametrize("gone", ["jinja2", "vl_convert"])
def test_without_the_report_extra_a_run_is_whole_and_says_what_is_missing(
    gone: str, process: Cli, experiment: Path, tmp_path: Path, digits: None
) -> None:
    said = process("run", experiment, gone=[gone])
    assert said.status == 0, said.err
    assert said.err.startswith("no report: ")
    assert "byzantiny[report]" in said.err
    assert "8 accepted" in said.out
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert json.loads((run_dir / "manifest.json").read_text())["finished"] is True
    assert "byzantiny[report]" in process("report", run_dir, gone=[gone]).refusal


def test_the_command_line_starts_without_any_extra(process: Cli) -> None:
    extras = [
        "sklearn",
        "unicorn",
        "elftools",
        "amqtt",
        "jinja2",
        "vl_convert",
        "ziglang",
        "ray",
        "tensorflow",
        "pytest",
    ]
    for arguments in (["--help"], ["list"], ["doctor"], ["firmware", "-h"], ["board", "-h"]):
        said = process(*arguments, gone=extras)
        assert said.status == 0, (arguments, said.err)
        assert "Traceback" not in said.err + said.out


def test_a_folder_that_cannot_be_written_is_one_sentence(cli: Cli, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "choose another --out" in cli("run", experiment, "--out", "file").refusal
    assert "choose another --out" in cli("run", experiment, "--out", "/proc/nowhere").refusal


@pytest.mark.parametrize("kilobytes", [0, 1, 10, 40, 80, 160, 320])
def test_a_disk_that_is_full_is_one_sentence_and_what_was_receipted_stays(
    kilobytes: int, process: Cli, experiment: Path, tmp_path: Path, digits: None
) -> None:
    said = process("run", experiment, "--set", "rounds=30", most_bytes=kilobytes * 1024)
    assert said.refusal.endswith(("other run uses it", "from a copy", "try again", "another --out")), said.err
    for path in tmp_path.glob("runs/*/arms/main/seed-1/ledger.sqlite"):
        with Ledger.open(path) as ledger:
            before = {record.round_num: record.next_model_sha256 for record in ledger.rounds() if record.outcome}
        again = process("resume", path.parents[3])
        assert again.status == 0, again.err
        with Ledger.open(path) as ledger:
            after = {record.round_num: record.next_model_sha256 for record in ledger.rounds()}
        assert before.items() <= after.items()
        assert len(after) == 30


def test_a_board_that_does_not_answer_is_said_and_the_rounds_close_without_it(
    listener: int, cli: Cli, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: None
) -> None:
    """A port that accepts and says nothing; plugged in as ports are."""
    folder = tmp_path / "plugins"
    (folder / "mute-0.dist-info").mkdir(parents=True)
    (folder / "mute-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mute\nVersion: 0\n")
    (folder / "mute-0.dist-info" / "entry_points.txt").write_text("[byzantiny.ports]\nmute = mute_ports:Mute\n")
    (folder / "mute_ports.py").write_text(
        "class Mute:\n"
        "    baud, dtr = None, True\n"
        "    def __init__(self, specs, **board):\n"
        "        self.specs = specs\n"
        f"        self.urls = ['socket://127.0.0.1:{listener}'] * len(specs)\n"
        "    def training(self, slot): return None\n"
        "    def reboot(self, slot, boot_id): ...\n"
        "    def close(self): ...\n"
    )
    monkeypatch.syspath_prepend(folder)
    said = cli(
        "run", experiment, "--set", 'clients=[{count=3},{prefix="mute",body="mute",transport="serial"}]',
        "--set", "round.deadline_s=3.0", "--set", "rounds=1",
    )  # fmt: skip
    if said.status == 2:
        assert "answer" in said.refusal
    else:
        assert (said.status, said.err) == (0, "")
        (line,) = tmp_path.glob("runs/*/arms/main/seed-1/rounds.jsonl")
        assert json.loads(line.read_text())["accepted"] == 3
        rows = [json.loads(row) for row in (line.parent / "clients.jsonl").read_text().splitlines()]
        assert [row["verdict"] for row in rows if row["client_id"] == "mute-01"] == ["missing"]
