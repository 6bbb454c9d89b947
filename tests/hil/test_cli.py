"""`byzantiny board`: what it prints, as text and as JSON, and its exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from byzantiny.cli import main
from byzantiny_firmware.unicorn import unavailable_reason
from byzantiny_hil.boardmap import PACKAGED

from .fake_board import FakeBoard, spec_of, write_map


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `byzantiny board ...` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["byzantiny", "board", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_list_prints_the_map_that_counts(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    path = write_map(tmp_path, "/dev/serial/by-id/usb-x", spec_of(), notes="left of the scope")
    assert call(monkeypatch, "list", "--json", "--boards", path) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == str(path)
    (board,) = found["boards"]
    assert (board["name"], board["kind"], board["device_id"]) == ("bench", "serial", "lab-01")
    assert board["where"] == "/dev/serial/by-id/usb-x at 115200 baud"
    assert isinstance(found["ports"], list)
    assert call(monkeypatch, "list", "--boards", PACKAGED) == 0
    assert "emulated-m4f" in capsys.readouterr().out


def test_check_prints_who_the_board_is(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    with FakeBoard() as fake:
        path = write_map(tmp_path, fake.url, fake.spec)
        assert call(monkeypatch, "check", "bench", "--json", "--boards", path, "--logdir", tmp_path / "logs") == 0
        found = json.loads(capsys.readouterr().out)
        assert call(monkeypatch, "check", "bench", "--boards", path) == 0
    assert found["device_id"] == "lab-01"
    assert found["n_samples"] == 60
    assert found["frames_received"] >= 9
    assert 0 < found["round_trip_ms"]["min"] <= found["round_trip_ms"]["median"] <= found["round_trip_ms"]["max"]
    assert set(found["rejects"].values()) == {0}
    text = capsys.readouterr().out
    assert "device id         lab-01" in text
    assert "fw sha256" in text
    assert (tmp_path / "logs" / "bench.log").is_file()


@pytest.mark.parametrize("command", ["check", "run-conformance"])
def test_a_board_that_is_not_there_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys, command: str
) -> None:
    assert call(monkeypatch, command, "nobody", "--boards", PACKAGED) == 2
    said = capsys.readouterr().err
    assert said.startswith("byzantiny: ")
    assert said.count("\n") == 1
    assert "unknown board `nobody`" in said


def test_a_board_that_does_not_answer_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    with FakeBoard(answer=lambda _: b"") as fake:
        path = write_map(tmp_path, fake.url, fake.spec, answer_timeout_s=0.4)
        assert call(monkeypatch, "check", "bench", "--json", "--boards", path) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("byzantiny: board `bench`: no HELLO comes from socket://127.0.0.1:")


@pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or "")
def test_the_conformance_set_runs_from_anywhere_and_its_status_is_pytests(
    monkeypatch: pytest.MonkeyPatch, capfd, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "run-conformance", "emulated-m4f", "--boards", PACKAGED, "--logdir", "logs") == 0
    assert "18 passed" in capfd.readouterr().out
    assert (tmp_path / "logs" / "emulated-m4f.log").stat().st_size > 10_000


def test_a_board_that_fails_the_set_is_status_1(monkeypatch: pytest.MonkeyPatch, capfd, tmp_path: Path) -> None:
    with FakeBoard(answer=lambda _: b"") as fake:
        path = write_map(tmp_path, fake.url, fake.spec, answer_timeout_s=0.3)
        assert call(monkeypatch, "run-conformance", "bench", "--boards", path) == 1
    assert "no HELLO comes from" in capfd.readouterr().out
