"""A sweep from end to end: what it leaves, going on after a kill, failures, engines, the command."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from byzantiny.cli.sweeps import Watching
from byzantiny.scores.files import load_results, load_sweep
from byzantiny.scores.records import Result
from byzantiny.scores.statistics import ScoresError
from byzantiny.sweep import work
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import parse_grid
from byzantiny.sweep.run import run_sweep

pytestmark = pytest.mark.usefixtures("digits")
TABLE = {
    "name": "small",
    "base": {"rounds": 3, "clients": [{"count": 8}]},
    "axes": {"f": [0, 2], "seeds": [1, 2]},
    "attacks": {"x4": {"name": "sign-flip", "params": {"scale": 4.0}}, "ipm": {}},
    "defences": {"mean": {"pipeline": [{"name": "mean"}]}, "krum": {"pipeline": [{"name": "krum"}]}},
}
MAIN = "from byzantiny.cli import main; main()"
TOML = """
name = "small"
base = { rounds = 8, clients = [{ count = 8 }] }
axes = { f = [0, 2], seeds = [1, 2, 3, 4] }
attacks = { ipm = {}, alie = { params = { z = 1.5 } } }
[defences.mean]
pipeline = [{ name = "mean" }]
[defences.median]
pipeline = [{ name = "median" }]
"""


def mtimes(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "runs").glob("*.json")}


def test_a_sweep_leaves_its_grid_its_cells_its_runs_and_its_scores(tmp_path):
    grid = parse_grid(TABLE)
    outcome = run_sweep(grid, tmp_path / "s", workers=1)
    assert (outcome.cells, outcome.failed, outcome.complete, outcome.held) == (16, 0, True, 0)
    sweep, cells = load_sweep(tmp_path / "s")
    assert (sweep.name, sweep.cells, sweep.runs) == ("small", 16, len(grid.jobs))
    assert cells == grid.cells
    with (tmp_path / "s" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert all(row["status"] == "done" and 0 <= float(row["accuracy"]) <= 1 for row in rows)
    scores = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert {(row["defence"], row["attack"]) for row in scores["attacks"] if row["f"] == 2} == {
        (defence, attack) for defence in ("mean", "krum") for attack in ("none", "x4", "ipm")
    }
    krum = next(row for row in scores["attacks"] if (row["defence"], row["attack"], row["f"]) == ("krum", "none", 2))
    assert krum["honest_rejection"] == 7 / 8, "krum keeps one of eight"


def test_the_same_command_recomputes_nothing_and_more_seeds_run_only_the_new(tmp_path):
    run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)
    before = mtimes(tmp_path / "s")
    again = run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)
    assert (again.held, mtimes(tmp_path / "s")) == (again.runs, before)
    more = run_sweep(parse_grid(TABLE | {"axes": {"f": [0, 2], "seeds": [1, 2, 3]}}), tmp_path / "s", workers=1)
    assert more.held == len(before)
    assert {name: at for name, at in mtimes(tmp_path / "s").items() if name in before} == before


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_a_kill_at_any_time_loses_no_finished_run_and_recomputes_none(tmp_path, workers):
    path = tmp_path / "grid.toml"
    path.write_text(TOML)
    command = [
        sys.executable,
        "-c",
        MAIN,
        "sweep",
        str(path),
        "--out",
        str(tmp_path),
        "--jobs",
        str(workers),
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "small"
    for _ in range(1200):
        if len(list((folder / "runs").glob("*.json"))) >= 5:
            break
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.5 if workers > 1 else 0.0)  # orphans end by themselves
    before = mtimes(folder)
    done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert done["complete"]
    assert done["held"] == len(before) >= 5
    assert {name: at for name, at in mtimes(folder).items() if name in before} == before
    assert not list((folder / "runs").glob("*.tmp"))


def test_a_cell_that_fails_is_recorded_and_the_sweep_goes_on_and_can_be_tried_again(tmp_path, monkeypatch):
    real = work._inprocess

    def broken(job):
        if job.config.attack.name == "ipm":
            raise ZeroDivisionError("a bug in an attack")
        return real(job)

    monkeypatch.setattr(work, "_inprocess", broken)
    outcome = run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)
    assert (outcome.failed, outcome.complete) == (4, True)
    assert [row["error"] for row in outcome.scores["failed"]] == ["ZeroDivisionError: a bug in an attack"] * 4
    assert run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1).failed == 4, "kept as they are"
    monkeypatch.undo()
    assert run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1, retry_failed=True).failed == 0


def test_a_stopped_sweep_keeps_what_it_has(tmp_path):
    seen = []
    outcome = run_sweep(
        parse_grid(TABLE), tmp_path / "s", workers=1, stop=lambda: len(seen) > 3, progress=lambda *at: seen.append(at)
    )
    assert not outcome.complete
    assert len(mtimes(tmp_path / "s")) == 3


def test_frames_and_no_frames_give_the_same_models_and_frames_have_bytes(tmp_path):
    table = TABLE | {"axes": {"f": [2]}}
    found = {}
    for engine in ("inprocess", "frames"):
        run_sweep(parse_grid(table, engine=engine), tmp_path / engine, engine=engine, workers=1)
        _, cells = load_sweep(tmp_path / engine)
        results = load_results(tmp_path / engine, [cell.run for cell in cells])
        found[engine] = {(cell.defence, cell.attack): results[cell.run] for cell in cells}
    for key, one in found["inprocess"].items():
        other = found["frames"][key]
        assert one.model_sha256 == other.model_sha256
        for name in ("accuracy", "aggregated", "honest", "honest_kept", "minority_kept", "byzantine_kept"):
            assert getattr(one.series, name) == getattr(other.series, name), name
        assert one.bytes_up is None
        assert other.bytes_up > 0


def test_ray_runs_the_same_grid(tmp_path):
    if importlib.util.find_spec("ray") is None:
        with pytest.raises(SweepError, match=r"pip install 'byzantiny\[ray\]'"):
            run_sweep(parse_grid(TABLE), tmp_path / "ray", engine="ray")
        pytest.skip("sweeps over Ray need the extra `ray`, which is not installed")
    local = run_sweep(parse_grid(TABLE), tmp_path / "local", workers=1)
    ray = run_sweep(parse_grid(TABLE, engine="ray"), tmp_path / "ray", engine="ray", workers=2)
    assert ray.complete
    assert ray.scores == local.scores


def test_a_damaged_result_is_named_with_its_remedy(tmp_path):
    run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)
    path = next((tmp_path / "s" / "runs").glob("*.json"))
    path.write_text("{")
    with pytest.raises(ScoresError, match=f"{path.name} cannot be read.*delete it"):
        run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)


def test_the_arithmetics_of_runtimes_answer_for_the_last_model(tmp_path):
    pytest.importorskip("tflite", reason="exported models need the package `tflite`, which is not installed")
    table = TABLE | {"axes": {"f": [0]}, "arithmetics": ["tflm-double", "xnnpack-fp32"]}
    run_sweep(parse_grid(table), tmp_path / "s", workers=1)
    result = msgspec.json.decode(next((tmp_path / "s" / "runs").glob("*.json")).read_bytes(), type=Result)
    assert set(result.deployed) == {"tflm-double", "xnnpack-fp32"}
    assert result.deployed["tflm-double"] == result.series.accuracy[-1], "the device's arithmetic (P9)"


def test_progress_is_a_line_every_tenth_where_nobody_watches():
    from io import StringIO

    from rich.console import Console

    out, now = StringIO(), iter(range(1000))
    with Watching(enabled=True, console=Console(file=out), clock=lambda: float(next(now))) as watching:
        for done in range(41):
            watching(done, 40, int(done > 20))
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "40 of 40 runs, 1 failed, about 0 s left"


def test_the_command_speaks_of_unknown_engines_and_files(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", MAIN, "sweep", *arguments], capture_output=True, text=True, check=False
        )

    path = Path(tmp_path / "grid.toml")
    path.write_text(TOML)
    wrong = run(str(path), "--engine", "inproces")
    assert (wrong.returncode, wrong.stderr) == (2, "byzantiny: unknown engine `inproces`; did you mean `inprocess`?\n")
    missing = run(str(tmp_path / "none.toml"))
    assert missing.returncode == 2
    assert "no such grid file" in missing.stderr


@pytest.mark.parametrize("training", [{"trainer": "dfa"}, {"scope": "last-layer"}])
def test_a_sweep_trains_what_its_base_says_in_process_and_through_frames(training):
    clients = [{"count": 4, "body": "numpy"}]
    table = TABLE | {"base": {"rounds": 2, "clients": clients, "training": training}, "axes": {"f": [0], "seeds": [2]}}
    plain = table | {"base": {"rounds": 2, "clients": clients}}
    by_engine = [
        {work.run_job(job).model_sha256 for job in parse_grid(each, engine=engine).jobs.values()}
        for each in (table, plain)
        for engine in ("inprocess", "frames")
    ]
    assert by_engine[0] == by_engine[1]
    assert by_engine[2] == by_engine[3]
    assert not by_engine[0] & by_engine[2]


def test_a_trainer_that_cannot_train_a_task_is_refused_by_cell(tmp_path):
    clients = [{"count": 4, "body": "numpy"}]
    base = {"rounds": 2, "task": "digits-cnn", "clients": clients, "training": {"trainer": "niti"}}
    with pytest.raises(SweepError, match="niti does not train conv2d"):
        run_sweep(parse_grid(TABLE | {"base": base}), tmp_path / "s", workers=1)
