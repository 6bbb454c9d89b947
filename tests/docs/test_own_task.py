"""examples/own_task.py, run as it is; and its task listed once it is installed."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from byzantiny.cli.app import build_app
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.tasks import load_task, load_tasks

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Install the example's module with an entry point, as `pip install` would leave it."""

    def install(points):
        info = tmp_path / "own_task-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-task\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[byzantiny.tasks]\n{points}\n")
        importlib.invalidate_caches()

    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("own_task", None)


def test_the_example_runs_a_federation_of_its_own_task():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_task.py", "--json"], capture_output=True, text=True, check=True, timeout=120
    )
    arm = json.loads(done.stdout)["arms"]["main"]
    assert arm["rounds"] == 5
    assert arm["accepted"] == 30
    assert arm["accuracy"] >= 0.9, "two of six flip their signs, and the median holds"


def test_a_task_of_another_package_is_listed_with_its_card(offer):
    offer("valve = own_task:VALVE")
    listed = json.loads(CliRunner().invoke(build_app(), ["list", "tasks", "--json"]).stdout)["tasks"]
    assert listed[-1]["name"] == "valve"
    assert (listed[-1]["key"], listed[-1]["metric"]) == ("board", "accuracy")
    assert listed[-1]["parameters"] == [{"name": "steepness", "required": False, "default": 3}]
    assert load_task("valve", params={"steepness": 2}).origin.parameters == {"steepness": 2}


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("digits = own_task:VALVE", "named 'digits', which is taken; rename or remove it"),
        ("other = own_task:VALVE", "it is to be a TaskSource of that name"),
        ("valve = own_task:CARD", "it is to be a TaskSource of that name"),
    ],
)
def test_an_entry_point_that_is_no_task_is_refused_by_name(offer, points, said):
    offer(points)
    with pytest.raises(InvalidValueError, match=said):
        load_tasks()
