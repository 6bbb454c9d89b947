"""Tasks on the command line: their cards, tasks of other packages, paths, and who holds what."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.charts.partition import Panel, Row, partition_chart
from byzantiny.charts.render import standalone_svg
from byzantiny.charts.style import DARK, LIGHT
from byzantiny_models.tasks import TASKS, load_tasks

Cli = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = ROOT / "experiments" / "partitions.toml"

MODULE = """
import numpy as np
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks import Task, TaskSource

def load():
    x, y = np.eye(64, dtype=np.int8) * 100, (np.arange(64) % 4).astype(np.uint8)
    return Task({loads!r}, NETWORKS["mlp-64-32-10"], x, y, x, y, 4)

TASK = TaskSource("corners", load, "mlp-64-32-10", data="none", samples="64", features="as they are")
NONE = 3
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package that offers an entry; `package(entry, loads)`."""

    def install(entry: str, loads: str = "corners") -> None:
        site = tmp_path / "site"
        info = site / "corners-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "corners.py").write_text(MODULE.format(loads=loads))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corners\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[byzantiny.tasks]\n{entry}\n")
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()

    yield install
    sys.modules.pop("corners", None)


def test_every_task_is_listed_with_what_it_is_and_needs(cli: Cli) -> None:
    rows = json.loads(cli("list", "tasks", "--json").out)["tasks"]
    assert [row["name"] for row in rows] == list(TASKS)
    shown = {row["name"]: row for row in rows}
    assert shown["machine-anomaly"]["metric"] == "AUC"
    assert shown["femnist"]["partition_key"] == "writer"
    assert shown["femnist"]["needs"].startswith("`data`: the folder or .zip of LEAF")
    assert "pip install 'byzantiny[data]'" in shown["digits"]["needs"]
    assert all(all(row.values()) for row in rows)
    assert "partition key" in cli("list", "tasks").out


def test_a_task_of_another_package_is_listed_and_run(cli: Cli, package, tmp_path) -> None:
    package("corners = corners:TASK")
    assert json.loads(cli("list", "tasks", "--json").out)["tasks"][-1]["name"] == "corners"
    (tmp_path / "e.toml").write_text('task = "corners"\nrounds = 2\n[[clients]]\ncount = 2\n')
    said = cli("run", "e.toml", "--json")
    assert said.status == 0
    assert json.loads(said.out)["arms"]["main"]["accuracy"] >= 0


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("digits = corners:TASK", "is named 'digits', which is taken; rename or remove it"),
        ("squares = corners:TASK", "leads to the TaskSource 'corners'; it has to be a TaskSource named 'squares'"),
        ("corners = corners:NONE", "leads to int; it has to be a TaskSource named 'corners'"),
    ],
)
def test_an_entry_that_is_no_task_is_refused_by_name(cli: Cli, package, entry, said) -> None:
    package(entry)
    assert said in cli("list", "tasks").refusal


def test_a_task_that_loads_as_another_is_refused(cli: Cli, package, tmp_path) -> None:
    package("corners = corners:TASK", loads="edges")
    (tmp_path / "e.toml").write_text('task = "corners"\n')
    refusal = cli("run", "e.toml").refusal
    assert "task corners with network mlp-64-32-10 loaded as edges with network mlp-64-32-10" in refusal
    assert load_tasks()["corners"].metric == "accuracy"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "mnist"', "set `data`, beside `task`, to the folder or .zip with train-images-idx3-ubyte"),
        ('task = "mnist"\ndata = "no"', "/no', which does not exist; set it to"),
        ('task = "mnist"\ndata = "."', "holds 0 files named train-images-idx3-ubyte"),
        ('data = "."', "task digits reads no files of yours"),
        ("data = 3", "Expected `str | null`"),
        ('[arms.a]\ndata = "."', "`data` is shared by all arms"),
        ('partition = { name = "natural" }', "nobody says who recorded the samples of digits"),
        ('partition = { name = "drift", gain_64ths = 64 }', "<= 63"),
    ],
)
def test_data_that_cannot_be_are_one_sentence_and_nothing_is_written(cli: Cli, tmp_path, text, said) -> None:
    (tmp_path / "e.toml").write_text(text)
    assert said in cli("run", "e.toml").refusal
    assert not list(tmp_path.glob("runs/*"))


# byzantiny partition


def test_a_partition_is_a_table_of_clients_by_classes(cli: Cli, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    said = cli("partition", PARTITIONS, "--arm", "natural")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[2] == ["natural", "(natural)"]
    assert lines[3] == ["client", "samples", "rest", "shake", "circle", "tap", "tilt"]
    assert lines[4] == ["dev-01", "150", "30", "30", "30", "30", "30", "3", "devices"]
    assert len(lines) == 12


def test_a_partition_as_json_has_every_count_and_arms_that_split_alike_are_one(cli: Cli, tmp_path) -> None:
    (tmp_path / "e.toml").write_text("[[clients]]\ncount = 5\n[partition]\nname = 'iid'\n[arms.a]\n[arms.b]\n")
    value = json.loads(cli("partition", "e.toml", "--json").out)
    (division,) = value["divisions"]
    assert division["arms"] == ["a", "b"]
    assert sum(client["samples"] for client in division["clients"]) == value["samples"] == 1437
    assert all(sum(client["counts"]) == client["samples"] for client in division["clients"])


def test_a_wide_or_a_large_partition_says_what_it_leaves_out(cli: Cli, own_data, tmp_path) -> None:
    own_data("femnist", "leaf")
    (tmp_path / "e.toml").write_text(
        'task = "femnist"\ndata = "leaf"\npartition = {name = "iid"}\n[[clients]]\ncount = 50\n'
    )
    out = cli("partition", "e.toml").out
    assert "of 62" in out
    assert "and 2 more; 1 to 2 samples a client" in out


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_the_picture_is_written(cli: Cli, tmp_path, ending) -> None:
    assert cli("partition", PARTITIONS, "--arm", "drift", "--out", f"p.{ending}").status == 0
    data = (tmp_path / f"p.{ending}").read_bytes()
    assert data.startswith({"svg": b"<svg", "png": b"\x89PNG", "html": b"<!doctype html>"}[ending])
    if ending == "svg":
        assert b">drift, bias_steps 16, gain_64ths 8<" in data
        assert b"bias +7" in data


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arm", "naturel"], "unknown arm `naturel`; did you mean `natural`?"),
        (["--seed", "9"], "seed 9 is not of this experiment; its seeds are 1"),
        (["--out", "p.gif"], "a picture ends in"),
        (["--set", "clients=[{count = 1100}]", "--arm", "iid", "--out", "p.svg"], "a picture shows at most 1000"),
        (["--set", "clients=[{count = 30}]", "--arm", "natural"], "30 clients for 24 natural keys"),
    ],
)
def test_a_partition_that_cannot_be_shown_is_one_sentence(cli: Cli, arguments, said) -> None:
    assert said in cli("partition", PARTITIONS, *arguments).refusal


def test_one_hue_deepens_with_the_count_in_both_themes_and_the_number_stands_in_the_cell() -> None:
    rows = (Row("a", (10, 0), 10, "1 device"), Row("b", (0, 5), 5))
    for theme in (LIGHT, DARK):
        spec = partition_chart([Panel("iid", rows)], ["x", "y"], "t", "s", theme)
        text = standalone_svg(spec)
        assert all(f">{word}<" in text for word in ("10", "5", "a", "b", "x", "y", "10, 1 device"))
        red, green, blue = (int(theme.arms[0][i : i + 2], 16) for i in (1, 3, 5))
        assert f"rgb({red}, {green}, {blue})" in text or theme.arms[0] in text
