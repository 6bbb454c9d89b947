"""Loading a run directory: what is cut short is told, what is wrong is refused by file, field and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from byzantiny.errors import ByzantinyError
from byzantiny.report import ReportError, load_run, summarize_arms, summary

FOLDER = "arms/median/seed-2"


def edit(file: Path, change: dict[str, Any], *, line: int = 0, drop: tuple[str, ...] = ()) -> None:
    lines = file.read_text().splitlines()
    record = {key: value for key, value in {**json.loads(lines[line]), **change}.items() if key not in drop}
    lines[line] = json.dumps(record)
    file.write_text("\n".join(lines) + "\n")


def test_a_whole_run_loads_without_problems(make_run):
    run = load_run(make_run())
    assert run.complete
    assert run.problems == ()
    assert [arm.name for arm in run.arms] == ["clean", "mean", "median"]
    assert {key: len(rows) for key, rows in run.rounds.items()} == {
        (arm, seed): 12 for arm in ("clean", "mean", "median") for seed in (1, 2)
    }
    assert len(run.clients["mean", 1]) == 120


def test_a_directory_without_a_manifest_is_not_a_run(tmp_path):
    with pytest.raises(ReportError, match=r"no manifest\.json; give the directory that holds it"):
        load_run(tmp_path)
    assert issubclass(ReportError, ByzantinyError)


def test_a_suspended_run_loads_and_is_marked(make_run):
    path = make_run(finished=False)
    for name in ("rounds.jsonl", "clients.jsonl"):
        lines = (path / FOLDER / name).read_text().splitlines(keepends=True)
        (path / FOLDER / name).write_text("".join(lines[: 7 if name == "rounds.jsonl" else 70]))
    (path / FOLDER / "final.json").unlink()
    run = load_run(path)
    assert not run.complete
    assert run.problems == ("median, seed 2: 7 of 12 rounds were recorded",)
    median = summarize_arms(run)[2]
    assert [outcome.rounds for outcome in median.outcomes] == [12, 7]
    assert median.outcomes[1].accuracy == run.rounds["median", 2][-1].accuracy


def test_an_arm_that_never_began_is_marked_and_summarised_as_nothing(make_run):
    path = make_run(finished=False)
    for seed in (1, 2):
        for file in (path / f"arms/median/seed-{seed}").iterdir():
            file.unlink()
    run = load_run(path)
    assert run.problems == ("median, seed 1: no round was recorded", "median, seed 2: no round was recorded")
    assert summarize_arms(run)[2].accuracy is None
    assert json.loads(json.dumps(summary(run)))["arms"][2]["accuracy_last_tenth"] is None


def test_a_run_not_finished_but_otherwise_whole_is_marked(make_run):
    assert load_run(make_run(finished=False)).problems == ("the manifest says that the run has not finished",)


@pytest.mark.parametrize("kept", [1, 30, -1])
def test_a_torn_last_line_is_left_out_and_named(make_run, kept):
    file = make_run() / FOLDER / "rounds.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:-1][:kept])
    run = load_run(file.parents[3])
    assert len(run.rounds["median", 2]) == 11
    assert "rounds.jsonl, line 12: torn" in run.problems[0]


def test_a_last_line_that_lost_only_its_newline_counts(make_run):
    file = make_run() / FOLDER / "rounds.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    assert load_run(file.parents[3]).problems == ()


def test_a_malformed_line_in_the_middle_is_refused(make_run):
    file = make_run() / FOLDER / "clients.jsonl"
    lines = file.read_text().splitlines()
    lines[4] = lines[4][:40]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ReportError, match=r"clients\.jsonl, line 5: not valid JSON .*; restore the file"):
        load_run(file.parents[3])


@pytest.mark.parametrize(
    ("file", "change", "drop", "message"),
    [
        ("rounds.jsonl", {"loss": 0.1}, (), r"rounds\.jsonl, line 1: .*unknown field `loss`.*; the file was edited"),
        ("rounds.jsonl", {}, ("bytes_up",), r"rounds\.jsonl, line 1: .*missing required field `bytes_up`"),
        ("clients.jsonl", {"byzantine": "no"}, (), r"clients\.jsonl, line 1: .*`\$\.byzantine`"),
        ("final.json", {}, ("accuracy",), r"final\.json: .*missing required field `accuracy`"),
        ("final.json", {"schema": "byzantiny.final/9"}, (), r"final\.json: schema 'byzantiny\.final/9', but this"),
        ("final.json", {"schema": 1}, (), r"final\.json: .*`\$\.schema`"),
        (
            "rounds.jsonl",
            {"schema": "byzantiny.round/2", "new": 1},
            (),
            r"schema 'byzantiny\.round/2', .*the version of",
        ),
        ("rounds.jsonl", {"accuracy": 97.5}, (), r"`accuracy` is 97\.5, outside 0\.\.1; it is a share"),
        ("final.json", {"accuracy": -0.1}, (), r"`accuracy` is -0\.1, outside 0\.\.1"),
        ("rounds.jsonl", {"arm": "mean"}, (), r"`arm` is 'mean', but the folder is that of 'median'"),
        ("final.json", {"seed": 9}, (), r"`seed` is 9, but the folder is that of 2"),
        ("rounds.jsonl", {"round_num": 2}, (), r"line 1: `round_num` is 2, expected 1; rounds count from 1"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_by_file_and_field(make_run, file, change, drop, message):
    path = make_run()
    edit(path / FOLDER / file, change, drop=drop)
    with pytest.raises(ReportError, match=message):
        load_run(path)


@pytest.mark.parametrize("name", ["../../etc", "..", "", "a/b"])
def test_an_arm_cannot_name_a_path_outside_the_run(make_run, name):
    path = make_run()
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["arms"][0]["name"] = name
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ReportError, match=r"manifest\.json: `arms\[\]\.name` is .*must be one folder name"):
        load_run(path)


def test_a_manifest_without_arms_is_refused(make_run):
    path = make_run()
    edit(path / "manifest.json", {"arms": []})
    with pytest.raises(ReportError, match=r"`arms` and `seeds` must not be empty"):
        load_run(path)
