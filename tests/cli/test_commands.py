"""What every command prints, for people and for machines."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.cli import doctor
from byzantiny.cli.listing import KINDS
from byzantiny_models.deploy import runtimes
from byzantiny_models.deploy.runtimes import find_runtime

Cli = Callable[..., Any]
COMMANDS = [
    "demo", "run", "resume", "report", "reproduce", "phase", "bias", "kappa", "breakdown", "list", "doctor", "model",
    "firmware", "board",
]  # fmt: skip


def test_help_names_every_command(cli: Cli) -> None:
    said = cli("--help")
    assert (said.status, said.err) == (0, "")
    for command in COMMANDS:
        assert f" {command} " in said.out
    assert cli("-h").out == said.out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(command: str, option: str, cli: Cli) -> None:
    said = cli(command, option)
    assert (said.status, said.err) == (0, "")
    assert f"byzantiny {command}" in said.out


def test_the_version_is_the_packages(cli: Cli) -> None:
    assert cli("--version").out == f"byzantiny {importlib.metadata.version('byzantiny')}\n"


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("command", ["list", "ls"])
def test_listings_come_as_tables_and_as_json(command: str, kind: str | None, cli: Cli) -> None:
    arguments = [command] if kind is None else [command, kind]
    said = cli(*arguments)
    assert (said.status, said.err) == (0, "")
    listed = json.loads(cli(*arguments, "--json").out)
    assert list(listed) == (list(KINDS) if kind is None else [kind])
    for rows in listed.values():
        for row in rows:
            assert row["name"] in said.out


@pytest.mark.parametrize("columns", ["80", "60"])
def test_a_listing_breaks_no_name_and_no_heading(columns: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = cli("list")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert max(map(len, lines)) <= int(columns)
    assert set(KINDS) <= set(lines)
    for rows in json.loads(cli("list", "--json").out).values():
        for row in rows:
            assert f"  {row['name']}" in lines


def test_a_rule_is_listed_with_what_one_needs_to_choose_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("list", "aggregators").out
    meamed = said[said.index("  meamed\n") : said.index("  phocas\n")].splitlines()
    labels = [line.split()[0] for line in meamed[1:] if line[4] != " "]
    assert (labels[:2], labels[-1]) == (["formula", "parameters"], "paper")
    assert {"limit", "breakdown", "cost", "keeps", "kappa", "stays"} <= {*labels}
    assert "    stays       within the honest values, or f / (n - f) of their range beyond" in meamed
    assert "tolerance = 1e-09, max_iterations = 1000" in " ".join(said.split())
    assert "negation" in said[said.index("what a rule keeps") :]
    assert all(line == line.rstrip() for line in said.splitlines())


def test_a_rule_s_card_keeps_its_types_in_json(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "aggregators", "--json").out)["aggregators"]}
    assert rows["multi-krum"]["parameters"] == [
        {"name": "f", "required": True, "default": None},
        {"name": "m", "required": False, "default": None},
    ]
    assert (rows["median"]["hull_steps"], rows["mean"]["hull_steps"]) == (0, None)
    assert rows["meamed"]["hull_spread"] == "f / (n - f)"
    assert rows["weighted-mean"]["parameters"][0]["default"] == {}
    assert "exact" in rows["krum"]["keeps"]


def test_an_unknown_kind_names_the_nearest(cli: Cli) -> None:
    assert "did you mean `attacks`?" in cli("list", "attack").refusal


def test_the_doctor_says_what_is_there_in_both_forms(cli: Cli) -> None:
    said = cli("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(said.out)}
    assert said.status == 0
    assert findings["numpy"]["found"] == importlib.metadata.version("numpy")
    assert "numpy" in findings["bodies"]["found"]
    assert all(finding["found"] or finding["remedy"] for finding in findings.values())
    assert "numpy" in cli("doctor").out


@pytest.mark.parametrize("columns", ["100", "90", "80", "60"])
def test_the_doctor_breaks_no_name_no_version_and_no_remedy(
    columns: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    program = Path("qemu-system-arm")
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent.resolve()}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "_has", lambda module: module != "jinja2")
    said = cli("doctor")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert max(map(len, lines)) <= int(columns)
    assert any(line.split()[:3] == ["ok", "qemu-system-arm", "7.2.22"] for line in lines)
    assert any(line.endswith("pip install 'byzantiny[report]'") for line in lines)
    for finding in json.loads(cli("doctor", "--json").out):
        assert finding["name"] in said.out


def test_the_doctor_shows_who_runs_the_deployed_model_and_who_could(cli: Cli) -> None:
    findings = {finding["name"]: finding for finding in json.loads(cli("doctor", "--json").out)}
    found = find_runtime()
    assert (
        findings["deployed model"]["found"] == f"{found.package} {found.version}, {found.arithmetic} ({found.resolver})"
    )
    assert {"tflite-runtime", "ai-edge-litert", "tf.lite", "tflite-micro"} - {*findings} <= {found.package}
    if importlib.util.find_spec("tensorflow") is None:
        assert findings["tf.lite"]["remedy"] == "pip install 'byzantiny[tensorflow]'"


def test_the_doctor_says_why_an_interpreter_that_is_installed_does_not_run(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tflite-runtime under NumPy 2 imports, and fails when it is used; here its module is one that has no Interpreter."""
    monkeypatch.setitem(runtimes.MODULES, "tflite-runtime", "json")
    findings = {finding["name"]: finding for finding in json.loads(cli("doctor", "--json").out)}
    if importlib.util.find_spec("tflite_runtime") is None:
        assert findings["tflite-runtime"]["remedy"].startswith("tflite-runtime does not run here: ")


