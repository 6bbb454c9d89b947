"""A run directory that is damaged, or is none, is one sentence; nothing in it is changed by asking."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
LEDGER = "arms/main/seed-1/ledger.sqlite"


def overwrite_pages(run_dir: Path) -> None:
    with (run_dir / LEDGER).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 60_000)


def make_newer(run_dir: Path) -> None:
    db = sqlite3.connect(run_dir / LEDGER)
    db.execute("PRAGMA user_version = 9")
    db.close()


def lose(name: str) -> Callable[[Path], None]:
    return lambda run_dir: (run_dir / name).unlink()


def put(name: str, data: bytes) -> Callable[[Path], None]:
    def change(run_dir: Path) -> None:
        (run_dir / name).write_bytes(data)

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a ledger cut in half": (lambda run_dir: os.truncate(run_dir / LEDGER, 6000), "malformed"),
    "a ledger with torn pages": (overwrite_pages, "malformed"),
    "a ledger that is text": (put(LEDGER, b"hello\n"), "is not a ledger"),
    "a ledger that is empty": (put(LEDGER, b""), "application_id 0x0"),
    "a ledger of a newer version": (make_newer, "use the byzantiny that wrote it"),
    "a ledger that is gone": (lose(LEDGER), "restore it, or delete"),
    "a config cut in half": (put("experiment.json", b'{"rounds":'), "cannot be read"),
    "a config that is no table": (put("experiment.json", b"[]"), "holds no table"),
    "a config that is a number": (put("experiment.json", b"5"), "holds no table"),
    "a config that is not UTF-8": (put("experiment.json", b"\xff"), "cannot be read"),
    "another config": (put("experiment.json", b'{"rounds": 1}'), "is not what this run began with"),
    "a config with an unknown key": (put("experiment.json", b'{"ronds": 1}'), "did you mean `rounds`?"),
    "no config": (lose("experiment.json"), "is not a run directory"),
    "a manifest cut in half": (put("manifest.json", b"{"), "cannot be read"),
    "a final that is no JSON": (put("arms/main/seed-1/final.json", b"{"), "delete it and resume"),
}


def files_of(run_dir: Path) -> dict[str, bytes]:
    names = (path for path in run_dir.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in names}


@pytest.mark.parametrize("what", DAMAGE)
def test_resuming_a_damaged_run_is_one_sentence_and_changes_no_record(what: str, cli: Cli, unfinished: Path) -> None:
    damage, sentence = DAMAGE[what]
    damage(unfinished)
    before = files_of(unfinished)
    assert sentence in cli("resume", unfinished).refusal
    after = files_of(unfinished)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    empty = {name for name, data in before.items() if not data}  # SQLite gives an empty file a header on opening it
    assert changed <= {"manifest.json"} | empty, "who resumed when may be noted; nothing else"


@pytest.mark.parametrize("what", [name for name in DAMAGE if "manifest" not in name and "final" not in name])
def test_reproducing_a_damaged_run_is_one_sentence_or_a_verdict(what: str, cli: Cli, unfinished: Path) -> None:
    DAMAGE[what][0](unfinished)
    said = cli("reproduce", unfinished)
    assert "Traceback" not in said.err
    if said.status == 2:
        assert said.refusal
    else:
        assert said.out.splitlines()[-1].startswith(("identical", "different"))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (put("manifest.json", b"{"), "not valid JSON"),
        (lose("manifest.json"), "is not a run directory"),
        (put("arms/main/seed-1/rounds.jsonl", b"{\n"), "not valid JSON"),
        (put("arms/main/seed-1/clients.jsonl", b"{}\n"), "missing required field"),
        (put("arms/main/seed-1/final.json", b"{"), "not valid JSON"),
    ],
    ids=["manifest", "no manifest", "rounds", "clients", "final"],
)
def test_reporting_a_damaged_run_is_one_sentence(
    damage: Callable[[Path], None], sentence: str, cli: Cli, finished: Path
) -> None:
    damage(finished)
    assert sentence in cli("report", finished).refusal


@pytest.mark.parametrize("command", ["resume", "report", "reproduce"])
def test_what_is_no_run_directory_is_called_that(command: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for path in ("empty", "nowhere", "file"):
        assert "is not a run directory" in cli(command, path).refusal or path == "file"


def test_exports_that_are_damaged_or_gone_are_written_again_from_the_ledger(cli: Cli, unfinished: Path) -> None:
    folder = unfinished / "arms/main/seed-1"
    before = (folder / "rounds.jsonl").read_bytes()
    (folder / "rounds.jsonl").write_bytes(b"{")
    (folder / "clients.jsonl").unlink()
    assert cli("resume", unfinished).status == 0
    assert (folder / "rounds.jsonl").read_bytes() == before
    assert (folder / "clients.jsonl").exists()


def test_a_run_directory_can_be_moved_and_resumed(cli: Cli, unfinished: Path, tmp_path: Path) -> None:
    shutil.move(unfinished, tmp_path / "moved")
    assert cli("resume", "moved").status == 0
    assert cli("reproduce", "moved").out.splitlines()[-1].startswith("identical: 2 rounds")
