"""`byzantiny partition`: the table, the object, the picture in both themes; data that cannot be read end with status 2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.charts.shares import MOST_CLIENTS, shares_chart
from byzantiny.charts.style import DARK, LIGHT
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.shares import find_shares
from byzantiny_models.tasks import load_task

Cli = Callable[..., Any]

TEXT = """
clients = [{ count = 4 }]
partition = { name = "shards" }
attack = { name = "sign-flip", byzantine = ["dev-02"] }
[arms.skewed]
[arms.moved]
partition = { name = "drift" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "e.toml").write_text(TEXT)
    return tmp_path / "e.toml"


def test_a_row_a_client_and_a_column_a_class(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("partition", file)
    assert (said.status, said.err) == (0, "")
    title, header, *rows = said.out.splitlines()
    assert title == "digits, seed 1: shards, shards per client 2"
    assert header.split() == ["client", "samples", *map(str, range(10))]
    assert [row.split()[0] for row in rows[:4]] == ["dev-01", "dev-02*", "dev-03", "dev-04"]
    assert all(sum(map(int, row.split()[2:])) == int(row.split()[1]) for row in rows[:4])
    assert "\x1b" not in said.out


def test_on_a_narrow_terminal_the_classes_are_counted(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    said = cli("partition", file)
    assert said.out.splitlines()[1].split() == ["client", "samples", "classes", "largest"]
    assert all(len(line) <= 40 for line in said.out.splitlines()[1:])


def test_an_arm_and_a_seed_can_be_chosen_and_the_object_has_the_drift(cli: Cli, file: Path) -> None:
    said = cli("partition", file, "--arm", "moved", "--seed", "7", "--json")
    value = json.loads(said.out)
    assert (value["schema"], value["partition"], value["seed"]) == ("byzantiny.partition/1", "drift", 7)
    assert {"bias_steps", "gain_128ths"} <= value["clients"][0].keys()
    assert "did you mean `moved`" in cli("partition", file, "--arm", "move").refusal


@pytest.mark.parametrize(("name", "begin"), [("p.svg", b"<svg"), ("p.png", b"\x89PNG"), ("p.html", b"<!doctype")])
def test_the_picture_is_written_in_every_form(cli: Cli, file: Path, name: str, begin: bytes) -> None:
    said = cli("partition", file, "--out", name)
    assert said.out.splitlines()[-1] == f"wrote {name}"
    data = Path(name).read_bytes()
    assert data.startswith(begin)
    if name.endswith("html"):
        assert data.count(b"<svg") == 2, "light and dark"


def test_the_picture_has_every_number_and_marks_who_lies(digits: None) -> None:
    run = parse_experiment({"clients": [{"count": 3}], "attack": {"name": "sign-flip", "byzantine": ["dev-02"]}}).base
    shares = find_shares(run, 1, load_task("digits"))
    for theme in (LIGHT, DARK):
        cells, sizes = shares_chart(shares, theme)["hconcat"]
        assert [value["n"] for value in cells["data"]["values"]] == shares.counts.ravel().tolist()
        assert [value["n"] for value in sizes["data"]["values"]] == shares.samples.tolist()
        assert {value["client"] for value in sizes["data"]["values"]} == {"dev-01", "▲ dev-02", "dev-03"}
        assert cells["layer"][0]["encoding"]["color"]["scale"]["range"] == [theme.paper, theme.arms[0]]


def test_a_picture_of_a_large_fleet_says_what_it_leaves_out(digits: None) -> None:
    run = parse_experiment({"clients": [{"count": 100}], "partition": {"name": "iid"}}).base
    chart = shares_chart(find_shares(run, 1, load_task("digits")), LIGHT)
    assert f"The first {MOST_CLIENTS} of 100 clients." in chart["title"]["subtitle"]
    assert len(chart["hconcat"][1]["data"]["values"]) == MOST_CLIENTS


def test_a_terminal_shows_forty_clients_and_says_how_many_more(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "many.toml").write_text('clients = [{ count = 100 }]\npartition = { name = "iid" }\n')
    said = cli("partition", tmp_path / "many.toml")
    assert said.out.splitlines()[-1] == "and 60 more clients; --json has all"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "mnist"', r"task mnist reads files and has no path; it needs data.path: the folder"),
        ('task = "mnist"\ndata = { path = "no" }', r"data.path .*/no does not exist; task mnist needs"),
        ('task = "mnist"\ndata = { path = "." }', r"holds 0 files named train-images-idx3-ubyte \(or .gz\)"),
        ('data = { path = "." }', r"task digits reads no files, but data.path is"),
        ('network = "mlp"', r"network 'mlp' is not one that task digits can use"),
        ('data = { params = { x = 1 } }', r"task digits has no parameter 'x'"),
        ('partition = { name = "natural" }', r"nobody knows who recorded the samples of task digits"),
        ('task = "imu-gestures"\npartition = { name = "natural" }\nclients = [{ count = 25 }]',
         r"25 clients for 24 natural keys"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["partition", "run"])
def test_data_that_cannot_be_used_are_refused_in_a_sentence(
    cli: Cli, tmp_path: Path, command: str, text: str, said: str
) -> None:
    (tmp_path / "e.toml").write_text(text)
    refusal = cli(command, tmp_path / "e.toml").refusal
    assert re.search(said, refusal), refusal
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def test_an_auc_is_called_one_wherever_a_run_is_shown(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(
        'task = "machine-anomaly"\nrounds = 2\nclients = [{ count = 3 }]\n'
        "data = { params = { machines = 3, frames = 10, test_machines = 2 } }\n"
    )
    said = cli("run", tmp_path / "e.toml")
    assert (said.status, "AUC: mean over the last tenth" in said.out) == (0, True)
    (run,) = (tmp_path / "runs").iterdir()
    words = re.sub(r"<[^>]*>", " ", (run / "report.html").read_text().partition("<main>")[2].partition("<script")[0])
    shown = said.out + words.partition("manifest")[0]
    assert "accuracy" not in shown.lower().replace("#accuracy", "")
    assert json.loads(cli("report", run, "--json").out)["metric"] == "auc"


def test_the_tasks_are_listed_with_what_they_need(cli: Cli) -> None:
    tasks = {row["name"]: row for row in json.loads(cli("list", "tasks", "--json").out)["tasks"]}
    assert tasks["machine-anomaly"]["metric"] == "auc"
    assert tasks["femnist"]["key"] == "writer"
    assert tasks["mnist"]["needs"].startswith("data.path: the folder")
    assert [one["name"] for one in tasks["recordings"]["parameters"]] == ["step", "test_devices", "scale", "centre"]
    assert "1,437 to train, 360 to test" in cli("list", "tasks").out
