"""docs/extending.md, followed to the letter: the rule is installed, found, checked, listed, and part of a defence."""

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from byzantiny.aggregators import load_aggregators
from byzantiny.cli.app import build_app
from byzantiny.federation import build_pipeline
from byzantiny.testing import ContractError, check_aggregator
from byzantiny.updates import UpdateBatch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
RULE, TRIED = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROJECT, EXPERIMENT = map(tomllib.loads, re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package of the page, as a wheel's installation leaves it."""
    project = PROJECT["project"]
    (tmp_path / "winsorized.py").write_text(RULE)
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items()) for group, points in groups
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("winsorized", None)


@pytest.mark.usefixtures("installed")
def test_a_rule_of_another_package_is_found_checked_listed_and_built():
    rule = load_aggregators()["winsorized-mean"]
    check_aggregator(lambda: rule(f=2))
    pipeline = build_pipeline(EXPERIMENT["defence"]["pipeline"], EXPERIMENT["defence"]["f_declared"])
    assert (pipeline.name, pipeline.aggregator.f, pipeline.min_clients) == ("nnm + winsorized-mean", 2, 5)
    listed = json.loads(CliRunner().invoke(build_app(), ["list", "aggregators", "--json"]).stdout)["aggregators"]
    assert listed[-1]["name"] == "winsorized-mean"
    assert listed[-1]["parameters"] == [{"name": "f", "required": True, "default": None}]
    batch = UpdateBatch.from_rows(np.array([[1], [2], [3], [4], [127]], dtype=np.int8))
    aggregate, _ = rule(f=1).apply(batch, None, np.random.default_rng(0))
    assert (aggregate.numerator.tolist(), int(aggregate.denominator)) == ([2 + 2 + 3 + 4 + 4], 5)


def test_the_page_s_own_check_passes_and_the_mistake_it_speaks_of_is_caught():
    namespace = {}
    exec(RULE + TRIED, namespace)
    wrong = RULE.replace("ranked[batch.n - 1 - self.f]", "ranked[batch.n - 1]")
    assert wrong != RULE
    exec(wrong.replace('"negation", ', ""), namespace)
    with pytest.raises(ContractError) as caught:
        check_aggregator(lambda: namespace["WinsorizedMean"](f=1))
    assert caught.value.promise == "hull"
    # The page shows one of the cases that may be found, and what is said of it.
    honest, lies = (
        ast.literal_eval(text) for text in re.search(r"of honest (\[.*\]), lies (\[.*\]), order", PAGE).groups()
    )
    batch = UpdateBatch.from_rows(np.array(honest + lies, dtype=np.int8))
    values = namespace["WinsorizedMean"](f=1).apply(batch, None, np.random.default_rng(0))[0].values
    assert f"breaks `hull`: {values.max():.6g} steps outside the honest values, 0 are allowed" in PAGE