def test_without_an_interpreter_the_doctor_names_the_remedy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(timeout_s: float) -> None:
        raise runtimes.RuntimeMissingError(f"nothing within {timeout_s} s; run: pip install 'byzantiny[tflite]'")

    monkeypatch.setattr(doctor, "search", none)
    findings = {finding["name"]: finding for finding in json.loads(cli("doctor", "--json").out)}
    assert (findings["deployed model"]["found"], findings["deployed model"]["required"]) == ("", False)
    assert "pip install" in findings["deployed model"]["remedy"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_stops_a_table_or_an_error(
    encoding: str, process: Cli, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    manifest = finished / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"target": ""', '"target": ">= 1 %"'))
    said = process("report", finished)
    assert (said.status, said.err) == (0, "")
    assert ("≥ 1 %" if encoding == "utf-8" else ">= 1 %") in said.out
    assert ("✓ met" in said.out) is (encoding == "utf-8")
    assert " met" in said.out
    assert "m?dian is not a run directory" in process("report", "m\u0119dian").refusal.replace("\u0119", "?")


def test_a_run_without_a_terminal_prints_plain_lines(cli: Cli, experiment: Path, digits: None) -> None:
    said = cli("run", experiment)
    assert (said.status, said.err) == (0, "")
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert said.out.splitlines()[0] == "[1/1] main, seed 1: 2 rounds"
    assert "round 2/2, accuracy" in said.out


def test_a_run_as_json_is_one_object_and_nothing_else(cli: Cli, experiment: Path, digits: None) -> None:
    said = cli("run", experiment, "--json", "--set", "seeds=[1,2]")
    assert (said.status, said.err) == (0, "")
    value = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert 0.0 < value["arms"]["main"]["accuracy"] <= 1.0
    run_dir = Path(value["run"])
    assert (run_dir / "report.html").is_file()
    assert json.loads(cli("report", run_dir, "--json").out)["arms"] == value["arms"]
    assert json.loads(cli("reproduce", run_dir, "--json").out)["identical"] is True


@pytest.mark.usefixtures("unicorn", "mosquitto", "digits")
def test_the_demo_as_json_is_one_object_with_an_accuracy_for_each_arm(process: Cli) -> None:
    said = process("demo", "--json", "--rounds", "2")
    assert (said.status, said.err) == (0, "")
    value = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert set(value["arms"]) == {"mean-clean", "mean-attacked", "median-attacked"}
    assert all(0.0 <= arm["accuracy"] <= 1.0 for arm in value["arms"].values())
    assert Path(value["run"]).name.startswith("demo-")
    assert value["wall_s"] > 0


@pytest.mark.usefixtures("unicorn", "mosquitto", "digits")
def test_the_demo_runs_every_arm_with_every_seed(process: Cli, tmp_path: Path) -> None:
    said = process("demo", "--seeds", "2", "--rounds", "2")
    assert (said.status, said.err) == (0, "")
    assert len(list(tmp_path.glob("runs/demo-*/arms/*/seed-*/final.json"))) == 6
    assert "\x1b" not in said.out
