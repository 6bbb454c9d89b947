"""The page of a sweep: made from its directory alone, self-contained, and its numbers are those of the runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from byzantiny.report import ReportError
from byzantiny.report.sweep import load_sweep_run, sweep_summary, write_sweep_report
from byzantiny.report.sweep.factors import DEFAULTS, steps
from byzantiny.scores import metrics
from byzantiny.scores.files import load_results, load_sweep
from byzantiny.scores.records import Result
from byzantiny.scores.statistics import ScoresError, iqm
from byzantiny.sweep.grid import parse_grid
from byzantiny.sweep.reproduce import reproduce_cell
from byzantiny.sweep.run import run_sweep

from .test_page import Page

HOSTILE = "<script>alert('x')</script>"
OTHERS = ["int8-no-box", "float+box"]
TABLE = {
    "name": "tiny",
    "title": f"Tiny {HOSTILE}",
    "base": {"rounds": 3, "training": {"epochs": 1}, "clients": [{"count": 7}], "round": {"l2_bound": "off"}},
    "axes": {"f": [0, 1, 2], "alpha": [100.0, 0.5], "seeds": [1, 2, 3, 4], "tuning_seeds": [9]},
    "attacks": {"x4": {"name": "sign-flip", "params": {"scale": 4.0}}, "trigger": {"name": "backdoor"}},
    "defences": {name: {"pipeline": [{"name": name}]} for name in ("mean", "median")},
    "wires": {"int8": {}, "int8-no-box": {"box": False}, "float+box": {"training": "float", "rounding": "none"}},
    "exclude": [
        {"wire": OTHERS, "alpha": 0.5},
        {"wire": OTHERS, "f": [0, 1]},
        {"wire": OTHERS, "attack": "trigger"},
        {"alpha": 0.5, "f": 1, "attack": "trigger"},
    ],
}


@pytest.fixture(scope="session")
def swept(tmp_path_factory, digits) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "tiny"
    assert run_sweep(parse_grid(TABLE), folder, workers=2).failed == 0
    return folder


@pytest.fixture
def copy(swept, tmp_path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def text(swept) -> str:
    return write_sweep_report(load_sweep_run(swept)).read_text(encoding="utf-8")


def some_run(folder: Path, **wanted: object) -> Path:
    _, cells = load_sweep(folder)
    cell = next(cell for cell in cells if all(getattr(cell, name) == value for name, value in wanted.items()))
    return folder / "runs" / f"{cell.run}.json"


def fail_run(path: Path, error: str) -> None:
    result = msgspec.json.decode(path.read_bytes(), type=Result)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(result, status="failed", error=error, series=None)))


def test_the_page_is_whole_small_and_fetches_nothing(text):
    page = Page(text)
    for section in ("heatmaps", "scores", "curves", "grid", "factors", "slope", "limits", "data"):
        assert page.ids[section] == 1, section
    assert max(page.ids.values()) == 1
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    beside = {"results.parquet", "scores.json", "cells.jsonl", "sweep.json"}
    for tag, name, value in page.attributes:
        if name in {"src", "href", "xlink:href", "srcset", "data", "action"}:
            assert value.startswith(("data:", "#")) or value in beside, (tag, name, value[:60])
    assert "http://" not in text
    assert "https://" not in text
    assert len(text.encode()) < 5_000_000


def test_the_one_script_is_that_of_the_policy_and_hostile_text_is_none(text):
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == text.lower().count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert HOSTILE in " ".join(Page(text).text)


def test_the_matrix_and_the_worst_case_are_those_of_the_runs(swept):
    run = load_sweep_run(swept)
    _, cells = load_sweep(swept)
    results = load_results(swept, [cell.run for cell in cells])

    def accuracies(attack: str, *, tuning: bool) -> list[float]:
        return [
            metrics.accuracy(results[c.run])
            for c in cells
            if (c.attack, c.defence, c.wire, c.f, c.alpha, c.tuning) == (attack, "mean", "int8", 2, 100.0, tuning)
        ]

    worst = min(("trigger", "x4"), key=lambda attack: iqm(accuracies(attack, tuning=True)))
    row = next(
        row
        for row in sweep_summary(run)["scores"]["defences"]
        if (row["defence"], row["wire"], row["f"], row["alpha"]) == ("mean", "int8", 2, 100.0)
    )
    assert row["worst_attack"] == worst
    assert row["worst"]["value"] == pytest.approx(iqm(accuracies(worst, tuning=False)))


def test_the_tables_say_what_the_scores_say_and_sort_by_unrounded_keys(swept, text):
    page, scores = Page(text), load_sweep_run(swept).scores
    rows = [row for row in scores["defences"] if row["f"] and row["worst"]]
    shown = page.tables[0]
    assert [" ".join(cell.split()) for cell in shown[0]][:2] == ["defence", "alpha"]
    at = next(i for i, cell in enumerate(shown[0]) if "worst case" in cell)
    for row in rows:
        assert any(
            each[0].strip() == row["defence"] and each[at].startswith(f"{100 * row['worst']['value']:.1f} %")
            for each in shown[1:]
        )
        assert f'data-key="{row["worst"]["value"]!r}"' in text


def test_one_worst_attack_of_each_defence_is_framed(swept):
    from byzantiny.report.sweep.panels import attack_panels

    pairs = attack_panels(load_sweep_run(swept))
    assert len(pairs) == 4 + 2
    assert [pair.bypass for pair in pairs] == [False] * 4 + [True] * 2
    for pair in pairs:
        for defence in pair.accuracy.columns:
            assert sum(each.framed for each in pair.accuracy.squares if each.column == defence) == 1
    assert {len(pair.asr.rows) if pair.asr else 0 for pair in pairs} == {0, 1}


def test_factors_are_paired_differences_of_wires_that_differ_in_one_thing(swept):
    found = sweep_summary(load_sweep_run(swept))
    assert {each["step"] for each in found["factors"]} == {"box", "training and rounding"}
    rows = {
        (r["wire"], r["defence"], r["attack"]): r
        for r in found["scores"]["attacks"]
        if r["f"] == 2 and r["alpha"] == 100
    }
    for each in found["factors"]:
        a, b = (rows[wire, each["defence"], each["attack"]]["by_seed"] for wire in each["wires"])
        assert each["change"]["value"] == pytest.approx(iqm([b[seed] - a[seed] for seed in a]))
        assert each["change"]["n"] == 4


def test_steps_name_all_pairs_that_differ_once_and_the_way_from_the_control():
    wires = {
        "int8": DEFAULTS,
        "near": DEFAULTS | {"rounding": "nearest"},
        "bare": DEFAULTS | {"rounding": "none", "box": False},
    }
    assert steps(wires) == [("rounding", "near", "int8")]
    control = {"float+box": DEFAULTS | {"training": "float", "rounding": "none"}, "int8": DEFAULTS}
    assert steps(control) == [("training and rounding", "float+box", "int8")]


def test_what_a_sweep_has_not_is_left_out_with_a_sentence(tmp_path, digits):
    plain = {key: value for key, value in TABLE.items() if key not in {"wires", "exclude"}}
    plain |= {"axes": {"f": [0], "seeds": [1]}, "attacks": {}}
    run_sweep(parse_grid(plain), tmp_path / "tiny", workers=1)
    run = load_sweep_run(tmp_path / "tiny")
    assert set(sweep_summary(run)["left_out"]) == {"asr", "heatmaps", "curves", "grid", "factors", "slope", "stealth"}
    page = Page(write_sweep_report(run).read_text(encoding="utf-8"))
    said = " ".join(page.text)
    for name in ("heatmaps", "curves", "grid", "factors", "slope", "stealth"):
        assert sweep_summary(run)["left_out"][name] in said
    assert page.tags["svg"] == 0


def test_failed_and_missing_cells_are_told_and_a_choice_without_them_is_marked(copy):
    error = f"AggregatorError: {HOSTILE}"
    fail_run(some_run(copy, attack="x4", defence="mean", tuning=True, wire="int8", f=2, alpha=100.0), error)
    some_run(copy, attack="none", seed=3, f=2, wire="int8", defence="median").unlink()
    run = load_sweep_run(copy)
    held = sweep_summary(run)
    assert held["missing"] == 1
    assert [each["error"] for each in held["failed"]] == [error]
    assert held["failed"][0]["reproduce"].startswith("byzantiny reproduce ")
    assert "without x4 against mean (alpha 100, int8, f 2)" in " ".join(held["problems"])
    text = write_sweep_report(run).read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert error in " ".join(Page(text).text)


def test_a_reproduce_line_runs_its_cell_again(copy):
    path = some_run(copy, attack="x4", wire="int8", f=2, seed=2)
    assert reproduce_cell(path).identical
    result = msgspec.json.decode(path.read_bytes(), type=Result)
    result.series.accuracy[1] += 0.5
    path.write_bytes(msgspec.json.encode(result))
    assert reproduce_cell(path).difference == "accuracy of round 2"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "cells.jsonl").unlink(), "is not a sweep directory: it has no cells.jsonl"),
        (lambda folder: (folder / "sweep.json").write_text("{}"), "its records cannot be read.*run the sweep again"),
        (lambda folder: next((folder / "runs").iterdir()).write_text("{"), "cannot be read.*delete it"),
    ],
    ids=["no cells", "no grid", "torn run"],
)
def test_a_damaged_directory_is_refused_with_its_remedy(copy, damage, said):
    damage(copy)
    with pytest.raises(ScoresError, match=said):
        load_sweep_run(copy)


def test_a_sweep_that_has_not_begun_is_refused(copy):
    shutil.rmtree(copy / "runs")
    with pytest.raises(ReportError, match="no finished run yet"):
        load_sweep_run(copy)


def test_the_command_tells_the_two_kinds_of_directory_apart(copy, capsys, monkeypatch):
    from byzantiny.cli import main

    for arguments in (["report", str(copy), "--json"], ["reproduce", str(some_run(copy, seed=1)), "--json"]):
        monkeypatch.setattr("sys.argv", ["byzantiny", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in {0, None}
        said = json.loads(capsys.readouterr().out)
        assert said["schema"] == "byzantiny.sweepreport/1" if arguments[0] == "report" else said["identical"] is True
    assert (copy / "report.html").is_file()


def test_a_poorly_chosen_worst_attack_is_told(copy):
    """Tuning runs of x4 that say it does no harm: trigger is chosen, and x4 is worse on the scored seeds."""
    _, cells = load_sweep(copy)
    for cell in cells:
        if cell.tuning and cell.attack == "x4" and cell.defence == "mean":
            path = copy / "runs" / f"{cell.run}.json"
            result = msgspec.json.decode(path.read_bytes(), type=Result)
            result.series.accuracy[:] = [1.0] * len(result.series.accuracy)
            path.write_bytes(msgspec.json.encode(result))
    run = load_sweep_run(copy)
    said = sweep_summary(run)["misjudged"]
    assert "mean (alpha 100, int8, f 2) keeps" in said
    assert "under trigger, which was chosen, but" in said
    assert said in " ".join(Page(write_sweep_report(run).read_text(encoding="utf-8")).text)
